#include "compose/plan.h"

#include <gtest/gtest.h>

using namespace gantry;
using namespace gantry::compose;

TEST(Plan, ReadsAsStepsWithPrerequisitesAndCauses) {
  Plan plan;
  StepId network = plan.add({.action = CreateNetwork{{.name = "shop_default"}}});
  StepId web = plan.add({.action = CreateContainer{{.name = "abc_shop-web-1"}, "shop-web-1"},
                         .cause = "image changed",
                         .after = {network, network}});
  ContainerRef ref{.name = "shop-web-1", .made_by = web};
  StepId stop = plan.add({.action = StopContainer{{.name = "shop-web-1"}}, .after = {web}});
  plan.add({.action = RenameContainer{ref, "shop-web-1"}, .after = {stop, web}});
  plan.add({.action = StartContainer{ref}, .stage = 1});
  plan.add({.action = WaitFor{.service = "web", .goal = Goal::ready, .containers = {ref}, .required = false},
            .stage = 2});
  EXPECT_EQ(plan.text(), R"(#1 create network shop_default
[1] -> #2 create shop-web-1 as abc_shop-web-1: image changed
[2] -> #3 stop shop-web-1
[2,3] -> #4 rename shop-web-1 to shop-web-1
then
#5 start shop-web-1
then
#6 wait for shop-web-1: running and healthy, not required
)");
  EXPECT_EQ(Plan{}.text(), "");
}
