#include "compose/conditions.h"

#include <gtest/gtest.h>

using namespace gantry;
using namespace gantry::compose;
using engine::ContainerState;
using engine::HealthState;

TEST(Conditions, MetPendingOrImpossible) {
  struct Row {
    Goal goal;
    ContainerState state;
    HealthState health;
    bool has_health_check;
    int exit_code;
    Verdict::Kind kind;
    const char* text;
    const char* message;
  };
  using enum ContainerState;
  constexpr auto kMet = Verdict::Kind::met;
  constexpr auto kPending = Verdict::Kind::pending;
  constexpr auto kImpossible = Verdict::Kind::impossible;
  const Row rows[] = {
      {Goal::healthy, running, HealthState::healthy, true, 0, kMet, "Healthy", ""},
      {Goal::healthy, running, HealthState::starting, true, 0, kPending, "Waiting", ""},
      {Goal::healthy, created, HealthState::none, false, 0, kPending, "Waiting", ""},
      {Goal::healthy, restarting, HealthState::unhealthy, true, 1, kPending, "Waiting", ""},
      {Goal::healthy, running, HealthState::unhealthy, true, 0, kImpossible, "Error",
       "dependency failed to start: container shop-db-1 is unhealthy"},
      {Goal::healthy, running, HealthState::none, false, 0, kImpossible, "Error",
       "dependency failed to start: container shop-db-1 has no healthcheck configured"},
      {Goal::healthy, exited, HealthState::unhealthy, true, 1, kImpossible, "Error",
       "dependency failed to start: container shop-db-1 exited (1)"},
      {Goal::healthy, dead, HealthState::none, true, 255, kImpossible, "Error",
       "dependency failed to start: container shop-db-1 exited (255)"},
      {Goal::completed_successfully, exited, HealthState::none, false, 0, kMet, "Exited", ""},
      {Goal::completed_successfully, running, HealthState::none, false, 0, kPending, "Waiting", ""},
      {Goal::completed_successfully, restarting, HealthState::none, false, 2, kPending, "Waiting", ""},
      {Goal::completed_successfully, exited, HealthState::none, false, 2, kImpossible, "Error",
       "service \"db\" didn't complete successfully: exit 2"},
      {Goal::ready, running, HealthState::none, false, 0, kMet, "Healthy", ""},
      {Goal::ready, running, HealthState::healthy, true, 0, kMet, "Healthy", ""},
      {Goal::ready, running, HealthState::starting, true, 0, kPending, "Waiting", ""},
      {Goal::ready, running, HealthState::unhealthy, true, 0, kImpossible, "Error",
       "container shop-db-1 is unhealthy"},
      {Goal::ready, exited, HealthState::none, false, 0, kMet, "Exited", ""},
      {Goal::ready, exited, HealthState::none, false, 3, kImpossible, "Error", "container shop-db-1 exited (3)"},
      {Goal::completed, exited, HealthState::none, false, 0, kMet, "Exited", ""},
      {Goal::completed, exited, HealthState::none, false, 3, kImpossible, "Error",
       "service \"db\" didn't complete successfully: exit 3"},
  };
  for (const Row& row : rows) {
    engine::ObservedContainer container;
    container.state = row.state;
    container.health = row.health;
    container.has_health_check = row.has_health_check;
    container.exit_code = row.exit_code;
    Verdict verdict = check(row.goal, "db", "shop-db-1", &container);
    EXPECT_EQ(verdict, (Verdict{.kind = row.kind, .text = row.text, .message = row.message})) << row.message;
  }
}

TEST(Conditions, AContainerThatIsGoneMakesThemImpossible) {
  EXPECT_EQ(check(Goal::healthy, "db", "shop-db-1", nullptr).message,
            "dependency failed to start: container shop-db-1 was removed");
}
