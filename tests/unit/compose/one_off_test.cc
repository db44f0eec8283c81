#include "compose/one_off.h"

#include <gtest/gtest.h>

#include "compose/labels.h"
#include "support/sim_project.h"

using namespace gantry;
using namespace gantry::compose;

namespace {

engine::ContainerSpec one_off(const RunOptions& options) {
  Project project = test::project_from(R"(
services:
  web:
    image: x
    command: serve
    restart: always
    ports: ["80:80"]
    environment: {A: "1", B: "2"}
    cap_add: [NET_ADMIN]
    volumes: ["data:/var/data"]
volumes: {data: {}}
)");
  SeededRandom random(1);
  auto made = make_one_off(desire(project).value(), options, random);
  EXPECT_TRUE(made.ok()) << made.error().message();
  return made.ok() ? made->spec : engine::ContainerSpec{};
}

}  // namespace

TEST(OneOff, IsNoReplica) {
  engine::ContainerSpec spec = one_off({.service = "web"});
  EXPECT_EQ(spec.name.size(), std::string("shop-web-run-0123456789ab").size());
  EXPECT_EQ(spec.labels[label::kOneOff], "True");
  EXPECT_EQ(spec.labels[label::kSlug].size(), 64u);
  EXPECT_FALSE(spec.labels.contains(label::kContainerNumber));
  EXPECT_EQ(spec.restart, engine::RestartPolicy{});
  EXPECT_TRUE(spec.published.empty());
  EXPECT_TRUE(spec.endpoints.at(0).aliases.empty());
}

TEST(OneOff, OptionsWin) {
  engine::ContainerSpec spec = one_off({.service = "web",
                                        .container_name = "mine",
                                        .entrypoint = {{"sh"}},
                                        .environment = {"A=9", "C"},
                                        .labels = {"l=1"},
                                        .volumes = {"/src:/dst:ro", "data:/d"},
                                        .user = "u",
                                        .service_ports = true,
                                        .use_aliases = true,
                                        .cap_drop = {"NET_ADMIN"}});
  EXPECT_EQ(spec.name, "mine");
  EXPECT_EQ(spec.entrypoint, std::vector<std::string>{"sh"});
  EXPECT_FALSE(spec.command.has_value());
  EXPECT_EQ(spec.environment, (std::vector<std::string>{"B=2", "A=9"}));
  EXPECT_EQ(spec.labels["l"], "1");
  ASSERT_EQ(spec.mounts.size(), 3u);
  EXPECT_EQ(spec.mounts[1].source, "/src");
  EXPECT_TRUE(spec.mounts[1].read_only);
  EXPECT_EQ(spec.mounts[2].source, "shop_data");
  EXPECT_EQ(spec.published.size(), 1u);
  EXPECT_EQ(spec.cap_drop, std::vector<std::string>{"NET_ADMIN"});
  EXPECT_TRUE(spec.cap_add.empty());
  EXPECT_EQ(spec.endpoints.at(0).aliases, std::vector<std::string>{"web"});
}

TEST(OneOff, PublishGrammar) {
  auto show = [](const std::string& text) {
    auto ports = parse_publish(text);
    if (!ports.ok()) return ports.error().message();
    std::string shown;
    for (const auto& p : *ports) {
      shown += p.host_ip + "|" + std::to_string(p.host_first) + "-" + std::to_string(p.host_last) + "|" +
               std::to_string(p.container.port) + " ";
    }
    return shown;
  };
  EXPECT_EQ(show("80"), "|0-0|80 ");
  EXPECT_EQ(show("8080:80/udp"), "|8080-8080|80 ");
  EXPECT_EQ(show("[::1]:8080:80"), "::1|8080-8080|80 ");
  EXPECT_EQ(show("127.0.0.1::80"), "127.0.0.1|0-0|80 ");
  EXPECT_EQ(show("8000-8001:80-81"), "|8000-8000|80 |8001-8001|81 ");
  EXPECT_EQ(show("8000-8005:80"), "|8000-8005|80 ");
  EXPECT_EQ(show("1-2:1-3"), "Invalid ranges specified for container and host Ports: 1-3 and 1-2");
  EXPECT_EQ(show("x"), "invalid port or range of ports: \"x\"");
}

TEST(OneOff, VolumeGrammar) {
  EXPECT_EQ(parse_volume("/a")->source, "");
  EXPECT_EQ(parse_volume("/h:/a")->kind, engine::Mount::Kind::bind);
  EXPECT_EQ(parse_volume("v:/a:nocopy")->no_copy, true);
  EXPECT_EQ(parse_volume("a:b:c:d").error().message(), "invalid spec: a:b:c:d: too many colons");
  EXPECT_EQ(parse_volume(":/x").error().message(), "invalid spec: :/x: empty section between colons");
  EXPECT_EQ(parse_volume("v:/a:odd").error().message(), "invalid spec: v:/a:odd: unknown option \"odd\"");
}
