#include "daemon/docker/prune.h"

#include <gtest/gtest.h>

namespace gantry::daemon::docker {
namespace {

constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};

Result<std::optional<WallTime>> until(const std::string& value) {
  static constexpr std::string_view kKnown[] = {"until"};
  return until_of(*Filters::parse("{\"until\":[" + value + "]}", kKnown), kNow);
}

TEST(Prune, UntilIsADurationOrATime) {
  EXPECT_EQ(**until("\"24h\""), kNow - std::chrono::hours(24));
  EXPECT_EQ(**until("\"1h30m\""), kNow - std::chrono::minutes(90));
  EXPECT_EQ(**until("\"1700000000\""), WallTime(std::chrono::seconds(1'700'000'000)));
  EXPECT_EQ(**until("\"2023-11-14T22:13:20Z\""), WallTime(std::chrono::seconds(1'700'000'000)));
  EXPECT_EQ(**until("\"2023-11-14T23:13:20+01:00\""), WallTime(std::chrono::seconds(1'700'000'000)));
  EXPECT_EQ(**until("\"2023-11-14T22:13:20.5Z\""), WallTime(std::chrono::milliseconds(1'700'000'000'500)));
  EXPECT_EQ(**until("\"2023-11-14\""), WallTime(std::chrono::seconds(1'699'920'000)));
}

TEST(Prune, UntilIsGivenOnceAndMakesSense) {
  EXPECT_EQ(until("\"1h\",\"2h\"").error().message(), "more than one until filter specified");
  EXPECT_EQ(until("\"soon\"").error().code(), Code::invalid);
  EXPECT_FALSE(until_of(Filters(), kNow)->has_value());
}

TEST(Prune, OneOfAKindAtATime) {
  {
    const auto turn = PruneTurn::take(PruneTurn::Kind::volumes);
    ASSERT_TRUE(turn.ok());
    EXPECT_EQ(PruneTurn::take(PruneTurn::Kind::volumes).error().message(), "a prune operation is already running");
    EXPECT_TRUE(PruneTurn::take(PruneTurn::Kind::networks).ok());
  }
  EXPECT_TRUE(PruneTurn::take(PruneTurn::Kind::volumes).ok());
}

}  // namespace
}  // namespace gantry::daemon::docker
