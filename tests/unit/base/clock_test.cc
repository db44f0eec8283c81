#include "base/clock.h"

#include <gtest/gtest.h>

using namespace gantry;

namespace {

std::optional<int64_t> nanoseconds_of(std::string_view text) {
  WallTime time;
  if (!parse_rfc3339(text, time)) return std::nullopt;
  return time.time_since_epoch().count();
}

}  // namespace

TEST(Rfc3339, Times) {
  constexpr int64_t kSecond = 1'000'000'000;
  EXPECT_EQ(nanoseconds_of("1970-01-01T00:00:01Z"), kSecond);
  EXPECT_EQ(nanoseconds_of("2026-01-02T03:04:05Z"), 1'767'323'045 * kSecond);
  EXPECT_EQ(nanoseconds_of("2026-01-02T03:04:05.5Z"), 1'767'323'045 * kSecond + 500'000'000);
  EXPECT_EQ(nanoseconds_of("2026-01-02T03:04:05.000000001Z"), 1'767'323'045 * kSecond + 1);
  EXPECT_EQ(nanoseconds_of("2024-02-29T23:59:59.999999999Z"), 1'709'251'199 * kSecond + 999'999'999);
  EXPECT_EQ(nanoseconds_of("2026-01-02T05:04:05+02:00"), 1'767'323'045 * kSecond);
  EXPECT_EQ(nanoseconds_of("2026-01-01T22:34:05.25-04:30"), 1'767'323'045 * kSecond + 250'000'000);
  EXPECT_EQ(nanoseconds_of("0001-01-01T00:00:00Z"), 0) << "no time";
}

TEST(Rfc3339, OtherTextsAreNone) {
  for (const char* text : {"", "2026", "2026-01-02", "2026-01-02T03:04Z", "2026-01-02T03:04:05", "2026-01-02 03:04:05Z",
                           "2026-01-02T03:04:05Zx", "2026-13-02T03:04:05Z", "x026-01-02T03:04:05Z", "2026-01-02T03:04:05+2"}) {
    EXPECT_EQ(nanoseconds_of(text), std::nullopt) << text;
  }
}

TEST(Rfc3339, WhatIsPrintedIsRead) {
  for (const int64_t count : {int64_t{1}, int64_t{1'767'323'045'123'456'789}, int64_t{951'782'400'000'000'000}, int64_t{4'102'444'799'999'999'000}}) {
    const WallTime time{std::chrono::nanoseconds(count)};
    EXPECT_EQ(nanoseconds_of(format_rfc3339(time)), count);
    EXPECT_EQ(nanoseconds_of(format_rfc3339_fixed(time)), count);
  }
}
