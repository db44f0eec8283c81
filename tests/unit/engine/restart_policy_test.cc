#include "engine/container/restart_policy.h"

#include <gtest/gtest.h>

namespace gantry::engine {
namespace {

using Kind = RestartPolicy::Kind;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(RestartPolicy, DecidesAfterEveryEnd) {
  const struct {
    RestartPolicy policy;
    RunEnd end;
    bool restarts;
  } rows[] = {
      {{Kind::no}, {.exit_code = 1}, false},
      {{Kind::always}, {.exit_code = 0}, true},
      {{Kind::always}, {.exit_code = 0, .cancelled = true}, false},
      {{Kind::unless_stopped}, {.exit_code = 0}, true},
      {{Kind::unless_stopped}, {.exit_code = 0, .cancelled = true}, false},
      {{Kind::on_failure}, {.exit_code = 0}, false},
      {{Kind::on_failure}, {.exit_code = 1, .restarts_so_far = 1000}, true},
      {{Kind::on_failure, 3}, {.exit_code = 1, .restarts_so_far = 2}, true},
      {{Kind::on_failure, 3}, {.exit_code = 1, .restarts_so_far = 3}, false},
      {{Kind::on_failure, 3}, {.exit_code = 1, .restarts_so_far = 0, .cancelled = true}, false},
  };
  for (const auto& row : rows) EXPECT_EQ(should_restart(row.policy, row.end), row.restarts);
}

TEST(RestartPolicy, OnFailureWithThreeRetriesRunsFourTimes) {
  int runs = 1;
  for (int restarts = 0; should_restart({Kind::on_failure, 3}, {.exit_code = 1, .restarts_so_far = restarts}); ++restarts) {
    ++runs;
  }
  EXPECT_EQ(runs, 4);
}

TEST(RestartPolicy, ANewDaemonStartsWhatShouldRun) {
  const FoundEnded clean{};
  const FoundEnded failed{.exit_code = 1};
  const FoundEnded stopped{.exit_code = 1, .stopped_by_user = true};
  EXPECT_FALSE(should_start_with_daemon({Kind::no}, failed));
  EXPECT_TRUE(should_start_with_daemon({Kind::always}, clean));
  EXPECT_TRUE(should_start_with_daemon({Kind::always}, stopped));
  EXPECT_TRUE(should_start_with_daemon({Kind::unless_stopped}, clean));
  EXPECT_FALSE(should_start_with_daemon({Kind::unless_stopped}, stopped));
  EXPECT_TRUE(should_start_with_daemon({Kind::on_failure}, failed));
  EXPECT_FALSE(should_start_with_daemon({Kind::on_failure}, clean));
  EXPECT_FALSE(should_start_with_daemon({Kind::on_failure}, stopped));
}

TEST(RestartBackoff, DoublesUpToAMinuteAndStartsOverAfterALongRun) {
  RestartBackoff backoff;
  EXPECT_EQ(backoff.next(seconds(0)), milliseconds(100));
  EXPECT_EQ(backoff.next(seconds(9)), milliseconds(200));
  for (int i = 0; i < 20; ++i) backoff.next(seconds(0));
  EXPECT_EQ(backoff.next(seconds(0)), seconds(60));
  EXPECT_EQ(backoff.next(seconds(10)), milliseconds(100));
  EXPECT_EQ(backoff.next(seconds(0)), milliseconds(200));
  backoff.reset();
  EXPECT_EQ(backoff.next(seconds(0)), milliseconds(100));
}

TEST(RestartBackoff, ThePauseCountsFromTheEndToTheProgramsStart) {
  const WallTime end{seconds(1000)};
  const auto after = [&](auto passed, auto start_takes) {
    return until_start(milliseconds(100), {.ended_at = end, .start_takes = start_takes}, end + passed);
  };
  EXPECT_EQ(after(milliseconds(30), milliseconds(0)), milliseconds(70));
  EXPECT_EQ(after(milliseconds(30), milliseconds(8)), milliseconds(62));
  EXPECT_EQ(after(milliseconds(0), seconds(3)), milliseconds(75));
  EXPECT_EQ(after(milliseconds(95), milliseconds(8)), milliseconds(0));
  EXPECT_EQ(after(seconds(5), milliseconds(0)), milliseconds(0));
  EXPECT_EQ(after(-seconds(5), milliseconds(0)), milliseconds(100));
}

}  // namespace
}  // namespace gantry::engine
