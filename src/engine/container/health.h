// What a container's probes say about it. Pure; the engine runs the probes and the clock.
// Rules: Docker's HEALTHCHECK.
#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/iface/observed.h"
#include "engine/iface/specs.h"

namespace gantry::engine {

// A health check with every default filled in.
struct EffectiveCheck {
  std::vector<std::string> arguments;  // what is executed
  bool is_own = false;                 // `arguments` is a test that the engine makes itself (network_probe.h)
  std::chrono::nanoseconds interval{};
  std::chrono::nanoseconds timeout{};
  std::chrono::nanoseconds start_period{};
  std::chrono::nanoseconds start_interval{};
  int retries = 3;
  // No start_interval was given: while starting, probes follow each other at once (kQuickest), so that readiness is seen
  // when it comes and not an interval later. Those that fail between two regular ones are logged, but not counted.
  bool quick = false;
};
// None: no check, or {"NONE"}. `shell` runs CMD-SHELL texts; empty: /bin/sh -c.
std::optional<EffectiveCheck> effective_check(const std::optional<HealthCheck>& check,
                                              const std::vector<std::string>& shell);

struct ProbeResult {
  WallTime start{};
  WallTime end{};
  int exit_code = 0;  // -1: timed out or could not be run
  std::string output;
};

class HealthTracker {
 public:
  static constexpr size_t kLogEntries = 5;
  static constexpr size_t kMaximumOutput = 4096;
  // Between quick probes. One that has been starting for long (a Java server) is asked less often: the wait grows to a
  // 500th of its age. It is never shorter than the last probe took, and longer the more containers are starting, so that all
  // of them together leave half of the processors to those they ask.
  static constexpr std::chrono::milliseconds kQuickest{5};

  // A new run of the container: `starting`, the streak zero; the log is kept.
  void started(WallTime now);
  // Pause or end: Docker shows "unhealthy" until something better is known.
  void suspended();

  // Until the next probe begins, counted from the end of the last one (or from the start). `starting`: containers that are
  // asked quickly at the moment, in parts of the processors.
  std::chrono::nanoseconds next_delay(const EffectiveCheck& check, WallTime now, double starting = 0) const;
  // True if the state changed to healthy or unhealthy (an event's worth).
  bool record(const EffectiveCheck& check, ProbeResult result);

  HealthState state() const { return state_; }
  void restore(HealthState state, WallTime started_at) { state_ = state, started_at_ = counts_from_ = started_at; }
  int failing_streak() const { return streak_; }
  const std::deque<ProbeResult>& log() const { return log_; }

 private:
  bool in_start_period(const EffectiveCheck& check, WallTime at) const;

  HealthState state_ = HealthState::none;
  WallTime started_at_{};
  WallTime counts_from_{};  // quick probes: the start, or the end of the last one that counted
  std::chrono::nanoseconds last_took_{};
  int streak_ = 0;
  std::deque<ProbeResult> log_;
};

}  // namespace gantry::engine
