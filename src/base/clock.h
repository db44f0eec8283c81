// Time as the program sees it: the system's, or in tests a virtual one.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace gantry {

// Wall-clock instant with nanoseconds, UTC; the epoch (zero) means "never".
using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;
// Monotonic instant: for durations and timers only, means nothing in another boot.
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall() const = 0;
  virtual MonoTime mono() const = 0;
};

class SystemClock final : public Clock {
 public:
  WallTime wall() const override;
  MonoTime mono() const override;
};

// Since the epoch.
inline int64_t seconds_of(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}
// Nanoseconds since the epoch now, for what no test needs to be virtual.
inline int64_t now_ns() { return SystemClock().wall().time_since_epoch().count(); }

// RFC 3339 with up to nine fraction digits, trailing zeros dropped, as Go's RFC3339Nano:
// "2026-01-02T03:04:05.6Z". The epoch prints as Go's zero time, "0001-01-01T00:00:00Z".
std::string format_rfc3339(WallTime time);
// Always nine fraction digits, as log timestamps want.
std::string format_rfc3339_fixed(WallTime time);
// Reads either form and numeric offsets; false if it is no such text.
bool parse_rfc3339(std::string_view text, WallTime& time);

}  // namespace gantry
