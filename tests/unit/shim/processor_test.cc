#include "shim/processor.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace gantry::shim {
namespace {

cpu_set_t allowed() {
  cpu_set_t set;
  EXPECT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
  return set;
}

TEST(LeaveProcessor, GoesToAnotherOneAndMayComeBack) {
  const cpu_set_t before = allowed();
  if (CPU_COUNT(&before) < 2) GTEST_SKIP() << "there is one processor only";
  // The kernel may move it once more before it has looked: seldom, and not each time.
  int moved = 0;
  for (int i = 0; i < 20; ++i) {
    const int processor = current_processor();
    leave_processor();
    if (current_processor() != processor) ++moved;
  }
  EXPECT_GT(moved, 10);
  const cpu_set_t after = allowed();
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST(LeaveProcessor, StaysWhereItMayNotGoElsewhere) {
  std::thread([] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<size_t>(current_processor()), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    leave_processor();
    EXPECT_TRUE(CPU_ISSET(static_cast<size_t>(current_processor()), &one));
    const cpu_set_t after = allowed();
    EXPECT_TRUE(CPU_EQUAL(&one, &after));
  }).join();
}

TEST(Crowding, IsWhatWasPreemptedMoreThanOnceInAFewPieces) {
  Crowding crowding;
  EXPECT_FALSE(crowding.note(100)) << "what was before does not count";
  EXPECT_FALSE(crowding.note(100));
  EXPECT_FALSE(crowding.note(100 + Crowding::kMany - 1));
  EXPECT_TRUE(crowding.note(100 + Crowding::kMany));
  EXPECT_FALSE(crowding.note(100 + Crowding::kMany)) << "it has been said";
}

TEST(Crowding, IsNotAPreemptionNowAndThen) {
  Crowding crowding;
  long preemptions = 0;
  for (int i = 0; i < 10 * Crowding::kSpan; ++i) {
    if (i % Crowding::kSpan == 0) ++preemptions;
    EXPECT_FALSE(crowding.note(preemptions)) << i;
  }
}

}  // namespace
}  // namespace gantry::shim
