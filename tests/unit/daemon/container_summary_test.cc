// The text of a container in a list.
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <nlohmann/json.hpp>

#include "daemon/docker/container_json.h"

using namespace gantry;
using namespace gantry::daemon::docker;
using nlohmann::json;

namespace {

engine::ListedContainer web() {
  engine::ListedContainer container;
  container.observed.id = ContainerId("0123456789abcdef");
  container.observed.name = "web";
  container.observed.image_id = ImageId("sha256:1234");
  container.observed.state = engine::ContainerState::running;
  container.observed.labels = {{"a", "say \"hi\"\n"}, {"b", "no \xff UTF-8"}, {"c", ""}};
  container.arguments = {"sh", "-c", "exit 1"};
  net::PortForward& forward = container.published.emplace_back();
  forward.protocol = IPPROTO_TCP;
  forward.host_port = 8080;
  forward.container_port = 80;
  container.exposed = {{.port = 80}, {.port = 443}};
  container.mounts = {{.name = "data", .source = "/s", .destination = "/d", .driver = "local", .mode = "z"}};
  container.endpoints.resize(2);
  container.endpoints[0].network_name = "back";
  container.endpoints[1].network_name = "front";
  return container;
}

std::string text_of(const engine::ListedContainer& container, const SummaryParts& parts = {}) {
  std::string text;
  append_summary(text, container, "nginx", WallTime{}, parts);
  return text;
}

}  // namespace

// Members lie in the order of their names, texts are mended: nothing tells it from a document's text.
TEST(ContainerSummary, IsTheTextOfADocument) {
  for (const SummaryParts& parts : {SummaryParts{}, SummaryParts{.network_names_only = true, .labels = {{"c", "none", "a", "c"}}}}) {
    const std::string text = text_of(web(), parts);
    EXPECT_EQ(text, json::parse(text).dump());
  }
  const std::string bare = text_of({});
  EXPECT_EQ(bare, json::parse(bare).dump());
}

TEST(ContainerSummary, HoldsWhatDockersDoes) {
  const json summary = json::parse(text_of(web()));
  EXPECT_EQ(summary["Names"], json({"/web"}));
  EXPECT_EQ(summary["Image"], "nginx");
  EXPECT_EQ(summary["Command"], "sh -c 'exit 1'");
  EXPECT_EQ(summary["Labels"], json({{"a", "say \"hi\"\n"}, {"b", "no \xef\xbf\xbd UTF-8"}, {"c", ""}}));
  EXPECT_EQ(summary["Ports"].size(), 3U);
  EXPECT_EQ(summary["Mounts"][0]["Name"], "data");
  EXPECT_EQ(summary["NetworkSettings"]["Networks"].size(), 2U);
  EXPECT_EQ(summary.size(), 13U);
  EXPECT_EQ(container_summary(web(), "nginx", WallTime{}), summary);
}

TEST(ContainerSummary, ShowsTheChosenLabelsAlone) {
  const json summary = json::parse(text_of(web(), {.network_names_only = true, .labels = {{"c", "none", "a", "c"}}}));
  EXPECT_EQ(summary["Labels"], json({{"a", "say \"hi\"\n"}, {"c", ""}}));
  EXPECT_EQ(summary["NetworkSettings"]["Networks"], json({{"back", nullptr}, {"front", nullptr}}));
}
