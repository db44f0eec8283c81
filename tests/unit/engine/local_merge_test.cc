#include "base/strings.h"
#include "engine/container/container_checks.h"
#include "engine/container/container_name.h"
#include "engine/container/image_merge.h"
#include "engine/container/network_files.h"
#include "engine/container/signal_name.h"
#include "unit/engine/image_fixture.h"

namespace gantry::engine {
namespace {

using Words = std::vector<std::string>;

TEST(MergeWithImage, EntrypointAndCommandFollowDockersRules) {
  ImageConfig image;
  image.entrypoint = {"/entry"};
  image.command = {"image", "command"};
  const struct {
    std::optional<Words> entrypoint;
    std::optional<Words> command;
    Words arguments;
  } rows[] = {
      {{}, {}, {"/entry", "image", "command"}},
      {{}, Words{"own"}, {"/entry", "own"}},
      {{}, Words{}, {"/entry"}},
      {Words{"/mine"}, {}, {"/mine"}},
      {Words{"/mine"}, Words{"x"}, {"/mine", "x"}},
      {Words{""}, Words{"x"}, {"x"}},
      {Words{}, Words{"x"}, {"x"}},
  };
  for (const auto& row : rows) {
    ContainerSpec spec;
    spec.entrypoint = row.entrypoint;
    spec.command = row.command;
    EXPECT_EQ(VALUE(merge_with_image(spec, image)).arguments, row.arguments);
  }
  EXPECT_EQ(merge_with_image({}, {}).error().message(), "no command specified");
}

TEST(MergeWithImage, TheUserWinsPerVariableLabelAndHealthField) {
  ImageConfig image;
  image.command = {"x"};
  image.environment = {"PATH=/image", "LANG=C", "GONE=1"};
  image.labels = {{"a", "image"}, {"b", "image"}};
  image.health_check = HealthCheck{.test = {"CMD", "probe"}, .retries = 9};
  ContainerSpec spec;
  spec.environment = {"LANG=de", "GONE", "NEW=1"};
  spec.labels = {{"a", "own"}};
  spec.health_check = HealthCheck{.test = {}, .interval = std::chrono::seconds(1)};
  const EffectiveConfig merged = VALUE(merge_with_image(spec, image));
  EXPECT_EQ(merged.environment, (Words{"LANG=de", "GONE", "NEW=1", "PATH=/image"}));
  EXPECT_EQ(merged.labels, (Labels{{"a", "own"}, {"b", "image"}}));
  EXPECT_EQ(merged.health_check->test, (Words{"CMD", "probe"}));
  EXPECT_EQ(merged.health_check->retries, 9);
  EXPECT_EQ(merged.health_check->interval, std::chrono::seconds(1));
  spec.health_check->test = {"NONE"};
  EXPECT_FALSE(VALUE(merge_with_image(spec, image)).health_check);
}

TEST(ProcessEnvironment, IsInDockersOrder) {
  EXPECT_EQ(process_environment({"A=1", "PATH=/mine", "A=2", "B=3", "B"}, "host", true),
            (Words{"PATH=/mine", "HOSTNAME=host", "TERM=xterm", "A=2"}));
}

TEST(ContainerChecks, RefuseInDockersWords) {
  const auto with = [](auto change) {
    ContainerSpec spec;
    change(spec);
    auto checked = check_container_spec(spec, {.processors = 2});
    return checked.ok() ? std::string("ok") : checked.error().message();
  };
  EXPECT_EQ(with([](auto&) {}), "ok");
  EXPECT_EQ(with([](auto& s) { s.resources.memory = 1; }), "Minimum memory limit allowed is 6MB");
  EXPECT_EQ(with([](auto& s) { s.resources.memory = 100 << 20, s.resources.memory_swap = 50 << 20; }),
            "Minimum memoryswap limit should be larger than memory limit, see usage");
  EXPECT_EQ(with([](auto& s) { s.resources.nano_cpus = 3'000'000'000; }),
            "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available");
  EXPECT_EQ(with([](auto& s) { s.restart.kind = RestartPolicy::Kind::always, s.auto_remove = true; }),
            "can't create 'AutoRemove' container with restart policy");
  EXPECT_EQ(with([](auto& s) { s.mounts = {{.source = "/a", .target = "/x"}, {.source = "/b", .target = "/x/"}}; }),
            "Duplicate mount point: /x/");
  EXPECT_EQ(with([](auto& s) { s.mounts = {{.source = "/a", .target = "rel"}}; }),
            "invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be absolute");
  EXPECT_EQ(with([](auto& s) { s.mounts = {{.source = "/a", .target = "/x/.."}}; }),
            "invalid mount config for type \"bind\": invalid specification: destination can't be '/'");
  EXPECT_EQ(with([](auto& s) {
              s.mounts = {{.kind = Mount::Kind::volume, .source = "v", .target = "/x", .subpath = "a/../../b"}};
            }),
            "invalid mount config for type \"volume\": subpath must be a relative path within the volume");
  EXPECT_EQ(with([](auto& s) { s.extra_hosts = {"foo"}; }), "bad format for add-host: \"foo\"");
  EXPECT_EQ(with([](auto& s) { s.extra_hosts = {"foo:host-gateway", "six:[::1]", "v6=::1"}; }), "ok");
  EXPECT_EQ(with([](auto& s) { s.stop_signal = "SIGNOPE"; }), "invalid signal: SIGNOPE");
  EXPECT_EQ(with([](auto& s) { s.log.options = {{"foo", "1"}}; }), "unknown log opt 'foo' for json-file log driver");
  EXPECT_EQ(with([](auto& s) { s.log.driver = "syslog"; }), "logger: no log driver named 'syslog' is registered");
  EXPECT_EQ(with([](auto& s) { s.runtime = "foo"; }), "unknown or invalid runtime name: foo");
  EXPECT_EQ(with([](auto& s) { s.health_check = HealthCheck{.test = {"CMD", "x"}, .interval = std::chrono::nanoseconds(5)}; }),
            "Interval in Healthcheck cannot be less than 1ms");
  EXPECT_EQ(with([](auto& s) {
              s.network_mode = {.kind = NetworkMode::Kind::container, .container = "x"};
              s.published = {{.container = {.port = 80}}};
            }),
            "conflicting options: port publishing and the container type network mode");
}

TEST(EffectiveConfig, IsChecked) {
  EffectiveConfig config;
  config.working_dir = "rel";
  EXPECT_EQ(check_effective_config(config).error().message(),
            "the working directory 'rel' is invalid, it needs to be an absolute path");
  config.working_dir = "/";
  config.environment = {"=x"};
  EXPECT_EQ(check_effective_config(config).error().message(), "invalid environment variable: =x");
}

TEST(ContainerName, FollowsTheRule) {
  for (const char* good : {"ab", "a.b-c_d", "0x"}) EXPECT_TRUE(check_container_name(good).ok()) << good;
  for (const char* bad : {"", "a", "-a", "a b", "a/b", "\xc3\xa9t\xc3\xa9"}) EXPECT_FALSE(check_container_name(bad).ok()) << bad;
  EXPECT_EQ(check_container_name("x y").error().message(),
            "Invalid container name (x y), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
  SeededRandom random(1);
  for (int attempt = 0; attempt < 20; ++attempt) {
    EXPECT_TRUE(check_container_name(invent_container_name(random, attempt)).ok());
  }
}

TEST(SignalName, ReadsNumbersAndNames) {
  const std::pair<const char*, int> rows[] = {{"9", 9}, {"KILL", 9}, {"SIGKILL", 9}, {"sigterm", 15}, {"Hup", 1},
                                              {"RTMIN", 34}, {"SIGRTMIN+3", 37}, {"RTMAX-1", 63}, {"64", 64}};
  for (const auto& [name, number] : rows) EXPECT_EQ(parse_signal(name).value_or(0), number) << name;
  for (const char* wrong : {"", "0", "65", "SIG", "FOO", "RTMIN+99", "RTMAX+1", "-9", "9 "}) {
    EXPECT_EQ(parse_signal(wrong).error().message(), std::string("invalid signal: ") + wrong);
  }
}

ResolverConfig host_with(const std::string& text) { return parse_resolv_conf(text); }

TEST(ResolvConf, IsReadAsTheCLibraryDoes) {
  const auto config = host_with("# c\nnameserver 10.0.0.1\nnameserver  fe80::1%eth0\nnameserver bogus\nsearch a b\n"
                                "search c\noptions ndots:2 rotate\n; x\nnameserver\n");
  ASSERT_EQ(config.nameservers.size(), 2u);
  EXPECT_EQ(config.nameservers[1].to_string(), "fe80::1");
  EXPECT_EQ(config.search, (Words{"c"}));
  EXPECT_EQ(config.options, (Words{"ndots:2", "rotate"}));
}

TEST(ResolvConf, DependsOnTheNetwork) {
  const auto host = host_with("nameserver 127.0.0.53\nnameserver 10.0.0.1\nsearch lan\n");
  const ResolverPlan user = resolver_on_user_network(host, {});
  EXPECT_EQ(user.resolv_conf, "nameserver 127.0.0.11\nsearch lan\noptions ndots:0\n");
  ASSERT_EQ(user.upstreams.size(), 2u);
  EXPECT_EQ(resolver_on_user_network(host, {.servers = {"1.1.1.1"}, .search = {"."}, .options = {"ndots:5"}}).resolv_conf,
            "nameserver 127.0.0.11\noptions ndots:5\n");
  EXPECT_EQ(resolver_on_default_bridge(host, {}).resolv_conf, "nameserver 10.0.0.1\nsearch lan\n");
  EXPECT_EQ(resolver_on_default_bridge(host_with("nameserver 127.0.0.1\n"), {}).resolv_conf, "nameserver 127.0.0.11\n");
  EXPECT_EQ(resolver_on_host(host, {}).resolv_conf, "nameserver 127.0.0.53\nnameserver 10.0.0.1\nsearch lan\n");
  EXPECT_TRUE(resolver_on_user_network(host_with("nameserver 127.0.0.11\n"), {}).upstreams.empty());
}

TEST(HostsFile, HasDockersLines) {
  EXPECT_EQ(hosts_file({{.address = "10.0.0.2", .names = {"web.lan", "web"}}}, true),
            "127.0.0.1\tlocalhost\n"
            "::1\tlocalhost ip6-localhost ip6-loopback\n"
            "fe00::\tip6-localnet\n"
            "ff00::\tip6-mcastprefix\n"
            "ff02::1\tip6-allnodes\n"
            "ff02::2\tip6-allrouters\n"
            "10.0.0.2\tweb.lan web\n");
  EXPECT_EQ(hosts_file({}, false), "127.0.0.1\tlocalhost\n");
}

}  // namespace
}  // namespace gantry::engine
