#include "compose/graph.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "compose/observed_project.h"

using namespace gantry;
using namespace gantry::compose;

namespace {

// "web: db cache" a service.
Project project_of(const std::vector<std::string>& lines) {
  Project project{.name = "shop"};
  for (const std::string& line : lines) {
    size_t colon = line.find(':');
    Service service{.name = line.substr(0, colon), .image = "image"};
    for (const std::string& needed : split(trim(line.substr(colon + 1)), ' ')) {
      if (!needed.empty()) service.depends_on[needed] = {};
    }
    project.services[service.name] = service;
  }
  return project;
}

std::string levels_of(const Graph& graph) {
  std::string text;
  for (const auto& level : graph.levels()) {
    for (Graph::Index index : level) text += to_string(graph.node(index)) + "; ";
    text += "\n";
  }
  return text;
}

}  // namespace

TEST(Graph, LevelsNeedOnlyLowerOnes) {
  Project project = project_of({"web: app", "app: db cache", "db:", "cache:"});
  project.networks["back"] = {.key = "back"};
  project.services["db"].networks["back"] = std::nullopt;
  EXPECT_EQ(levels_of(build_graph(project).value()),
            "network back; image image; \n"
            "service cache; service db; \n"
            "service app; \n"
            "service web; \n");
}

TEST(Graph, CyclesAreNamedInFullFromTheSmallestName) {
  struct Row {
    std::vector<std::string> services;
    const char* message;
  };
  const Row rows[] = {
      {{"a: a"}, "dependency cycle detected: a -> a"},
      {{"a: b", "b: a"}, "dependency cycle detected: a -> b -> a"},
      {{"x: c", "c: b", "b: a", "a: c"}, "dependency cycle detected: a -> c -> b -> a"},
  };
  for (const Row& row : rows) EXPECT_EQ(build_graph(project_of(row.services)).error().message(), row.message);
}

TEST(Graph, AnUndefinedDependencyIsAnErrorUnlessOptionalOrDisabled) {
  Project project = project_of({"web: db"});
  project.marks["services.web.depends_on.db"] = {"compose.yaml", 4, 9};
  EXPECT_EQ(build_graph(project).error().message(),
            "service \"web\" depends on undefined service \"db\"\n  compose.yaml:4:9 (services.web.depends_on.db)");
  project.disabled_services = {"db"};
  EXPECT_TRUE(build_graph(project).ok());
  project.disabled_services.clear();
  project.services["web"].depends_on["db"].required = false;
  EXPECT_TRUE(build_graph(project).ok());
}

TEST(Graph, AChainLongerThanAStackIsNoProblem) {
  Project project{.name = "shop"};
  constexpr int kServices = 50000;
  for (int i = 0; i < kServices; ++i) {
    Service service{.name = "s" + std::to_string(i), .image = "x"};
    if (i > 0) service.depends_on["s" + std::to_string(i - 1)] = {};
    project.services[service.name] = std::move(service);
  }
  EXPECT_EQ(build_graph(project).value().levels().size(), kServices + 1u);
  project.services["s0"].depends_on["s" + std::to_string(kServices - 1)] = {};
  EXPECT_FALSE(build_graph(project).ok());
}

TEST(Graph, ClosuresGoBothWays) {
  ServiceDependencies dependencies = dependencies_of(project_of({"web: app", "app: db", "db:", "other:"}));
  EXPECT_EQ(with_dependencies(dependencies, {"app"}), (std::vector<std::string>{"app", "db"}));
  EXPECT_EQ(with_dependants(dependencies, {"app"}), (std::vector<std::string>{"app", "web"}));
}

TEST(Graph, TheDependsOnLabelIsWrittenAndReadBack) {
  std::map<std::string, Dependency> dependencies{
      {"db", {.condition = DependencyCondition::healthy}},
      {"job", {.condition = DependencyCondition::completed_successfully, .restart = true}},
      {"web", {}}};
  std::string label = depends_on_label(dependencies);
  EXPECT_EQ(label, "db:service_healthy:false,job:service_completed_successfully:true,web:service_started:false");
  EXPECT_EQ(parse_depends_on_label(label), dependencies);
  EXPECT_TRUE(parse_depends_on_label("").empty());
  EXPECT_EQ(parse_depends_on_label("x,:::,y:nonsense").size(), 2u);
}

TEST(Graph, OrdersWhatLabelsSayEvenIfTheyGoInCircles) {
  ServiceDependencies dependencies{{"a", {{"b", {}}}}, {"b", {{"a", {}}}}, {"c", {{"d", {}}}}, {"d", {}}};
  EXPECT_EQ(in_order(dependencies), (std::vector<std::string>{"d", "c", "a", "b"}));
}
