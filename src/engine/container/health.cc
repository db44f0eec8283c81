#include "engine/container/health.h"

#include <algorithm>

#include "engine/container/network_probe.h"

namespace gantry::engine {
namespace {

using std::chrono::nanoseconds;

// Zero means "the default", as in Docker's API.
nanoseconds or_default(const std::optional<nanoseconds>& given, nanoseconds fallback) {
  return given && given->count() > 0 ? *given : fallback;
}

std::vector<std::string> probe_arguments(const std::vector<std::string>& test,
                                         const std::vector<std::string>& shell) {
  if (test.size() < 2) return {};
  if (is_own_probe(test)) return test;
  if (test[0] == "CMD") return {test.begin() + 1, test.end()};
  if (test[0] != "CMD-SHELL") return {};
  std::vector<std::string> arguments = shell;
  if (arguments.empty()) arguments = {"/bin/sh", "-c"};
  arguments.push_back(test[1]);
  return arguments;
}

}  // namespace

std::optional<EffectiveCheck> effective_check(const std::optional<HealthCheck>& check,
                                              const std::vector<std::string>& shell) {
  if (!check) return std::nullopt;
  EffectiveCheck effective;
  effective.arguments = probe_arguments(check->test, shell);
  if (effective.arguments.empty()) return std::nullopt;
  effective.is_own = is_own_probe(check->test);
  effective.interval = or_default(check->interval, std::chrono::seconds(30));
  effective.timeout = or_default(check->timeout, std::chrono::seconds(30));
  effective.start_period = check->start_period.value_or(nanoseconds{});
  effective.start_interval = or_default(check->start_interval, std::chrono::seconds(5));
  effective.quick = !check->start_interval || check->start_interval->count() <= 0;
  effective.retries = check->retries.value_or(0) > 0 ? *check->retries : 3;
  return effective;
}

void HealthTracker::started(WallTime now) {
  state_ = HealthState::starting;
  started_at_ = counts_from_ = now;
  last_took_ = {};
  streak_ = 0;
}

void HealthTracker::suspended() {
  if (state_ != HealthState::none) state_ = HealthState::unhealthy;
}

bool HealthTracker::in_start_period(const EffectiveCheck& check, WallTime at) const {
  return check.start_period.count() > 0 && at - started_at_ < check.start_period;
}

nanoseconds HealthTracker::next_delay(const EffectiveCheck& check, WallTime now, double starting) const {
  if (state_ == HealthState::starting && check.quick) {
    const auto fair = std::chrono::duration_cast<nanoseconds>(last_took_ * std::max(1.0, 2 * starting));
    const nanoseconds wait = std::max({nanoseconds(kQuickest), (now - started_at_) / 500, fair});
    return std::min(wait, check.interval);
  }
  // start_interval is not longer than interval by intent, but a user may set it so: then it still holds.
  return state_ == HealthState::starting && in_start_period(check, now) ? check.start_interval : check.interval;
}

bool HealthTracker::record(const EffectiveCheck& check, ProbeResult result) {
  const HealthState before = state_;
  last_took_ = result.end - result.start;
  const bool between = state_ == HealthState::starting && check.quick && result.start - counts_from_ < check.interval;
  if (result.exit_code == 0) {
    streak_ = 0;
    state_ = HealthState::healthy;
  } else if (!between && (state_ != HealthState::starting || !in_start_period(check, result.start))) {
    counts_from_ = result.end;
    if (++streak_ >= check.retries) state_ = HealthState::unhealthy;
  }
  if (result.output.size() > kMaximumOutput) {
    result.output.resize(kMaximumOutput);
    result.output += "...";
  }
  log_.push_back(std::move(result));
  if (log_.size() > kLogEntries) log_.pop_front();
  return state_ != before;
}

}  // namespace gantry::engine
