#include "support/sim_world.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/strings.h"

namespace gantry::test {

WallTime SimWorld::VirtualClock::wall() const {
  return WallTime(std::chrono::hours(24 * 365 * 50)) + world_.now_;
}

Scheduler::TimerId SimWorld::after(std::chrono::nanoseconds delay, Function<void()> action) {
  TimerId id = ++sequence_;
  Key key{now_ + std::max(delay, std::chrono::nanoseconds(0)), id};
  timers_[id] = key;
  queue_[key] = std::move(action);
  return id;
}

void SimWorld::cancel(TimerId timer) {
  auto found = timers_.find(timer);
  if (found == timers_.end()) return;
  queue_.erase(found->second);
  timers_.erase(found);
}

void SimWorld::run_next() {
  auto first = queue_.begin();
  ++steps_;
  now_ = std::max(now_, first->first.first);
  timers_.erase(first->first.second);
  Function<void()> action = std::move(first->second);
  queue_.erase(first);
  action();
}

void SimWorld::run_for(std::chrono::nanoseconds duration) {
  std::chrono::nanoseconds end = now_ + duration;
  while (!queue_.empty() && queue_.begin()->first.first <= end) run_next();
  now_ = end;
}

bool SimWorld::chance(double probability) {
  if (probability <= 0) return false;
  return static_cast<double>(random_.below(1'000'000)) < probability * 1e6;
}

std::chrono::nanoseconds SimWorld::between(std::chrono::nanoseconds low, std::chrono::nanoseconds high) {
  if (high <= low) return low;
  return low + std::chrono::nanoseconds(random_.below(static_cast<uint64_t>((high - low).count())));
}

std::string SimWorld::replay_command() const {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  std::string filter = info == nullptr ? "*" : std::string(info->test_suite_name()) + "." + info->name();
  return "replay: GANTRY_SIM_SEED=" + std::to_string(seed_) + " bin/sim --gtest_filter=" + filter;
}

void for_each_seed(const Function<void(uint64_t)>& test) {
  auto& run = const_cast<Function<void(uint64_t)>&>(test);
  if (const char* one = std::getenv("GANTRY_SIM_SEED")) return run(parse_unsigned(one).value_or(1));
  const char* count_text = std::getenv("GANTRY_SIM_SEEDS");
  uint64_t count = count_text == nullptr ? 300 : parse_unsigned(count_text).value_or(300);
  for (uint64_t seed = 1; seed <= count; ++seed) {
    run(seed);
    if (testing::Test::HasFailure()) {
      std::fprintf(stderr, "%s\n", SimWorld(seed).replay_command().c_str());
      return;
    }
  }
}

}  // namespace gantry::test
