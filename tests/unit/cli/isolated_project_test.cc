#include "cli/isolated_project.h"

#include <gtest/gtest.h>

#include "cli/junit.h"

namespace gantry::cli {
namespace {

TEST(IsolatedProject, EverythingWithANameGetsAnother) {
  compose::Project project{.name = "shop"};
  project.networks["default"] = {.key = "default", .name = "shop_default"};
  project.networks["lan"] = {.key = "lan", .name = "lan", .external = true};
  project.volumes["data"] = {.key = "data", .name = "fixed"};
  compose::Service web{.name = "web", .container_name = "the-web"};
  web.build = compose::BuildConfig{.context = "/w"};
  web.ports = {{.host_ip = "0.0.0.0", .target = 80, .published = "8080"}};
  project.services["web"] = web;
  isolate(project, "copy");
  EXPECT_EQ(project.name, "copy");
  EXPECT_EQ(project.networks["default"].name, "copy_default");
  EXPECT_EQ(project.networks["lan"].name, "lan");
  EXPECT_EQ(project.volumes["data"].name, "copy_fixed");
  EXPECT_EQ(project.services["web"].image, "shop-web");
  EXPECT_EQ(project.services["web"].container_name, "");
  EXPECT_EQ(project.services["web"].ports[0].published, "");
  EXPECT_EQ(project.services["web"].ports[0].host_ip, "127.0.0.1");
}

TEST(IsolatedProject, PortsBecomeVariables) {
  ContainerRow row{.ports = {{.ip = "127.0.0.1", .target = 8080, .published = 32768}, {.target = 9}}};
  row.labels = {{"com.docker.compose.service", "my-web"}, {"com.docker.compose.container-number", "1"}};
  const std::map<std::string, std::string> expected = {{"MY_WEB_8080_HOST", "127.0.0.1"},
                                                       {"MY_WEB_8080_PORT", "32768"},
                                                       {"MY_WEB_8080_URL", "http://127.0.0.1:32768"}};
  EXPECT_EQ(port_variables({row}), expected);
}

TEST(Junit, FailuresCarryTheirOutputEscaped) {
  const std::string file = junit_file({{.suite = "shop", .name = "a & b", .seconds = 1.5},
                                       {.suite = "shop", .name = "c", .failure = "exit code 1", .output = "<x>\x1b"}});
  EXPECT_NE(file.find("tests=\"2\" failures=\"1\" time=\"1.500\""), std::string::npos) << file;
  EXPECT_NE(file.find("name=\"a &amp; b\" time=\"1.500\"/>"), std::string::npos) << file;
  EXPECT_NE(file.find("<failure message=\"exit code 1\">&lt;x&gt;</failure>"), std::string::npos) << file;
}

}  // namespace
}  // namespace gantry::cli
