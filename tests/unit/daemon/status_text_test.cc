#include "daemon/docker/status_text.h"

#include <gtest/gtest.h>

namespace gantry::daemon::docker {
namespace {

using namespace std::chrono_literals;
using engine::ContainerState;
using engine::HealthState;

TEST(DurationWords, AreThoseOfGoUnits) {
  struct Row {
    std::chrono::seconds duration;
    const char* words;
  };
  const Row rows[] = {{0s, "Less than a second"}, {1s, "1 second"},         {59s, "59 seconds"},
                      {60s, "About a minute"},    {119s, "About a minute"}, {120s, "2 minutes"},
                      {59min, "59 minutes"},      {60min, "About an hour"}, {2h, "2 hours"},
                      {47h, "47 hours"},          {48h, "2 days"},          {24h * 13, "13 days"},
                      {24h * 14, "2 weeks"},      {24h * 59, "8 weeks"},    {24h * 60, "2 months"},
                      {24h * 365 * 2, "2 years"}};
  for (const Row& row : rows) EXPECT_EQ(duration_words(row.duration), row.words) << row.duration.count();
}

TEST(StatusText, SaysStateSinceWhenAndHealth) {
  const WallTime now{std::chrono::seconds(1'000'000)};
  engine::ObservedContainer container;
  container.started_at = now - 5min;
  container.finished_at = now - 3min;
  container.exit_code = 137;
  struct Row {
    ContainerState state;
    HealthState health;
    const char* text;
  };
  const Row rows[] = {{ContainerState::created, HealthState::none, "Created"},
                      {ContainerState::running, HealthState::none, "Up 5 minutes"},
                      {ContainerState::running, HealthState::healthy, "Up 5 minutes (healthy)"},
                      {ContainerState::running, HealthState::unhealthy, "Up 5 minutes (unhealthy)"},
                      {ContainerState::running, HealthState::starting, "Up 5 minutes (health: starting)"},
                      {ContainerState::paused, HealthState::none, "Up 5 minutes (Paused)"},
                      {ContainerState::restarting, HealthState::none, "Restarting (137) 3 minutes ago"},
                      {ContainerState::exited, HealthState::healthy, "Exited (137) 3 minutes ago"},
                      {ContainerState::removing, HealthState::none, "Removal In Progress"},
                      {ContainerState::dead, HealthState::none, "Dead"}};
  for (const Row& row : rows) {
    container.state = row.state;
    container.health = row.health;
    container.has_health_check = row.health != HealthState::none;
    EXPECT_EQ(status_text(container, now), row.text);
  }
}

}  // namespace
}  // namespace gantry::daemon::docker
