#include "engine/container/record_json.h"
#include "engine/iface/spec_json.h"
#include "unit/engine/image_fixture.h"

namespace gantry::engine {
namespace {

using std::chrono::seconds;

ContainerSpec full_spec() {
  ContainerSpec spec;
  spec.name = "web-1";
  spec.image = "hello:1";
  spec.labels = {{"a", "b"}, {"", "empty key"}};
  spec.entrypoint.emplace();
  spec.command = {"sh", "-c", "echo \"\xc3\xa9\""};
  spec.environment = {"A=b", "REMOVED"};
  spec.stop_timeout = seconds(3);
  spec.health_check = HealthCheck{.test = {"CMD", "true"}, .interval = seconds(1), .timeout = {}, .start_period = {},
                                  .start_interval = std::chrono::milliseconds(1500), .retries = 7};
  spec.restart = {.kind = RestartPolicy::Kind::on_failure, .maximum_retries = 3};
  spec.mounts = {{.kind = Mount::Kind::bind, .source = "/a", .target = "/b", .recursive = false},
                 {.kind = Mount::Kind::tmpfs, .target = "/t", .tmpfs_size = 1 << 20, .tmpfs_mode = 01777}};
  spec.files = {{.target = "/run/secrets/x", .content = "s3cret\n", .mode = 0400, .uid = 5}};
  spec.anonymous_volumes = {"/data"};
  spec.network_mode = {.kind = NetworkMode::Kind::container, .container = "other"};
  spec.endpoints = {{.network = "front", .aliases = {"web"}, .ipv4_address = "10.0.0.9", .gw_priority = -1}};
  spec.exposed = {{.port = 80}, {.port = 53, .protocol = PortProtocol::udp}};
  spec.published = {{.container = {.port = 80}, .host_ip = "127.0.0.1", .host_first = 8080, .host_last = 8090}};
  spec.masked_paths.emplace();
  spec.sysctls = {{"net.core.somaxconn", "128"}};
  spec.oom_score_adj = -5;
  spec.resources.memory = int64_t{1} << 40;
  spec.resources.memory_swap = -1;
  spec.resources.ulimits = {{.name = "nofile", .soft = 1024, .hard = -1}};
  spec.resources.devices = {{.host_path = "/dev/null", .container_path = "/dev/x", .permissions = "r"}};
  spec.log = {.driver = "json-file", .options = {{"max-size", "1m"}}};
  return spec;
}

TEST(SpecJson, EverySpecReadsBackAsItWas) {
  EXPECT_EQ(VALUE(container_spec_from_json(to_json(full_spec()))), full_spec());
  EXPECT_EQ(VALUE(container_spec_from_json(to_json(ContainerSpec()))), ContainerSpec());
  const NetworkSpec network{.name = "n", .driver = "bridge", .options = {{"k", "v"}},
                            .pools = {{.subnet = "10.0.0.0/24", .ip_range = "", .gateway = "10.0.0.1", .aux_addresses = {{"x", "10.0.0.2"}}}},
                            .internal = true, .enable_ipv4 = false, .enable_ipv6 = true, .labels = {{"l", ""}}};
  EXPECT_EQ(VALUE(network_spec_from_json(to_json(network))), network);
  const VolumeSpec volume{.name = "v", .driver = "local", .options = {{"type", "none"}}, .labels = {{"l", "1"}}};
  EXPECT_EQ(VALUE(volume_spec_from_json(to_json(volume))), volume);
}

TEST(SpecJson, DefaultsAreLeftOut) {
  EXPECT_EQ(to_json(ContainerSpec()), "{}");
  EXPECT_EQ(to_json(VolumeSpec{.name = "v"}), R"({"name":"v"})");
}

TEST(SpecJson, WrongDocumentsSayWhere) {
  const struct {
    const char* json;
    const char* message;
  } rows[] = {
      {"", "container spec: is no JSON"},
      {"[]", "container spec: must be an object"},
      {R"({"nmae":"x"})", R"(container spec: unknown field "nmae")"},
      {R"({"name":5})", "container spec: name: must be a string"},
      {R"({"mounts":[{"target":"/a"},{"target":5}]})", "container spec: mounts[1].target: must be a string"},
      {R"({"exposed":[{"port":70000}]})", "container spec: exposed[0].port: is out of range"},
      {R"({"exposed":[{"port":-1}]})", "container spec: exposed[0].port: is out of range"},
      {R"({"exposed":[{"port":1.5}]})", "container spec: exposed[0].port: must be a whole number"},
      {R"({"restart":{"kind":"sometimes"}})", R"(container spec: restart.kind: unknown value "sometimes")"},
      {R"({"labels":{"a":1}})", "container spec: labels[a]: must be a string"},
  };
  for (const auto& row : rows) {
    auto result = container_spec_from_json(row.json);
    ASSERT_FALSE(result.ok()) << row.json;
    EXPECT_EQ(result.error().message(), row.message);
  }
}

TEST(SpecJson, DepthAndSizeAreBounded) {
  const std::string deep = R"({"labels":)" + std::string(100000, '[') + std::string(100000, ']') + "}";
  EXPECT_EQ(container_spec_from_json(deep).error().message(), "container spec: nested too deeply");
  EXPECT_EQ(container_spec_from_json(std::string(17 << 20, ' ')).error().message(), "container spec: more than 16 MiB");
}

TEST(SpecJson, BytesThatAreNoTextAreKeptAsReplacementCharacters) {
  ContainerSpec spec;
  spec.environment = {"A=\xff"};
  EXPECT_EQ(VALUE(container_spec_from_json(to_json(spec))).environment[0], "A=\xef\xbf\xbd");
}

TEST(RecordJson, RecordsReadBackAsTheyWere) {
  ContainerRecord record;
  record.image_id = ImageId("sha256:abc");
  record.image_config.environment = {"PATH=/bin"};
  record.image_config.volumes = {"/data"};
  record.image_config.health_check = HealthCheck{.test = {"NONE"}, .interval = {}, .timeout = {}, .start_period = {},
                                                 .start_interval = {}, .retries = {}};
  record.created_at = WallTime(std::chrono::nanoseconds(1'700'000'000'123'456'789));
  record.mounts = {{.mount = {.kind = Mount::Kind::volume, .source = "v", .target = "/data"}, .anonymous = true}};
  const ContainerRecord again = VALUE(container_record_from_json(to_json(record)));
  EXPECT_EQ(to_json(again), to_json(record));
  EXPECT_EQ(again.created_at, record.created_at);
  EXPECT_EQ(again.mounts, record.mounts);
  EXPECT_EQ(again.image_config.environment, record.image_config.environment);

  ContainerStatus status;
  status.state = ContainerState::dead;
  status.exit_code = 137;
  status.health = HealthState::unhealthy;
  status.endpoints = {{.network = NetworkId("n"), .endpoint_id = "e", .host_interface = "veth1", .container_interface = "eth0",
                       .mac = "02:00:00:00:00:01", .address4 = "10.0.0.2", .address6 = "", .gateway4 = true}};
  status.published = {{.protocol = 17, .host_ip = "", .host_port = 53, .container_port = 53}};
  const ContainerStatus read = VALUE(container_status_from_json(to_json(status)));
  EXPECT_EQ(to_json(read), to_json(status));
  EXPECT_EQ(read.endpoints, status.endpoints);
  EXPECT_EQ(read.state, ContainerState::dead);
}

}  // namespace
}  // namespace gantry::engine
