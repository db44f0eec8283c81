#include "compose/project_json.h"

#include <gtest/gtest.h>

#include "compose/config_hash.h"
#include "unit/compose/load_fixture.h"

namespace gantry::compose {
namespace {

constexpr const char* kEverything = R"(
services:
  a:
    image: x
    build: {context: ., args: {A: 1}, ssh: [default], ulimits: {nofile: {soft: 1, hard: 2}}, secrets: [s]}
    command: run "it"
    environment: {A: 1, B: }
    depends_on: {b: {condition: service_healthy, restart: true}}
    healthcheck: {test: "true", interval: 3s, retries: 0}
    networks: {n: {aliases: [z], priority: 3}, m: }
    ports: ["127.0.0.1:80-81:8080-8081/udp"]
    volumes: ["v:/v:nocopy", {type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0700}}, "./b:/b:ro,z"]
    secrets: [{source: s, mode: 0400}]
    configs: [c]
    cpus: 0.5
    mem_limit: 1g
    stop_grace_period: 3s
    post_start: [{command: echo, environment: [Q=1]}]
    logging: {driver: local, options: {max-size: 1m}}
    ulimits: {nproc: 5}
    devices: [/dev/null]
    deploy: {replicas: 2, restart_policy: {condition: any, delay: 1s}}
  b: {image: y}
networks: {n: {ipam: {config: [{subnet: 10.9.0.0/24, aux_addresses: {r: 10.9.0.2}}]}}, m: {internal: true}}
volumes: {v: {driver_opts: {o: bind}}}
secrets: {s: {environment: SECRET}}
configs: {c: {content: "text"}}
)";

TEST(ProjectJson, EveryFieldSurvivesTheWayToTheDaemon) {
  LoadFixture fixture;
  fixture.options.environment["SECRET"] = "hush";
  fixture.write("compose.yaml", kEverything);
  LoadResult result = fixture.load();
  ASSERT_TRUE(result.ok()) << fixture.messages(result);
  std::string json = to_json(*result.project);
  auto back = project_from_json(json);
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(to_json(*back), json);
  EXPECT_EQ(back->services, result.project->services);
  EXPECT_EQ(back->networks, result.project->networks);
  EXPECT_EQ(back->volumes, result.project->volumes);
  EXPECT_EQ(back->secrets, result.project->secrets);
  EXPECT_EQ(back->configs, result.project->configs);
  EXPECT_EQ(back->marks, result.project->marks);
  EXPECT_EQ(back->secrets.at("s").content, "hush");
}

TEST(ProjectJson, SecretsAreNeverPrinted) {
  LoadFixture fixture;
  fixture.options.environment["SECRET"] = "hush";
  fixture.write("compose.yaml", kEverything);
  LoadResult result = fixture.load();
  EXPECT_EQ(result.canonical_yaml.find("hush"), std::string::npos);
  EXPECT_EQ(result.canonical_json.find("hush"), std::string::npos);
}

TEST(ProjectJson, ForeignOrHostileTextIsRefused) {
  for (const char* json : {"", "{", "[]", "{\"name\": 1}", "{\"nmae\": \"x\"}", "{\"services\": {\"a\": {\"x\": 1}}}",
                           "{\"services\": {\"a\": {\"ports\": [{\"target\": 70000}]}}}"}) {
    EXPECT_FALSE(project_from_json(json).ok()) << json;
  }
  std::string deep = "{\"services\":" + std::string(100'000, '[');
  EXPECT_FALSE(project_from_json(deep).ok());
}

TEST(ConfigHash, IsTheOneThatOtherImplementationsCompute) {
  Service service = service_of("services: {a: {image: y}}\n");
  EXPECT_EQ(service.canonical_json,
            R"({"command":null,"entrypoint":null,"image":"y","networks":{"default":null}})");
  EXPECT_EQ(config_hash(service), "feac2c1f81733e07f63676ddb086e48b42480dd5b1fc467681009441f85b414c");
}

TEST(ConfigHash, IgnoresWhatNeedsNoNewContainer) {
  const std::string base = config_hash(service_of("services: {a: {image: y, deploy: {mode: replicated}}}"));
  for (const char* more : {"deploy: {mode: replicated, replicas: 3}, scale: 3", "pull_policy: always", "build: .",
                           "depends_on: [b]", "x-anything: [1]"}) {
    std::string deploy = std::string(more).starts_with("deploy") ? "" : "deploy: {mode: replicated}, ";
    Service service = service_of("services: {a: {image: y, " + deploy + more + "}, b: {image: z}}");
    EXPECT_EQ(config_hash(service), base) << more;
  }
  EXPECT_NE(config_hash(service_of("services: {a: {image: y, deploy: {mode: global}}}")), base);
  EXPECT_NE(config_hash(service_of("services: {a: {image: y, labels: {a: b}, deploy: {mode: replicated}}}")), base);
}

}  // namespace
}  // namespace gantry::compose
