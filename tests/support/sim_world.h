// Virtual time: one queue of actions, ordered by (time, sequence). The real controller runs on it, a simulated engine
// answers on it; the same seed gives the same history.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "base/random.h"
#include "base/scheduler.h"

namespace gantry::test {

class SimWorld final : public Scheduler {
 public:
  explicit SimWorld(uint64_t seed) : seed_(seed), random_(seed), clock_(*this) {}

  const Clock& clock() const override { return clock_; }
  TimerId after(std::chrono::nanoseconds delay, Function<void()> action) override;
  void cancel(TimerId timer) override;
  void post(Function<void()> action) override { after(std::chrono::nanoseconds(0), std::move(action)); }

  // Runs whatever becomes due within `duration`, which then has passed.
  void run_for(std::chrono::nanoseconds duration);
  // Runs the next action; false if there is none, or it is due later than `limit` from now.
  bool step(std::chrono::nanoseconds limit) {
    if (queue_.empty() || queue_.begin()->first.first > now_ + limit) return false;
    run_next();
    return true;
  }
  uint64_t steps() const { return steps_; }  // that were run so far
  // Runs until `done` says true; false if nothing is left to run, or `limit` of virtual time has passed before.
  template <class Done>
  bool run_until(Done done, std::chrono::nanoseconds limit) {
    std::chrono::nanoseconds end = now_ + limit;
    while (!done()) {
      if (queue_.empty() || queue_.begin()->first.first > end) return false;
      run_next();
    }
    return true;
  }

  SeededRandom& random() { return random_; }
  std::chrono::nanoseconds now() const { return now_; }
  uint64_t seed() const { return seed_; }
  bool chance(double probability);
  std::chrono::nanoseconds between(std::chrono::nanoseconds low, std::chrono::nanoseconds high);
  // How to run the current test again with this seed.
  std::string replay_command() const;

 private:
  using Key = std::pair<std::chrono::nanoseconds, uint64_t>;
  class VirtualClock final : public Clock {
   public:
    explicit VirtualClock(const SimWorld& world) : world_(world) {}
    WallTime wall() const override;
    MonoTime mono() const override { return MonoTime(world_.now_); }

   private:
    const SimWorld& world_;
  };
  void run_next();

  uint64_t seed_;
  SeededRandom random_;
  VirtualClock clock_;
  std::chrono::nanoseconds now_{std::chrono::hours(1)};  // zero means "never" in places
  uint64_t sequence_ = 0;
  uint64_t steps_ = 0;
  std::map<Key, Function<void()>> queue_;
  std::map<TimerId, Key> timers_;
};

// Calls `test` with many seeds: GANTRY_SIM_SEEDS of them (300), or the one of GANTRY_SIM_SEED. Stops at the first
// that fails, and prints how to replay it.
void for_each_seed(const Function<void(uint64_t)>& test);

}  // namespace gantry::test
