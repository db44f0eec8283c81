#include "compose/plan_changes.h"

#include <gtest/gtest.h>

namespace gantry::compose {
namespace {

std::string lines(const Plan& plan) {
  std::string text;
  for (const Change& change : changes_of(plan)) text += change_line(change) + "\n";
  return text;
}

TEST(PlanChanges, OneLineAResource) {
  Plan plan;
  plan.add({.action = CreateNetwork{{.name = "shop_default"}}});
  plan.add({.action = PullImage{.reference = "nginx:1"}});
  plan.add({.action = CreateContainer{{.name = "abc_shop-web-1"}, "shop-web-1"}, .cause = "user added"});
  plan.add({.action = StopContainer{{.name = "shop-web-1"}, {}}});
  plan.add({.action = RemoveContainer{{.name = "shop-web-1"}, {}}});
  plan.add({.action = RenameContainer{{.name = "shop-web-1"}, "shop-web-1"}});
  plan.add({.action = CreateContainer{{.name = "shop-db-1"}, "shop-db-1"}});
  plan.add({.action = StartContainer{{.name = "shop-db-1", .made_by = 7}}});
  plan.add({.action = StartContainer{{.name = "shop-web-1", .made_by = 3}}});
  plan.add({.action = StartContainer{{.name = "shop-cache-1"}}});
  plan.add({.action = RemoveContainer{{.name = "shop-old-1"}, {}}, .cause = "orphan"});
  plan.add({.action = StopContainer{{.name = "shop-app-1"}, {}}, .cause = "depends on web, which is made anew"});
  plan.add({.action = StartContainer{{.name = "shop-app-1"}}});
  EXPECT_EQ(lines(plan), R"(+ create network shop_default
+ pull image nginx:1
~ recreate shop-web-1: user added
+ create shop-db-1
> start shop-cache-1
- remove shop-old-1: orphan
> restart shop-app-1: depends on web, which is made anew
)");
  EXPECT_EQ(summary_of(changes_of(plan)),
            "1 to pull, 2 to create, 1 to recreate, 1 to start, 1 to restart, 1 to remove");
}

TEST(PlanChanges, WaitingChangesNothing) {
  Plan plan;
  plan.add({.action = WaitFor{.service = "db"}});
  EXPECT_TRUE(changes_of(plan).empty());
}

TEST(PlanChanges, ReportsComeBackFromJson) {
  const PlanReport report{.changes = {{.kind = Change::Kind::recreate, .name = "shop-web-1", .service = "web", .cause = "user added"},
                                      {.kind = Change::Kind::create, .resource = Progress::Resource::volume, .name = "shop_data"}},
                          .warnings = {"careful"},
                          .steps = "#1 create volume shop_data\n"};
  const auto again = plan_report_from_json(to_json(report));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, report);
  EXPECT_FALSE(plan_report_from_json("[]").ok());
}

}  // namespace
}  // namespace gantry::compose
