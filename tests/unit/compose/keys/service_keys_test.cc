// Keys whose rules fit in a test or two: depends_on, healthcheck, networks, build, command, secrets, ulimits, ….
#include "unit/compose/load_fixture.h"

namespace gantry::compose {
namespace {

Service merged(const std::string& base, const std::string& over) {
  LoadFixture fixture;
  fixture.write("base.yaml", "services: {a: {image: x, " + base + "}, b: {image: x}, c: {image: x}}\n");
  fixture.write("over.yaml", "services: {a: {" + over + "}}\nnetworks: {n: , m: }\nvolumes: {v: }\nsecrets: {s: {file: s}}\n");
  fixture.options.files = {"base.yaml", "over.yaml"};
  LoadResult result = fixture.load();
  EXPECT_TRUE(result.ok()) << fixture.messages(result);
  return result.ok() ? result.project->services.at("a") : Service{};
}

using Texts = std::vector<std::string>;

TEST(DependsOn, ShortFormOverLongOneResetsTheCondition) {
  Service service = merged("depends_on: {b: {condition: service_healthy, restart: true}}", "depends_on: [b, c]");
  EXPECT_EQ(service.depends_on.at("b").condition, DependencyCondition::started);
  EXPECT_TRUE(service.depends_on.at("b").restart);
  EXPECT_TRUE(service.depends_on.contains("c"));
}

TEST(DependsOn, LongFormOverShortOneChangesWhatItNames) {
  Service service = merged("depends_on: [b]", "depends_on: {b: {condition: service_completed_successfully}}");
  EXPECT_EQ(service.depends_on.at("b").condition, DependencyCondition::completed_successfully);
  EXPECT_TRUE(service.depends_on.at("b").required);
}

TEST(DependsOn, IsImpliedByLinksNamespacesAndVolumesFrom) {
  Service service = service_of(
      "services: {a: {image: x, links: ['b:alias'], ipc: 'service:c', volumes_from: ['d:ro']}, b: {image: x}, "
      "c: {image: x}, d: {image: x}}");
  EXPECT_TRUE(service.depends_on.at("b").restart);
  EXPECT_TRUE(service.depends_on.at("c").restart);
  EXPECT_FALSE(service.depends_on.at("d").restart);
}

TEST(DependsOn, AnOptionalDependencyOnAnInactiveServiceIsNone) {
  Service service = service_of(
      "services: {a: {image: x, depends_on: {b: {condition: service_started, required: false}}}, b: {image: x, "
      "profiles: [p]}}");
  EXPECT_TRUE(service.depends_on.empty());
}

TEST(DependsOn, TheLongFormNeedsACondition) {
  EXPECT_EQ(first_message_of("services: {a: {image: x, depends_on: {b: {}}}, b: {image: x}}"),
            "compose.yaml:1:42: services.a.depends_on.b: missing property 'condition'");
  EXPECT_EQ(messages_of("services: {a: {image: x, depends_on: {b: {condition: service_healty}}}, b: {image: x}}"),
            "compose.yaml:1:54: services.a.depends_on.b.condition: must be one of service_started, service_healthy, "
            "service_completed_successfully, is \"service_healty\"\n"
            "  1 | services: {a: {image: x, depends_on: {b: {condition: service_healty}}}, b: {image: x}}\n"
            "    |                                                      ^~~~~~~~~~~~~~ did you mean "
            "\"service_healthy\"?\n");
}

TEST(Healthcheck, ATextIsForTheShell) {
  Service service = service_of("services: {a: {image: x, healthcheck: {test: NONE, interval: 1m, retries: 2.7}}}");
  EXPECT_EQ(service.healthcheck->test, (Texts{"CMD-SHELL", "NONE"}));
  EXPECT_EQ(service.healthcheck->interval, std::chrono::minutes(1));
  EXPECT_EQ(service.healthcheck->retries, 2u);
}

TEST(Healthcheck, ItsTestIsReplacedItsTimesAreMerged) {
  Service service = merged("healthcheck: {test: [CMD, a, b], interval: 3s}", "healthcheck: {test: c, timeout: 1s}");
  EXPECT_EQ(service.healthcheck->test, (Texts{"CMD-SHELL", "c"}));
  EXPECT_EQ(service.healthcheck->interval, std::chrono::seconds(3));
  EXPECT_EQ(service.healthcheck->timeout, std::chrono::seconds(1));
}

TEST(Healthcheck, AListBeginsWithItsKind) {
  EXPECT_EQ(first_message_of("services: {a: {image: x, healthcheck: {test: [curl]}}}"),
            "compose.yaml:1:47: services.a.healthcheck.test[0]: healthcheck.test must start either by \"CMD\", "
            "\"CMD-SHELL\" or \"NONE\"");
}

TEST(Networks, ListAndMappingMerge) {
  Service service = merged("networks: [n]", "networks: {m: {aliases: [z], ipv4_address: 10.0.0.2}}");
  EXPECT_EQ(service.networks.at("n"), std::nullopt);
  EXPECT_EQ(service.networks.at("m")->aliases, Texts{"z"});
}

TEST(Networks, AddressesAreChecked) {
  EXPECT_EQ(first_message_of("services: {a: {image: x, networks: {n: {ipv4_address: 10.0.0}}}}\nnetworks: {n: }"),
            "compose.yaml:1:55: services.a.networks.n.ipv4_address: not an IP address: \"10.0.0\"");
}

TEST(NetworkMode, ExcludesNetworks) {
  EXPECT_EQ(first_message_of("services: {a: {image: x, network_mode: host, networks: [n]}}\nnetworks: {n: }"),
            "compose.yaml:1:40: services.a.network_mode: service \"a\" declares mutually exclusive `network_mode` and "
            "`networks`");
}

TEST(Build, AContextAloneIsEnough) {
  LoadFixture fixture;
  fixture.write("compose.yaml", "services: {a: {build: ./dir}}");
  LoadResult result = fixture.load();
  ASSERT_TRUE(result.ok()) << fixture.messages(result);
  const BuildConfig& build = *result.project->services.at("a").build;
  EXPECT_EQ(build.context, fixture.options.working_dir + "/dir");
  EXPECT_EQ(build.dockerfile, "Dockerfile");
}

TEST(Build, ArgumentsTakeVariablesOrAreDropped) {
  LoadFixture fixture;
  fixture.options.environment["GIVEN"] = "g";
  fixture.write("compose.yaml", "services: {a: {build: {args: [GIVEN, NOT, A=1]}}}");
  LoadResult result = fixture.load();
  ASSERT_TRUE(result.ok()) << fixture.messages(result);
  EXPECT_EQ(result.project->services.at("a").build->args, (StringMap{{"A", "1"}, {"GIVEN", "g"}}));
  EXPECT_EQ(result.project->services.at("a").build->context, fixture.options.working_dir);
}

TEST(Build, RemoteContextsStayAsTheyAre) {
  for (const char* context : {"https://host/x.git#main", "git@host:x.git", "github.com/a/b", "ssh://h/x"}) {
    EXPECT_EQ(service_of(std::string("services: {a: {build: '") + context + "'}}").build->context, context);
  }
}

TEST(Build, DockerfileAndInlineExcludeEachOther) {
  EXPECT_EQ(first_message_of("services: {a: {build: {context: ., dockerfile: D, dockerfile_inline: FROM x}}}"),
            "compose.yaml:1:70: services.a.build: declares mutually exclusive dockerfile and dockerfile_inline");
}

TEST(Command, IsReplacedEvenByNull) {
  EXPECT_EQ(merged("command: a b", "command: [c]").command, Texts{"c"});
  EXPECT_EQ(merged("command: a b", "command: ").command, std::nullopt);
  EXPECT_EQ(merged("command: a b", "command: []").command, Texts{});
  EXPECT_EQ(merged("command: a b", "tty: true").command, (Texts{"a", "b"}));
}

TEST(Secrets, GetATarget) {
  Service service = merged("secrets: [s]", "secrets: [{source: s, mode: 0440}]");
  ASSERT_EQ(service.secrets.size(), 1u);
  EXPECT_EQ(service.secrets[0].target, "/run/secrets/s");
  EXPECT_EQ(service.secrets[0].mode, 0440u);
}

TEST(Ulimits, EachIsReplacedWhole) {
  Service service = merged("ulimits: {nofile: 10, nproc: {soft: 1, hard: 2}}", "ulimits: {nofile: {soft: 3, hard: 4}}");
  EXPECT_EQ(service.ulimits.at("nofile"), (ServiceLimit{3, 4, false}));
  EXPECT_EQ(service.ulimits.at("nproc"), (ServiceLimit{1, 2, false}));
  EXPECT_EQ(merged("ulimits: {nofile: {soft: 3, hard: 4}}", "ulimits: {nofile: 7}").ulimits.at("nofile"),
            (ServiceLimit{7, 7, true}));
}

TEST(ExtraHosts, AccumulatePerHost) {
  EXPECT_EQ(merged("extra_hosts: ['h:1.1.1.1']", "extra_hosts: {h: 2.2.2.2, g: ['[::1]', 3.3.3.3]}").extra_hosts,
            (Texts{"g=3.3.3.3", "g=::1", "h=1.1.1.1", "h=2.2.2.2"}));
}

TEST(Logging, AnotherDriverReplacesTheOptions) {
  Service service = merged("logging: {driver: json-file, options: {max-size: 1m}}", "logging: {driver: local}");
  EXPECT_EQ(*service.logging, (Logging{"local", {}}));
  service = merged("logging: {driver: json-file, options: {max-size: 1m}}", "logging: {options: {max-file: 3}}");
  EXPECT_EQ(*service.logging, (Logging{"json-file", {{"max-file", "3"}, {"max-size", "1m"}}}));
}

TEST(Booleans, OldSpellingsWarn) {
  EXPECT_EQ(messages_of("services: {a: {image: x, tty: yes}}"),
            "compose.yaml:1:31: warning: services.a.tty: \"yes\" for boolean is not supported by YAML 1.2, please use "
            "`true`\n"
            "  1 | services: {a: {image: x, tty: yes}}\n"
            "    |                               ^~~\n");
}

TEST(Null, InAnOverrideChangesNothing) {
  Service service = merged("user: me, ports: ['80'], labels: {a: b}", "user: , ports: , labels: ");
  EXPECT_EQ(service.user, "me");
  EXPECT_EQ(service.ports.size(), 1u);
  EXPECT_EQ(service.labels.size(), 1u);
}

TEST(Reset, RemovesWhatTheBaseSaysAndOverrideReplacesIt) {
  Service service = merged("ports: ['80'], dns: [1.1.1.1], labels: {a: b, c: d}",
                           "ports: !reset [], dns: !override [2.2.2.2], labels: {a: !reset null}");
  EXPECT_TRUE(service.ports.empty());
  EXPECT_EQ(service.dns, Texts{"2.2.2.2"});
  EXPECT_EQ(service.labels, (StringMap{{"c", "d"}}));
}

}  // namespace
}  // namespace gantry::compose
