#include "compose/load.h"

#include "unit/compose/load_fixture.h"

namespace gantry::compose {
namespace {

TEST(Load, ASmallFileBecomesAProjectWithMarks) {
  LoadFixture fixture;
  fixture.write("compose.yaml", "services:\n  web:\n    image: nginx\n    ports: [\"8080:80\"]\n");
  LoadResult result = fixture.load();
  ASSERT_TRUE(result.ok()) << fixture.messages(result);
  const Project& project = *result.project;
  EXPECT_EQ(project.name, "demo");
  EXPECT_EQ(project.working_dir, fixture.options.working_dir);
  EXPECT_EQ(project.config_files, (std::vector{fixture.options.working_dir + "/compose.yaml"}));
  EXPECT_EQ(project.services.at("web").image, "nginx");
  EXPECT_EQ(project.networks.at("default").name, "demo_default");
  EXPECT_EQ(project.mark_of("services.web.image").to_string(), "compose.yaml:3:12");
  EXPECT_EQ(project.mark_of("services.web.ports[0]").to_string(), "compose.yaml:4:13");
  EXPECT_EQ(project.mark_of("services.web.ports[0].target").to_string(), "compose.yaml:4:13");
  EXPECT_EQ(project.mark_of("services.web.nowhere").to_string(), "compose.yaml:2:3");
}

TEST(Load, CollectsSeveralErrorsInTheOrderOfTheFile) {
  EXPECT_EQ(messages_of(R"(services:
  web:
    image: x
    restrat: always
    depends_on:
      - databse
    healthcheck: {interval: 10}
  database: {image: p, mem_limit: 1q}
)"),
            R"(compose.yaml:4:5: services.web.restrat: additional properties 'restrat' not allowed
  4 |     restrat: always
    |     ^~~~~~~ did you mean "restart"?
compose.yaml:6:9: services.web.depends_on: service "web" depends on undefined service "databse"
  6 |       - databse
    |         ^~~~~~~ did you mean "database"?
compose.yaml:7:29: services.web.healthcheck.interval: must be a string, is an integer: 10
  7 |     healthcheck: {interval: 10}
    |                             ^~ write for example 10s
compose.yaml:8:35: services.database.mem_limit: invalid suffix: 'q' in size "1q"; known are b, k, m, g, t, p
  8 |   database: {image: p, mem_limit: 1q}
    |                                   ^~
)");
}

TEST(Load, AnErrorPointsAtTheFileThatSuppliedTheValue) {
  LoadFixture fixture;
  fixture.write("a.yaml", "services:\n  web: {image: x}\n");
  fixture.write("b.yaml", "services:\n  web:\n    tty: maybe\n");
  fixture.options.files = {"a.yaml", "b.yaml"};
  EXPECT_EQ(fixture.config(),
            "b.yaml:3:10: services.web.tty: invalid boolean: maybe; write true or false\n"
            "  3 |     tty: maybe\n"
            "    |          ^~~~~\n");
}

TEST(Load, AnErrorInAnExtendedServicePointsIntoItsFile) {
  LoadFixture fixture;
  fixture.write("compose.yaml", "services:\n  web: {extends: {file: base.yaml, service: b}}\n");
  fixture.write("base.yaml", "services:\n  b:\n    image: x\n    tty: maybe\n");
  EXPECT_EQ(fixture.config(),
            "base.yaml:4:10: services.web.tty: invalid boolean: maybe; write true or false\n"
            "  4 |     tty: maybe\n"
            "    |          ^~~~~\n");
}

TEST(Load, MissingThingsAreNamedWithWhatIsThere) {
  const std::pair<const char*, const char*> rows[] = {
      {"services: {a: {image: x, depends_on: [bb]}, b: {image: x}}",
       "compose.yaml:1:39: services.a.depends_on: service \"a\" depends on undefined service \"bb\""},
      {"services: {a: {image: x, networks: [n]}}", "compose.yaml:1:37: services.a.networks: refers to undefined network n"},
      {"services: {a: {image: x, volumes: [\"vv:/v\"]}}",
       "compose.yaml:1:36: services.a.volumes[0]: refers to undefined volume vv"},
      {"services: {a: {image: x, secrets: [s]}}",
       "compose.yaml:1:36: services.a.secrets[0]: refers to undefined secret s"},
      {"services: {a: {tty: true}}",
       "compose.yaml:1:12: services.a: service \"a\" has neither an image nor a build context specified"},
      {"services: {a: {image: x, depends_on: [b]}, b: {image: x, links: [a]}}",
       "compose.yaml:1:66: services.b.depends_on: dependency cycle detected: a -> b -> a"},
      {"services: {a: {image: x, container_name: nn}, b: {image: x, container_name: nn}}",
       "compose.yaml:1:77: services.b.container_name: container name \"nn\" is already in use by service \"a\""},
      {"", "empty compose file"},
      {"[a]", "compose.yaml:1:1: top-level object must be a mapping"},
      {"services: []", "compose.yaml:1:11: services: must be a mapping, is a list"},
      {"services: {\"a b\": {image: x}}",
       "compose.yaml:1:12: services.\"a b\": additional properties 'a b' not allowed: a name is made of letters, "
       "digits, '.', '_' and '-'"},
      {"services: {a: {image: 3.10}}", "compose.yaml:1:23: services.a.image: must be a string, is a number: 3.1"},
      {"services: {a: {image: }}", "compose.yaml:1:16: services.a.image: must be a string"},
      {"services: {a: {image: x, restart: allways}}",
       "compose.yaml:1:35: services.a.restart: \"allways\" does not match the pattern: no, always, unless-stopped or "
       "on-failure[:<times>]"},
      {"services: {a: {image: x}}\nvolumes: {v: {external: true, driver: d}}",
       "compose.yaml:2:31: volumes.v.driver: conflicting parameters \"external\" and \"driver\" specified"},
      {"services: {a: {image: x}}\nsecrets: {s: {}}", "compose.yaml:2:11: secrets.s: one of file|environment must be set"},
  };
  for (auto [yaml, expected] : rows) EXPECT_EQ(first_message_of(yaml), expected) << yaml;
}

TEST(Load, ProfilesChooseServicesAndNamedOnesBringTheirs) {
  LoadFixture fixture;
  fixture.write("compose.yaml",
                "services:\n  a: {image: x}\n  b: {image: x, profiles: [p]}\n  c: {image: x, profiles: [q], "
                "depends_on: [a]}\n");
  auto names = [&] {
    std::string out;
    LoadResult result = fixture.load();
    if (!result.ok()) return fixture.messages(result);
    for (const auto& [name, service] : result.project->services) out += name + " ";
    for (const std::string& name : result.project->disabled_services) out += "-" + name + " ";
    return out;
  };
  EXPECT_EQ(names(), "a -b -c ");
  fixture.options.profiles = {"p"};
  EXPECT_EQ(names(), "a b -c ");
  fixture.options.profiles = {"*"};
  EXPECT_EQ(names(), "a b c ");
  fixture.options.profiles = {};
  fixture.options.environment["COMPOSE_PROFILES"] = "q, p";
  EXPECT_EQ(names(), "a b c ");
  fixture.options.environment.erase("COMPOSE_PROFILES");
  fixture.options.services = {"c"};
  EXPECT_EQ(names(), "a c -b ");
  fixture.options.with_dependencies = false;
  EXPECT_EQ(names(), "c -a -b ");
  fixture.options.services = {"zz"};
  EXPECT_EQ(names(), "no such service: zz\n");
}

TEST(Load, TheNameComesFromTheFlagThenTheVariableThenTheFileThenTheDirectory) {
  LoadFixture fixture;
  fixture.write("compose.yaml", "name: From_${X:-File}!\nservices: {a: {image: x}}\n");
  EXPECT_EQ(*project_name(fixture.options), "from_file");
  fixture.options.environment["COMPOSE_PROJECT_NAME"] = "variable";
  EXPECT_EQ(*project_name(fixture.options), "variable");
  fixture.options.project_name = "flag";
  EXPECT_EQ(*project_name(fixture.options), "flag");
  fixture.options.project_name = "Bad Name";
  EXPECT_EQ(project_name(fixture.options).error().message(),
            "invalid project name \"Bad Name\": must consist only of lowercase alphanumeric characters, hyphens, and "
            "underscores as well as start with a letter or number");
}

TEST(Load, FilesAreFoundUpwardsWithTheirOverride) {
  LoadFixture fixture;
  fixture.write("compose.yaml", "services: {a: {image: x}}\n");
  fixture.write("compose.override.yaml", "services: {a: {image: y}}\n");
  fixture.write(".env", "COMPOSE_PROJECT_NAME=fromenv\n");
  std::string here = fixture.options.working_dir;
  std::filesystem::create_directories(here + "/sub/dir");
  fixture.options.working_dir = here + "/sub/dir";
  LoadResult result = fixture.load();
  ASSERT_TRUE(result.ok()) << fixture.messages(result);
  EXPECT_EQ(result.project->working_dir, here);
  EXPECT_EQ(result.project->name, "fromenv");
  EXPECT_EQ(result.project->services.at("a").image, "y");
}

TEST(Load, StandardInputIsAFile) {
  LoadFixture fixture;
  fixture.options.files = {"-"};
  fixture.options.standard_input = "services: {a: {image: x, tty: 3}}";
  EXPECT_EQ(fixture.config(),
            "<stdin>:1:31: services.a.tty: must be a boolean or a string, is an integer: 3\n"
            "  1 | services: {a: {image: x, tty: 3}}\n"
            "    |                               ^ put it in quotes\n");
}

TEST(Load, OutputCanBeLoadedAgain) {
  LoadFixture fixture;
  fixture.write("compose.yaml",
                "services:\n  a:\n    image: x\n    command: echo $$HOME\n    environment: {A: 'yes', B: , C: \"l1\\nl2\"}\n"
                "    ports: ['80-81:80-81']\n    volumes: ['v:/v', './x:/x:ro']\nvolumes: {v: }\n");
  std::string first = fixture.load().canonical_yaml;
  fixture.write("compose.yaml", first);
  EXPECT_EQ(fixture.load().canonical_yaml, first);
}

TEST(Load, WhatTheEngineCannotDoIsListed) {
  Service service = service_of("services: {a: {image: x, gpus: all, storage_opt: {size: 1G}, isolation: default}}");
  EXPECT_EQ(service.unsupported, (std::vector<std::string>{"services.a.gpus", "services.a.storage_opt"}));
}

TEST(Load, DeployGivesTheLimitsThatTheServiceDoesNotGive) {
  Service service = service_of(
      "services: {a: {image: x, cpus: 2, deploy: {replicas: 3, resources: {limits: {cpus: 2, memory: 1g, pids: 9}}}}}");
  EXPECT_EQ(service.scale, 3);
  EXPECT_EQ(service.cpus, 2.0);
  EXPECT_EQ(service.mem_limit, 1 << 30);
  EXPECT_EQ(service.pids_limit, 9);
}

}  // namespace
}  // namespace gantry::compose
