#include "engine/container/health.h"

#include <gtest/gtest.h>

namespace gantry::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
const WallTime kStart{seconds(1000)};

EffectiveCheck check(int retries = 2) {
  EffectiveCheck check;
  check.arguments = {"true"};
  check.interval = seconds(30);
  check.timeout = seconds(30);
  check.retries = retries;
  return check;
}
ProbeResult probe(int code, seconds at = seconds(60), std::string output = "") {
  return {.start = kStart + at, .end = kStart + at + milliseconds(5), .exit_code = code, .output = std::move(output)};
}

TEST(HealthCheck, FormsAndDefaults) {
  const std::vector<std::string> shell = {"/bin/bash", "-c"};
  EXPECT_FALSE(effective_check(std::nullopt, {}));
  EXPECT_FALSE(effective_check(HealthCheck{.test = {"NONE"}}, {}));
  EXPECT_FALSE(effective_check(HealthCheck{.test = {"CMD"}}, {}));
  EXPECT_EQ(effective_check(HealthCheck{.test = {"CMD", "a", "b"}}, {})->arguments, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(effective_check(HealthCheck{.test = {"CMD-SHELL", "a | b"}}, {})->arguments,
            (std::vector<std::string>{"/bin/sh", "-c", "a | b"}));
  EXPECT_EQ(effective_check(HealthCheck{.test = {"CMD-SHELL", "x"}}, shell)->arguments,
            (std::vector<std::string>{"/bin/bash", "-c", "x"}));
  const auto defaults = effective_check(HealthCheck{.test = {"CMD", "a"}, .interval = seconds(0), .retries = 0}, {});
  EXPECT_EQ(defaults->interval, seconds(30));
  EXPECT_EQ(defaults->timeout, seconds(30));
  EXPECT_EQ(defaults->start_period, seconds(0));
  EXPECT_EQ(defaults->start_interval, seconds(5));
  EXPECT_EQ(defaults->retries, 3);
}

TEST(HealthTracker, FailuresInARowMakeItUnhealthyAndOneSuccessHealthy) {
  HealthTracker tracker;
  tracker.started(kStart);
  EXPECT_EQ(tracker.state(), HealthState::starting);
  EXPECT_FALSE(tracker.record(check(), probe(1)));
  EXPECT_EQ(tracker.failing_streak(), 1);
  EXPECT_TRUE(tracker.record(check(), probe(1)));
  EXPECT_EQ(tracker.state(), HealthState::unhealthy);
  EXPECT_FALSE(tracker.record(check(), probe(1)));
  EXPECT_TRUE(tracker.record(check(), probe(0)));
  EXPECT_EQ(tracker.state(), HealthState::healthy);
  EXPECT_EQ(tracker.failing_streak(), 0);
  EXPECT_FALSE(tracker.record(check(), probe(0)));
}

TEST(HealthTracker, FailuresInTheStartPeriodAreLoggedButNotCountedUntilTheFirstSuccess) {
  EffectiveCheck patient = check(1);
  patient.start_period = seconds(100);
  HealthTracker tracker;
  tracker.started(kStart);
  EXPECT_FALSE(tracker.record(patient, probe(1, seconds(10))));
  EXPECT_EQ(tracker.state(), HealthState::starting);
  EXPECT_EQ(tracker.log().size(), 1u);
  EXPECT_TRUE(tracker.record(patient, probe(0, seconds(20))));
  EXPECT_TRUE(tracker.record(patient, probe(1, seconds(30))));
  EXPECT_EQ(tracker.state(), HealthState::unhealthy);
}

TEST(HealthTracker, TheStartIntervalHoldsOnlyWhileStartingInTheStartPeriod) {
  EffectiveCheck patient = check();
  patient.start_period = seconds(100);
  patient.start_interval = seconds(2);
  HealthTracker tracker;
  tracker.started(kStart);
  EXPECT_EQ(tracker.next_delay(patient, kStart), seconds(2));
  EXPECT_EQ(tracker.next_delay(patient, kStart + seconds(100)), seconds(30));
  tracker.record(patient, probe(0, seconds(10)));
  EXPECT_EQ(tracker.next_delay(patient, kStart + seconds(11)), seconds(30));
  EXPECT_EQ(tracker.next_delay(check(), kStart), seconds(30));
}

TEST(HealthTracker, QuickProbesFollowEachOtherWhileStartingAndCountOnceAnInterval) {
  const EffectiveCheck quick = *effective_check(
      HealthCheck{.test = {"CMD", "a"}, .interval = seconds(10), .retries = 2}, {});
  EXPECT_FALSE(effective_check(HealthCheck{.test = {"CMD", "a"}, .start_interval = seconds(1)}, {})->quick);
  HealthTracker tracker;
  tracker.started(kStart);
  EXPECT_LE(tracker.next_delay(quick, kStart), milliseconds(50));
  EXPECT_LE(tracker.next_delay(quick, kStart + seconds(8)), milliseconds(50));
  EXPECT_LE(tracker.next_delay(quick, kStart + seconds(20)), milliseconds(50));
  EXPECT_EQ(tracker.next_delay(quick, kStart + seconds(500)), seconds(1));
  // Before the first regular probe failures mean nothing.
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(tracker.record(quick, probe(1, seconds(i))));
  EXPECT_EQ(tracker.failing_streak(), 0);
  EXPECT_FALSE(tracker.record(quick, probe(1, seconds(10))));
  EXPECT_FALSE(tracker.record(quick, probe(1, seconds(12))));
  EXPECT_EQ(tracker.failing_streak(), 1);
  EXPECT_TRUE(tracker.record(quick, probe(1, seconds(21))));
  EXPECT_EQ(tracker.state(), HealthState::unhealthy);
  EXPECT_EQ(tracker.next_delay(quick, kStart + seconds(21)), seconds(10));
}

TEST(HealthTracker, AQuickProbeThatTakesLongIsNotFollowedAtOnce) {
  const EffectiveCheck quick = *effective_check(HealthCheck{.test = {"CMD", "a"}, .interval = seconds(10)}, {});
  HealthTracker tracker;
  tracker.started(kStart);
  tracker.record(quick, {.start = kStart, .end = kStart + seconds(2), .exit_code = 1, .output = ""});
  EXPECT_EQ(tracker.next_delay(quick, kStart + seconds(2)), seconds(2));
  // Ten on a machine of two processors: the ten take one of them.
  EXPECT_EQ(tracker.next_delay(quick, kStart + seconds(2), 5), seconds(10));
  tracker.record(quick, {.start = kStart + seconds(2), .end = kStart + seconds(2) + milliseconds(20), .exit_code = 1, .output = ""});
  EXPECT_EQ(tracker.next_delay(quick, kStart + seconds(2), 5), milliseconds(200));
  EXPECT_EQ(tracker.next_delay(quick, kStart + seconds(2), 0.5), milliseconds(20));
  EXPECT_TRUE(tracker.record(quick, probe(0, seconds(3))));
  EXPECT_EQ(tracker.next_delay(quick, kStart + seconds(3)), seconds(10));
}

TEST(HealthTracker, KeepsFiveProbesAndTheBeginningOfTheirOutput) {
  HealthTracker tracker;
  tracker.started(kStart);
  for (int i = 0; i < 7; ++i) tracker.record(check(), probe(i, seconds(60), std::string(5000, 'x')));
  ASSERT_EQ(tracker.log().size(), 5u);
  EXPECT_EQ(tracker.log().front().exit_code, 2);
  EXPECT_EQ(tracker.log().back().output, std::string(4096, 'x') + "...");
  tracker.started(kStart + seconds(500));
  EXPECT_EQ(tracker.log().size(), 5u);
}

}  // namespace
}  // namespace gantry::engine
