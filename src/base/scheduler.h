// What code that owns state needs of its thread: the time, timers, and "run this next". The event
// loop is the real one; a simulated world stands behind the same interface in tests, with virtual
// time and completions in any legal order.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/clock.h"
#include "base/function.h"

namespace gantry {

class Scheduler {
 public:
  using TimerId = uint64_t;  // 0: none

  virtual ~Scheduler() = default;
  virtual const Clock& clock() const = 0;
  // Runs `action` once on the loop thread, not before `delay` has passed. Loop thread only.
  virtual TimerId after(std::chrono::nanoseconds delay, Function<void()> action) = 0;
  // Forgets the timer; an unknown or past one is no error. Loop thread only.
  virtual void cancel(TimerId timer) = 0;
  // Runs `action` on the loop thread, in order of posting, never inside this call. Any thread.
  virtual void post(Function<void()> action) = 0;
};

}  // namespace gantry
