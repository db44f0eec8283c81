#include "base/clock.h"

#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>
#include <string>

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

namespace {

// "2026-01-02T03:04:05.123456789Z" as log lines have it, a million times in a row; nullopt: of another form, or no time.
std::optional<WallTime> parse_utc(std::string_view text) {
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:dd";
  if (text.size() <= kForm.size() || text.back() != 'Z') return std::nullopt;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  for (size_t i = 0; i < kForm.size(); ++i) {
    if (kForm[i] == 'd' ? !is_digit(text[i]) : text[i] != kForm[i]) return std::nullopt;
  }
  const auto number = [&](size_t at, size_t digits) {
    int value = 0;
    for (size_t i = at; i < at + digits; ++i) value = value * 10 + (text[i] - '0');
    return value;
  };
  const std::chrono::year_month_day day{std::chrono::year(number(0, 4)), std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                        std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
  if (!day.ok() || number(0, 4) < 1970 || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  int64_t nanos = 0;
  if (const std::string_view fraction = text.substr(kForm.size(), text.size() - kForm.size() - 1); !fraction.empty()) {
    if (fraction.front() != '.' || fraction.size() > 10) return std::nullopt;
    int64_t unit = 100'000'000;
    for (const char c : fraction.substr(1)) {
      if (!is_digit(c)) return std::nullopt;
      nanos += (c - '0') * unit;
      unit /= 10;
    }
  }
  const auto seconds = std::chrono::sys_days(day).time_since_epoch() + std::chrono::hours(hour) + std::chrono::minutes(minute) +
                       std::chrono::seconds(second);
  return WallTime(seconds + std::chrono::nanoseconds(nanos));
}

}  // namespace

bool parse_rfc3339(std::string_view text, WallTime& time) {
  if (const auto utc = parse_utc(text)) {
    time = *utc;
    return true;
  }
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
