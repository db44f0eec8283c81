#include "base/clock.h"

#include <cstdio>
#include <cstring>
#include <ctime>

namespace gantry {
namespace {

std::string format(WallTime time, bool fixed) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto nanos = (time - seconds).count();
  const std::time_t t = seconds.time_since_epoch().count();
  std::tm parts{};
  ::gmtime_r(&t, &parts);
  char text[40];
  size_t n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::string out(text, n);
  if (fixed || nanos != 0) {
    std::snprintf(text, sizeof text, ".%09lld", static_cast<long long>(nanos));
    out += text;
    if (!fixed) out.erase(out.find_last_not_of('0') + 1);
  }
  return out + "Z";
}

}  // namespace

WallTime SystemClock::wall() const { return std::chrono::system_clock::now(); }
MonoTime SystemClock::mono() const { return std::chrono::steady_clock::now(); }

std::string format_rfc3339(WallTime time) {
  if (time == WallTime{}) return "0001-01-01T00:00:00Z";
  return format(time, false);
}

std::string format_rfc3339_fixed(WallTime time) { return format(time, true); }

bool parse_rfc3339(std::string_view text, WallTime& time) {
  const std::string copy(text);
  std::tm parts{};
  const char* rest = ::strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return false;
  int64_t nanos = 0;
  if (*rest == '.') {
    int64_t unit = 100'000'000;
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10) nanos += (*rest - '0') * unit;
  }
  int64_t offset = 0;
  if (*rest == 'Z' || *rest == 'z') {
    ++rest;
  } else {
    int hours = 0;
    int minutes = 0;
    char sign = 0;
    if (std::sscanf(rest, "%c%2d:%2d", &sign, &hours, &minutes) != 3 || (sign != '+' && sign != '-')) return false;
    offset = (hours * 60 + minutes) * 60 * (sign == '-' ? -1 : 1);
    rest += 6;
  }
  if (*rest != '\0') return false;
  if (parts.tm_year == 1 - 1900) {
    time = WallTime{};
    return true;
  }
  time = WallTime(std::chrono::seconds(::timegm(&parts) - offset) + std::chrono::nanoseconds(nanos));
  return true;
}

}  // namespace gantry
