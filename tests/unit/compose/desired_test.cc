#include "compose/desired.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "compose/config_hash.h"
#include "compose/container_spec.h"
#include "compose/labels.h"
#include "support/sim_project.h"

using namespace gantry;
using namespace gantry::compose;
using gantry::test::project_from;

namespace {

engine::ContainerSpec spec_of(const std::string& service, const std::string& rest = "") {
  auto desired = desire(project_from("services:\n  web:\n    image: x\n" + service + "\n" + rest));
  EXPECT_TRUE(desired.ok()) << desired.error().message();
  return desired.ok() ? desired->services.at("web").spec : engine::ContainerSpec{};
}

std::string error_of(const std::string& service, const std::string& rest = "") {
  auto desired = desire(project_from("services:\n  web:\n    image: x\n" + service + "\n" + rest));
  return desired.ok() ? "no error" : desired.error().message();
}

}  // namespace

TEST(Desired, LabelsSayWhatBelongsToWhat) {
  Project project = project_from("services: {web: {image: x, labels: {mine: 1}, depends_on: [db]}, db: {image: y}}");
  engine::Labels labels = desire(project)->services.at("web").spec.labels;
  EXPECT_EQ(labels["mine"], "1");
  EXPECT_EQ(labels[label::kProject], "shop");
  EXPECT_EQ(labels[label::kService], "web");
  EXPECT_EQ(labels[label::kOneOff], "False");
  EXPECT_EQ(labels[label::kDependsOn], "db:service_started:false");
  EXPECT_EQ(labels[label::kConfigHash], config_hash(project.services.at("web")));
  EXPECT_EQ(labels[label::kWorkingDir], project.working_dir);
  EXPECT_EQ(labels[label::kConfigFiles], join(project.config_files, ","));
}

TEST(Desired, NamesAndScale) {
  Project project = project_from("services: {web: {build: .}, one: {image: x, container_name: only}}");
  Desired desired = desire(project, {{"web", 3}}).value();
  EXPECT_EQ(desired.services.at("web").replicas, 3);
  EXPECT_EQ(desired.services.at("web").image, "shop-web");
  EXPECT_EQ(container_name("shop", desired.services.at("web"), 2), "shop-web-2");
  EXPECT_EQ(container_name("shop", desired.services.at("one"), 1), "only");
  EXPECT_EQ(display_name("shop", "shop-web-2"), "web-2");
  EXPECT_EQ(display_name("shop", "only"), "only");
  EXPECT_EQ(desire(project, {{"wbe", 3}}).error().message(), "no such service: wbe");
  EXPECT_EQ(desire(project, {{"one", 2}}).error().message().substr(0, 93),
            "services.one.container_name: \"only\" cannot name 2 replicas: remove container_name, or scale t");
}

TEST(Desired, NetworksBecomeEndpoints) {
  engine::ContainerSpec spec = spec_of(R"(
    networks:
      back: {aliases: [api, web], ipv4_address: 10.0.0.5}
      default:
    links: ["db:database"]
    mac_address: "02:00:00:00:00:01"
  db: {image: y})", "networks: {back: {name: lan, ipam: {config: [{subnet: 10.0.0.0/24}]}}}");
  ASSERT_EQ(spec.endpoints.size(), 2u);
  EXPECT_EQ(spec.endpoints[0].network, "lan");
  EXPECT_EQ(spec.endpoints[0].aliases, (std::vector<std::string>{"web", "api"}));
  EXPECT_EQ(spec.endpoints[0].ipv4_address, "10.0.0.5");
  EXPECT_EQ(spec.endpoints[0].mac_address, "02:00:00:00:00:01");
  EXPECT_EQ(spec.endpoints[1].network, "shop_default");
  resolve_references(spec, {{"db", "shop-db-1"}});
  EXPECT_EQ(spec.endpoints[0].links, std::vector<std::string>{"shop-db-1:database"});
}

TEST(Desired, NetworkModes) {
  using Kind = engine::NetworkMode::Kind;
  EXPECT_EQ(spec_of("    network_mode: none").network_mode.kind, Kind::none);
  EXPECT_EQ(spec_of("    network_mode: host").network_mode.kind, Kind::host);
  EXPECT_EQ(spec_of("    network_mode: container:other").network_mode.container, "other");
  EXPECT_TRUE(spec_of("    network_mode: bridge").endpoints.empty());
  EXPECT_EQ(spec_of("    network_mode: lan").endpoints.at(0).network, "lan");
  EXPECT_EQ(spec_of("    network_mode: service:db\n  db: {image: y}").network_mode.container, "service:db");
}

TEST(Desired, PortsAndRanges) {
  engine::ContainerSpec spec = spec_of(R"(    ports: ["8080:80", "127.0.0.1:9000-9001:53/udp", "443"]
    expose: ["7000-7001"])");
  ASSERT_EQ(spec.published.size(), 3u);
  EXPECT_EQ(spec.published[0], (engine::PublishedPort{.container = {.port = 80}, .host_first = 8080, .host_last = 8080}));
  EXPECT_EQ(spec.published[1],
            (engine::PublishedPort{.container = {.port = 53, .protocol = engine::PortProtocol::udp},
                                   .host_ip = "127.0.0.1",
                                   .host_first = 9000,
                                   .host_last = 9001}));
  EXPECT_EQ(spec.published[2], (engine::PublishedPort{.container = {.port = 443}}));
  EXPECT_EQ(spec.exposed.size(), 5u);
}

TEST(Desired, MountsOfEveryKind) {
  engine::ContainerSpec spec = spec_of(R"(
    volumes:
      - data:/data
      - /anonymous
      - {type: bind, source: /etc, target: /host, read_only: true, bind: {create_host_path: false}}
      - {type: tmpfs, target: /scratch, tmpfs: {size: 1m}}
    tmpfs: ["/run:size=64k"]
    secrets: [key]
    configs: [{source: text, target: /etc/text, mode: 0440}])", R"(
volumes: {data: {}}
secrets: {key: {file: /secret}}
configs: {text: {content: hello}})");
  using Kind = engine::Mount::Kind;
  ASSERT_EQ(spec.mounts.size(), 6u);
  EXPECT_EQ(spec.mounts[0], (engine::Mount{.kind = Kind::volume, .source = "shop_data", .target = "/data"}));
  EXPECT_EQ(spec.mounts[1], (engine::Mount{.kind = Kind::volume, .target = "/anonymous"}));
  EXPECT_EQ(spec.mounts[2],
            (engine::Mount{.kind = Kind::bind, .source = "/etc", .target = "/host", .read_only = true}));
  EXPECT_EQ(spec.mounts[3], (engine::Mount{.kind = Kind::tmpfs, .target = "/scratch", .tmpfs_size = 1 << 20}));
  EXPECT_EQ(spec.mounts[4], (engine::Mount{.kind = Kind::tmpfs, .target = "/run", .tmpfs_options = "size=64k"}));
  EXPECT_EQ(spec.mounts[5],
            (engine::Mount{.kind = Kind::bind, .source = "/secret", .target = "/run/secrets/key", .read_only = true}));
  ASSERT_EQ(spec.files.size(), 1u);
  EXPECT_EQ(spec.files[0], (engine::FileMount{.target = "/etc/text", .content = "hello", .mode = 0440}));
}

TEST(Desired, HealthRestartAndStop) {
  using namespace std::chrono_literals;
  engine::ContainerSpec spec = spec_of(R"(
    healthcheck: {test: "curl x", interval: 5s, retries: 7}
    restart: on-failure:3
    stop_grace_period: 1500ms
    stop_signal: SIGINT)");
  EXPECT_EQ(spec.health_check->test, (std::vector<std::string>{"CMD-SHELL", "curl x"}));
  EXPECT_EQ(spec.health_check->interval, std::chrono::nanoseconds(5s));
  EXPECT_EQ(spec.health_check->retries, 7);
  EXPECT_EQ(spec.restart, (engine::RestartPolicy{engine::RestartPolicy::Kind::on_failure, 3}));
  EXPECT_EQ(spec.stop_timeout, 2s) << "rounded up";
  EXPECT_EQ(spec.stop_signal, "SIGINT");
  EXPECT_EQ(spec_of("    healthcheck: {disable: true}").health_check->test, std::vector<std::string>{"NONE"});
  EXPECT_EQ(spec_of("    deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}").restart,
            (engine::RestartPolicy{engine::RestartPolicy::Kind::on_failure, 2}));
}

TEST(Desired, ResourcesAndIsolation) {
  engine::ContainerSpec spec = spec_of(R"(
    mem_limit: 64m
    cpus: 1.5
    pids_limit: 100
    ulimits: {nofile: 1024, nproc: {soft: 1, hard: 2}}
    cap_add: [NET_ADMIN]
    sysctls: {net.core.somaxconn: 1}
    extra_hosts: ["a=1.2.3.4"]
    devices: ["/dev/null:/dev/x"]
    init: true)");
  EXPECT_EQ(spec.resources.memory, 64 << 20);
  EXPECT_EQ(spec.resources.nano_cpus, 1'500'000'000);
  EXPECT_EQ(spec.resources.pids_limit, 100);
  EXPECT_EQ(spec.resources.ulimits, (std::vector<engine::Ulimit>{{"nofile", 1024, 1024}, {"nproc", 1, 2}}));
  EXPECT_EQ(spec.resources.devices, (std::vector<engine::Device>{{"/dev/null", "/dev/x", "rwm"}}));
  EXPECT_EQ(spec.extra_hosts, std::vector<std::string>{"a:1.2.3.4"});
  EXPECT_EQ(spec.sysctls.at("net.core.somaxconn"), "1");
  EXPECT_TRUE(spec.init);
}

TEST(Desired, WhatIsNotBuiltIsRefusedWithItsMark) {
  EXPECT_EQ(error_of("    post_start: [{command: x}]"), "no error");
  EXPECT_EQ(error_of("    secrets: [s]", "secrets: {s: {external: true}}").substr(0, 57),
            "services.web.secrets[0]: external secret \"s\" is not suppo");
}

TEST(Desired, RestartPolicies) {
  EXPECT_TRUE(parse_restart("").ok());
  EXPECT_TRUE(parse_restart("unless-stopped").ok());
  EXPECT_FALSE(parse_restart("on-failure:x").ok());
  EXPECT_EQ(parse_restart("sometimes").error().message(),
            "invalid restart policy \"sometimes\": use no, always, unless-stopped, on-failure or on-failure:N");
}
