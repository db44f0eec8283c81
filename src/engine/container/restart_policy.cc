#include "engine/container/restart_policy.h"

#include <algorithm>

namespace gantry::engine {
namespace {

constexpr std::chrono::milliseconds kFirstRestartPause{100};
constexpr std::chrono::milliseconds kLongestRestartPause{60'000};
constexpr std::chrono::seconds kLongRun{10};

bool failure_may_restart(const RestartPolicy& policy, int exit_code, int restarts_so_far) {
  return exit_code != 0 && (policy.maximum_retries <= 0 || restarts_so_far < policy.maximum_retries);
}

}  // namespace

std::chrono::milliseconds RestartBackoff::next(std::chrono::nanoseconds ran_for) {
  if (ran_for >= kLongRun) pause_ = {};
  pause_ = pause_.count() == 0 ? kFirstRestartPause : std::min(pause_ * 2, kLongestRestartPause);
  return pause_;
}

std::chrono::nanoseconds until_start(std::chrono::nanoseconds pause, RestartTimes times, WallTime now) {
  constexpr std::chrono::nanoseconds kNone{};
  const auto passed = std::clamp<std::chrono::nanoseconds>(now - times.ended_at, kNone, pause);  // clocks are set back, too
  const auto early = std::clamp<std::chrono::nanoseconds>(times.start_takes, kNone, pause / 4);
  return std::max(kNone, pause - passed - early);
}

bool should_restart(const RestartPolicy& policy, const RunEnd& end) {
  if (end.cancelled) return false;
  switch (policy.kind) {
    case RestartPolicy::Kind::no: return false;
    case RestartPolicy::Kind::always: return true;
    case RestartPolicy::Kind::unless_stopped: return true;
    case RestartPolicy::Kind::on_failure: return failure_may_restart(policy, end.exit_code, end.restarts_so_far);
  }
  return false;
}

bool should_start_with_daemon(const RestartPolicy& policy, const FoundEnded& found) {
  switch (policy.kind) {
    case RestartPolicy::Kind::no: return false;
    case RestartPolicy::Kind::always: return true;
    case RestartPolicy::Kind::unless_stopped: return !found.stopped_by_user;
    case RestartPolicy::Kind::on_failure:
      return !found.stopped_by_user && failure_may_restart(policy, found.exit_code, found.restarts_so_far);
  }
  return false;
}

}  // namespace gantry::engine
