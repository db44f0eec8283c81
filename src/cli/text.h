// How numbers, times and lists look in the tools' output, and how people type them. Pure; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace gantry::cli {

// Characters on the screen: code points of UTF-8 (combining and wide ones are counted as one).
size_t display_width(std::string_view text);
// At most `width` characters; what is cut is replaced by `mark`.
std::string shorten(std::string_view text, size_t width, std::string_view mark = "…");

// "Less than a second", "5 minutes", "About an hour", …: the steps of Docker's lists.
std::string human_duration(std::chrono::seconds duration);
// "0B", "12.3MB": decimal units, three significant digits.
std::string human_size(uint64_t bytes);
// "12.3MiB": binary units, four significant digits.
std::string binary_size(double bytes);
// "12.34%"
std::string percent(double value);
// "a=b,c=d"
std::string comma_list(const std::map<std::string, std::string>& values);
constexpr size_t kCommandWidth = 20;  // of a container's command in a list

// What --since and --until take: RFC 3339, "2026-01-02", "2026-01-02T03:04:05" (UTC), a duration back from `now`, or
// unix seconds. → "SECONDS.NANOSECONDS", the only form the API knows.
Result<std::string> api_time(std::string_view text, WallTime now);
std::string api_time(WallTime time);

// One published or exposed port of a container.
struct PortBinding {
  std::string ip;
  uint16_t target = 0;
  uint16_t published = 0;  // 0: only exposed
  std::string protocol = "tcp";
  friend auto operator<=>(const PortBinding&, const PortBinding&) = default;
};
// "0.0.0.0:80-81->80-81/tcp, 443/tcp": runs of neighbours joined.
std::string ports_text(std::vector<PortBinding> ports);

}  // namespace gantry::cli
