#include "daemon/docker/prune.h"

#include <time.h>

#include "daemon/docker/events.h"
#include "engine/build/metadata.h"

namespace gantry::daemon::docker {
namespace {

// "2026-01-02", "2026-01-02T15:04", "2026-01-02T15:04:05", with a fraction, "Z" or an offset; without one in UTC.
std::optional<WallTime> parse_date(const std::string& text) {
  for (const char* format : {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"}) {
    std::tm parts{};
    const char* rest = ::strptime(text.c_str(), format, &parts);
    if (rest == nullptr) continue;
    WallTime time{std::chrono::seconds(::timegm(&parts))};
    if (*rest == '.') {
      ++rest;
      for (auto unit = std::chrono::nanoseconds(100'000'000); *rest >= '0' && *rest <= '9'; ++rest, unit /= 10) {
        time += unit * (*rest - '0');
      }
    }
    if (*rest == '\0' || std::string_view(rest) == "Z") return time;
    int hours = 0;
    int minutes = 0;
    char sign = 0;
    if (std::sscanf(rest, "%c%2d:%2d", &sign, &hours, &minutes) != 3 || (sign != '+' && sign != '-')) continue;
    const std::chrono::minutes offset(hours * 60 + minutes);
    return sign == '+' ? time - offset : time + offset;
  }
  return std::nullopt;
}

}  // namespace

Result<PruneTurn> PruneTurn::take(Kind kind) {
  // Of the process: what prunes compete for is one engine's.
  static std::atomic<bool> busy[5];
  std::atomic<bool>& own = busy[static_cast<size_t>(kind)];
  if (own.exchange(true)) return conflict("a prune operation is already running");
  return PruneTurn(&own);
}

Result<std::optional<WallTime>> until_of(const Filters& filters, WallTime now) {
  if (!filters.has("until")) return std::optional<WallTime>();
  const std::set<std::string>& values = filters.values("until");
  if (values.size() > 1) return invalid("more than one until filter specified");
  const std::string& text = *values.begin();
  if (const auto duration = engine::parse_go_duration(text); duration.ok()) return std::optional(now - *duration);
  if (const auto date = parse_date(text)) return date;
  if (const auto unix_time = parse_unix_time(text); unix_time.ok()) return std::optional(*unix_time);
  return invalid("invalid filter 'until=" + text + "': expected a duration such as 24h, a time or a date");
}

void emit_prune(World& world, engine::Event::Type type, uint64_t reclaimed) {
  world.loop.post([&world, type, reclaimed] {
    world.engine.emit({.time = world.loop.clock().wall(),
                       .type = type,
                       .action = "prune",
                       .actor_id = "",
                       .attributes = {{"reclaimed", std::to_string(reclaimed)}}});
  });
}

}  // namespace gantry::daemon::docker
