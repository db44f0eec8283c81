#include "cli/providers.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "compose/config_hash.h"

namespace gantry::cli {
namespace {

compose::Service service(const std::string& name, const std::string& json, std::vector<std::string> needs = {}) {
  compose::Service made{.name = name, .canonical_json = json};
  for (const std::string& needed : needs) made.depends_on[needed] = {};
  return made;
}

std::string joined(const Result<std::vector<std::string>>& words) {
  return words.ok() ? join(*words, " ") : words.error().message();
}

const Provider kDatabase{.service = "db", .type = "cloud", .options = {{"size", {"small"}}, {"zone", {"a", "b"}}}};

TEST(Providers, AreTakenOutInTheOrderOfTheirDependencies) {
  compose::Project project;
  project.services["a"] = service("a", R"({"provider":{"type":"x"}})", {"b"});
  project.services["b"] = service("b", R"({"provider":{"type":"y","options":{"n":["1"]}}})");
  project.services["web"] = service("web", R"({"image":"i"})", {"a"});
  const auto providers = take_providers(project);
  ASSERT_EQ(providers.size(), 2u);
  EXPECT_EQ(providers[0], (Provider{.service = "b", .type = "y", .options = {{"n", {"1"}}}}));
  EXPECT_EQ(providers[1].service, "a");
  EXPECT_EQ(project.services.size(), 1u);
  EXPECT_EQ(project.disabled_services, (std::vector<std::string>{"a", "b"}));
}

TEST(Providers, GetTheOptionsThatTheyKnow) {
  EXPECT_EQ(joined(provider_arguments(kDatabase, "shop", "up", std::nullopt)),
            "compose --project-name=shop up --size=small --zone=a --zone=b db");
  const auto metadata = parse_provider_metadata(
      R"({"description":"x","up":{"parameters":[{"name":"size","required":true}]},"down":{"parameters":[]}})");
  ASSERT_TRUE(metadata);
  EXPECT_EQ(joined(provider_arguments(kDatabase, "shop", "up", metadata)), "compose --project-name=shop up --size=small db");
  EXPECT_EQ(joined(provider_arguments(kDatabase, "shop", "down", metadata)), "compose --project-name=shop down db");
  EXPECT_FALSE(metadata->stop);
  EXPECT_EQ(joined(provider_arguments({.service = "db", .type = "cloud"}, "shop", "up", metadata)),
            "required parameter \"size\" is missing from provider \"cloud\" definition");
  EXPECT_FALSE(parse_provider_metadata("usage: cloud"));
  EXPECT_TRUE(parse_provider_metadata(R"({"up":{},"stop":{}})")->stop);
}

TEST(Providers, TellInLinesOfJson) {
  ProvidedVariables variables;
  EXPECT_EQ(*take_provider_line(R"({"type":"info","message":"pulling"})", variables), "pulling");
  EXPECT_EQ(*take_provider_line(R"({"type":"debug","message":"x"})", variables), "");
  EXPECT_TRUE(take_provider_line(R"({"type":"setenv","message":"URL=http://x?a=b"})", variables).ok());
  EXPECT_TRUE(take_provider_line(R"({"type":"rawsetenv","message":"TOKEN="})", variables).ok());
  EXPECT_EQ(variables.own.at("URL"), "http://x?a=b");
  EXPECT_EQ(variables.raw.at("TOKEN"), "");
  EXPECT_EQ(take_provider_line(R"({"type":"error","message":"no quota"})", variables).error().message(), "no quota");
  for (const char* line : {"hello", "[]", R"({"type":"dance"})", R"({"type":"setenv","message":"URL"})"}) {
    EXPECT_FALSE(take_provider_line(line, variables).ok()) << line;
  }
}

TEST(Providers, VariablesGoToThoseWhoDependOnThem) {
  compose::Project project;
  project.services["web"] = service("web", R"({"environment":{"TOKEN":"old"},"image":"i"})", {"my-db"});
  project.services["web"].environment["TOKEN"] = "old";
  project.services["other"] = service("other", R"({"image":"i"})");
  const std::string before = compose::config_hash(project.services["web"]);
  const auto replaced =
      add_variables(project, {.service = "my-db", .type = "x"}, {.own = {{"URL", "u"}}, .raw = {{"TOKEN", "new"}}});
  EXPECT_EQ(replaced, std::vector<std::string>{"TOKEN"});
  EXPECT_EQ(project.services["web"].environment.at("MY_DB_URL"), "u");
  EXPECT_EQ(project.services["web"].environment.at("TOKEN"), "new");
  EXPECT_NE(compose::config_hash(project.services["web"]), before);
  EXPECT_TRUE(project.services["other"].environment.empty());
}

}  // namespace
}  // namespace gantry::cli
