#include "cli/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "base/strings.h"
#include "compose/values.h"

namespace gantry::cli {

namespace {

bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

std::string counted(int64_t count, const char* unit) { return std::to_string(count) + " " + unit; }

std::string printed(const char* format, double value) {
  std::array<char, 64> buffer;
  const int length = std::snprintf(buffer.data(), buffer.size(), format, value);
  return std::string(buffer.data(), static_cast<size_t>(length));
}

}  // namespace

size_t display_width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), starts_character));
}

std::string shorten(std::string_view text, size_t width, std::string_view mark) {
  if (display_width(text) <= width) return std::string(text);
  const size_t mark_width = display_width(mark);
  const size_t keep = width > mark_width ? width - mark_width : 0;
  size_t seen = 0;
  size_t end = 0;
  while (end < text.size()) {
    if (starts_character(text[end]) && seen++ == keep) break;
    ++end;
  }
  return std::string(text.substr(0, end)) + (width >= mark_width ? std::string(mark) : "");
}

// The steps are those of Docker's lists (`docker ps`): people and scripts know them.
std::string human_duration(std::chrono::seconds duration) {
  const int64_t seconds = duration.count();
  const int64_t minutes = seconds / 60;
  const int64_t hours = static_cast<int64_t>(std::llround(static_cast<double>(seconds) / 3600));
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return counted(seconds, "seconds");
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return counted(minutes, "minutes");
  if (hours == 1) return "About an hour";
  if (hours < 48) return counted(hours, "hours");
  if (hours < 24 * 7 * 2) return counted(hours / 24, "days");
  if (hours < 24 * 30 * 2) return counted(hours / 24 / 7, "weeks");
  if (hours < 24 * 365 * 2) return counted(hours / 24 / 30, "months");
  return counted(hours / 24 / 365, "years");
}

std::string human_size(uint64_t bytes) {
  constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {  // what rounds to 1000 is 1 of the next unit
    value /= 1000;
    ++unit;
  }
  return printed("%.3g", value) + kUnits[unit];
}

std::string binary_size(double bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return printed("%.4g", bytes) + kUnits[unit];
}

std::string percent(double value) { return printed("%.2f", value) + "%"; }

std::string comma_list(const std::map<std::string, std::string>& values) {
  std::vector<std::string> pieces;
  for (const auto& [key, value] : values) pieces.push_back(key + "=" + value);
  return join(pieces, ",");
}

std::string api_time(WallTime time) {
  const int64_t nanoseconds = time.time_since_epoch().count();
  std::string fraction = std::to_string(nanoseconds % 1'000'000'000);
  return std::to_string(nanoseconds / 1'000'000'000) + "." + std::string(9 - fraction.size(), '0') + fraction;
}

Result<std::string> api_time(std::string_view text, WallTime now) {
  WallTime time;
  const std::string given(text);
  if (parse_rfc3339(given, time) || parse_rfc3339(given + "Z", time) || parse_rfc3339(given + "T00:00:00Z", time)) {
    return api_time(time);
  }
  const size_t dot = text.find('.');
  if (parse_unsigned(text.substr(0, dot)) && (dot == std::string_view::npos || parse_unsigned(text.substr(dot + 1)))) {
    return given;
  }
  if (auto back = compose::parse_duration(text); back.ok()) return api_time(now - *back);
  return invalid("invalid time " + quoted(text) +
                 ": give a duration back from now (\"42m\"), a time (\"2026-01-02T15:04:05Z\") or unix seconds");
}

namespace {

// Ports of one address and protocol, neighbours joined while published and target grow alike.
struct PortRun {
  PortBinding first;
  uint16_t length = 1;
  bool continues_with(const PortBinding& next) const {
    const bool same = next.ip == first.ip && next.protocol == first.protocol;
    const bool published = first.published == 0 ? next.published == 0 : next.published == first.published + length;
    return same && published && next.target == first.target + length;
  }
};

std::string range(uint16_t first, uint16_t length) {
  return length == 1 ? std::to_string(first) : std::to_string(first) + "-" + std::to_string(first + length - 1);
}

}  // namespace

std::string ports_text(std::vector<PortBinding> ports) {
  std::sort(ports.begin(), ports.end(), [](const PortBinding& a, const PortBinding& b) {
    return std::tie(a.protocol, a.ip, a.target, a.published) < std::tie(b.protocol, b.ip, b.target, b.published);
  });
  std::vector<PortRun> runs;
  for (const PortBinding& port : ports) {
    if (!runs.empty() && runs.back().continues_with(port)) {
      ++runs.back().length;
    } else {
      runs.push_back({.first = port});
    }
  }
  std::vector<std::string> pieces;
  for (const PortRun& run : runs) {
    std::string piece;
    if (run.first.published != 0) {
      const bool six = run.first.ip.find(':') != std::string::npos;
      piece = (six ? "[" + run.first.ip + "]" : run.first.ip) + ":" + range(run.first.published, run.length) + "->";
    }
    pieces.push_back(piece + range(run.first.target, run.length) + "/" + run.first.protocol);
  }
  return join(pieces, ", ");
}

}  // namespace gantry::cli
