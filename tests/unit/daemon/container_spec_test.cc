#include "daemon/docker/container_spec.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "daemon/docker/host_config.h"

namespace gantry::daemon::docker {
namespace {

using engine::ContainerSpec;
using engine::Mount;
using nlohmann::json;

Result<ContainerSpec> parse_body(const char* body) { return parse_container_spec(json::parse(body), "/web", ""); }

ContainerSpec good(const char* body) {
  Result<ContainerSpec> spec = parse_body(body);
  EXPECT_TRUE(spec.ok()) << (spec.ok() ? "" : spec.error().message());
  return spec.ok() ? std::move(*spec) : ContainerSpec();
}

TEST(ContainerSpecOfBody, ReadsFieldsWhateverTheirCaseAndTextsForLists) {
  const ContainerSpec spec =
      good(R"({"image":"bb","cmd":"ls","Env":["A=1"],"labels":{"x":"y"},"unknown":1,"User":null})");
  EXPECT_EQ(spec.name, "web");
  EXPECT_EQ(spec.image, "bb");
  EXPECT_EQ(spec.command, std::vector<std::string>{"ls"});
  EXPECT_EQ(spec.environment, std::vector<std::string>{"A=1"});
  EXPECT_EQ(spec.labels.at("x"), "y");
  EXPECT_EQ(spec.user, "");
}

TEST(ContainerSpecOfBody, TellsANothingEntrypointFromNone) {
  EXPECT_EQ(good(R"({"Image":"a"})").entrypoint, std::nullopt);
  EXPECT_EQ(good(R"({"Image":"a","Entrypoint":[]})").entrypoint, std::nullopt);
  EXPECT_EQ(good(R"({"Image":"a","Entrypoint":[""]})").entrypoint, std::vector<std::string>());
}

TEST(ContainerSpecOfBody, ReadsBindsAsTheShortFormIsWritten) {
  const ContainerSpec spec = good(
      R"({"Image":"a","HostConfig":{"Binds":["/a:/b:ro","data:/data:nocopy","/anonymous"],"Tmpfs":{"/run":"size=1m"}}})");
  ASSERT_EQ(spec.mounts.size(), 4U);
  EXPECT_EQ(spec.mounts[0].kind, Mount::Kind::bind);
  EXPECT_TRUE(spec.mounts[0].read_only);
  EXPECT_TRUE(spec.mounts[0].create_source);
  EXPECT_EQ(spec.mounts[1].kind, Mount::Kind::volume);
  EXPECT_EQ(spec.mounts[1].source, "data");
  EXPECT_TRUE(spec.mounts[1].no_copy);
  EXPECT_EQ(spec.mounts[2].source, "");
  EXPECT_EQ(spec.mounts[2].target, "/anonymous");
  EXPECT_EQ(spec.mounts[3].tmpfs_options, "size=1m");
}

TEST(ContainerSpecOfBody, ReadsPortsRangesAndAddresses) {
  const ContainerSpec spec = good(R"({"Image":"a","ExposedPorts":{"53/udp":{}},"HostConfig":{"PortBindings":{
      "80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"},{"HostPort":"8000-8010"}],"81/tcp":[{"HostPort":""}]}}})");
  EXPECT_EQ(spec.exposed.size(), 3U);
  ASSERT_EQ(spec.published.size(), 3U);
  EXPECT_EQ(spec.published[0].host_ip, "127.0.0.1");
  EXPECT_EQ(spec.published[0].host_first, 8080);
  EXPECT_EQ(spec.published[1].host_last, 8010);
  EXPECT_EQ(spec.published[2].host_first, 0);
}

TEST(ContainerSpecOfBody, PutsTheNetworkOfTheModeFirst) {
  const ContainerSpec spec =
      good(R"({"Image":"a","HostConfig":{"NetworkMode":"front"},"NetworkingConfig":{"EndpointsConfig":{
      "back":{"Aliases":["db"]},"front":{"IPAMConfig":{"IPv4Address":"10.0.0.9"}}}}})");
  ASSERT_EQ(spec.endpoints.size(), 2U);
  EXPECT_EQ(spec.endpoints[0].network, "front");
  EXPECT_EQ(spec.endpoints[0].ipv4_address, "10.0.0.9");
  EXPECT_EQ(spec.endpoints[1].aliases, std::vector<std::string>{"db"});
  EXPECT_EQ(network_mode_text(spec), "front");
  EXPECT_EQ(network_mode_text(good(R"({"Image":"a","HostConfig":{"NetworkMode":"default"}})")), "bridge");
  EXPECT_EQ(network_mode_text(good(R"({"Image":"a","HostConfig":{"NetworkMode":"container:x"}})")), "container:x");
}

TEST(ContainerSpecOfBody, RefusesWhatCannotBeMeantOrIsNotBuilt) {
  struct Row {
    const char* body;
    Code code;
    const char* message;
  };
  const Row rows[] = {
      {R"({"Image":"a","Env":"A=1"})", Code::invalid, "invalid JSON: Env: expected a list of strings"},
      {R"({"Image":"a","HostConfig":{"Memory":"1g"}})", Code::invalid,
       "invalid JSON: HostConfig.Memory: expected a whole number"},
      {R"({"Image":"a","HostConfig":{"Binds":["x:y"]}})", Code::invalid,
       "invalid volume specification: 'x:y': invalid mount path: 'y' mount path must be absolute"},
      {R"({"Image":"a","HostConfig":{"Binds":["/a:/b:foo"]}})", Code::invalid, "invalid mode: foo"},
      {R"({"Image":"a","HostConfig":{"Binds":["/a:/x","/b:/x"]}})", Code::invalid, "Duplicate mount point: /x"},
      {R"({"Image":"a","HostConfig":{"Mounts":[{"Type":"image","Source":"b","Target":"/x"}]}})", Code::unsupported,
       "mount type \"image\" is not supported"},
      {R"({"Image":"a","HostConfig":{"AutoRemove":true,"RestartPolicy":{"Name":"always"}}})", Code::invalid,
       "can't create 'AutoRemove' container with restart policy"},
      {R"({"Image":"a","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"x"}]}}})", Code::invalid,
       "invalid port specification: \"x\""},
      {R"({"Cmd":["ls"]})", Code::invalid, "config cannot be empty in order to create a container: no image is given"},
  };
  for (const Row& row : rows) {
    const Result<ContainerSpec> spec = parse_body(row.body);
    ASSERT_FALSE(spec.ok()) << row.body;
    EXPECT_EQ(spec.error().code(), row.code) << row.body;
    EXPECT_EQ(spec.error().message(), row.message);
  }
}

// Clients send an inspected HostConfig back to make the same container again.
TEST(HostConfig, ShownAndReadBackIsTheSame) {
  ContainerSpec spec = good(R"({"Image":"a","HostConfig":{
      "Binds":["/a:/b:ro","data:/data:rw"],"Mounts":[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":4096}}],
      "PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]},"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3},
      "Memory":1000000,"MemorySwap":3000000,"Ulimits":[{"Name":"nofile","Soft":1,"Hard":2}],"CapAdd":["NET_ADMIN"],
      "Sysctls":{"a":"b"},"ShmSize":1024,"Dns":["1.1.1.1"],"Privileged":true,"ReadonlyRootfs":true}})");
  const json again = {{"Image", "a"}, {"HostConfig", host_config_json(spec)}};
  Result<ContainerSpec> parsed = parse_container_spec(again, "/web", "");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  // What had a default is spelled out by now.
  for (ContainerSpec* one : {&spec, &*parsed}) {
    one->ipc_mode = one->cgroup_mode = one->runtime = one->log.driver = "";
  }
  EXPECT_EQ(*parsed, spec);
}

TEST(ContainerSpecOfBody, BlockDevicesRequestsAndMountOptionsComeBackAsTheyWereGiven) {
  const json given = json::parse(R"({"Image":"a","HostConfig":{
    "BlkioWeightDevice":[{"Path":"/dev/sda","Weight":200}],
    "BlkioDeviceReadBps":[{"Path":"/dev/sda","Rate":1000}], "BlkioDeviceWriteBps":[{"Path":"/dev/sda","Rate":1001}],
    "BlkioDeviceReadIOps":[{"Path":"/dev/sda","Rate":1002}], "BlkioDeviceWriteIOps":[{"Path":"/dev/sda","Rate":1003}],
    "DeviceRequests":[{"Driver":"","Count":-1,"DeviceIDs":null,"Capabilities":[["gpu"]],"Options":{"a":"b"}}],
    "Mounts":[{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"BindOptions":{"ReadOnlyForceRecursive":true}},
              {"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1024,"Options":[["noexec"],["uid","5"]]}}]}})");
  const auto spec = parse_container_spec(given, "", "");
  ASSERT_TRUE(spec.ok()) << spec.error().message();
  const json shown = host_config_json(*spec);
  for (const auto& [name, value] : given["HostConfig"].items()) EXPECT_EQ(shown[name], value) << name;
  EXPECT_EQ(spec->mounts[1].tmpfs_options, "noexec,uid=5");
}

TEST(ContainerSpecOfBody, LinksOfOldBelongToTheFirstNetwork) {
  const ContainerSpec spec = good(R"({"Image":"a","HostConfig":{"Links":["/db:/web/data","cache"]}})");
  ASSERT_EQ(spec.endpoints.size(), 1U);
  EXPECT_EQ(spec.endpoints[0].network, "bridge");
  EXPECT_EQ(spec.endpoints[0].links, (std::vector<std::string>{"db:data", "cache"}));
}

TEST(ContainerSpecOfBody, ContradictingReadOnlyOptionsAreRefused) {
  for (const char* options : {R"({"ReadOnlyForceRecursive":true})", R"({"ReadOnlyNonRecursive":true})"}) {
    const std::string body = std::string(R"({"Image":"a","HostConfig":{"Mounts":[{"Type":"bind","Source":"/a","Target":"/b","BindOptions":)") + options + "}]}}";
    EXPECT_NE(parse_body(body.c_str()).error().message().find("needs ReadOnly"), std::string::npos);
  }
}

}  // namespace
}  // namespace gantry::daemon::docker
