// Whether and when an ended container starts again. Pure. Rules: Docker's restart policies: after each end 100 ms,
// doubled every time up to a minute, from the beginning again once a run has lasted 10 s.
#pragma once

#include <chrono>
#include <optional>

#include "base/clock.h"
#include "engine/iface/specs.h"

namespace gantry::engine {

class RestartBackoff {
 public:
  // The pause before the next start, after a run of that length.
  std::chrono::milliseconds next(std::chrono::nanoseconds ran_for);
  void reset() { pause_ = {}; }

 private:
  std::chrono::milliseconds pause_{};  // zero: the next is the first
};

// When the next start has to begin, from now on. The pause counts from the end of the run to the program's start: cleaning up
// behind the one and making the sandbox of the next are parts of it and do not come on top. A start that took long last time
// begins at most a quarter of the pause early.
struct RestartTimes {
  WallTime ended_at;
  std::chrono::nanoseconds start_takes{};
};
std::chrono::nanoseconds until_start(std::chrono::nanoseconds pause, RestartTimes times, WallTime now);

// How a run came to its end.
struct RunEnd {
  int exit_code = 0;
  int restarts_so_far = 0;  // by this policy, since the last start by a user
  bool cancelled = false;   // a stop or kill was asked for, that ends the policy for this end
};
bool should_restart(const RestartPolicy& policy, const RunEnd& end);

// After the daemon's own restart: which ended containers it starts. `always` does not care that a user had
// stopped it; only containers that ran at least once are asked about.
struct FoundEnded {
  int exit_code = 0;
  int restarts_so_far = 0;
  bool stopped_by_user = false;
};
bool should_start_with_daemon(const RestartPolicy& policy, const FoundEnded& found);

}  // namespace gantry::engine
