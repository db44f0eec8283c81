// events: what happens to the project's containers, as it happens.
#include <algorithm>
#include <cstdio>
#include <ctime>

#include "cli/api_extra.h"
#include "cli/commands/commands.h"
#include "cli/signals.h"
#include "compose/labels.h"

namespace gantry::cli {

namespace {

constexpr Flag kEventsFlags[] = {
    {.name = "json", .help = "Print a JSON object a line"},
    {.name = "since", .kind = FlagKind::text, .value_name = "TIME", .help = "Begin with what happened since then"},
    {.name = "until", .kind = FlagKind::text, .value_name = "TIME", .help = "End there instead of going on"},
};

constexpr std::string_view kComposePrefix = "com.docker.compose.";

WallTime time_of(const EngineEvent& event) { return WallTime(std::chrono::nanoseconds(event.time_nano)); }

// "2026-01-02 15:04:05.000000", local time.
std::string event_time(const EngineEvent& event) {
  const std::time_t seconds = static_cast<std::time_t>(event.time_nano / 1'000'000'000);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  char text[64];
  const size_t size = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
  char micros[16];
  std::snprintf(micros, sizeof micros, ".%06d", static_cast<int>(event.time_nano / 1000 % 1'000'000));
  return std::string(text, size) + micros;
}

std::string text_line(const EngineEvent& event) {
  std::string attributes;
  for (const auto& [name, value] : event.attributes) {
    attributes += (attributes.empty() ? "" : ", ") + name + "=" + value;
  }
  return event_time(event) + " container " + event.action + " " + event.id + " (" + attributes + ")\n\n";
}

// One line of the engine's stream as the user sees it; "" for what is not shown.
std::string shown(std::string_view line, const std::vector<std::string>& services, bool json) {
  auto event = parse_event(line);
  if (!event.ok()) return "";
  const auto label = [&](const char* name) {
    const auto found = event->attributes.find(name);
    return found == event->attributes.end() ? std::string() : found->second;
  };
  const std::string service = label(compose::label::kService);
  const bool one_off = label(compose::label::kOneOff) == "True";
  const bool wanted = services.empty() || std::find(services.begin(), services.end(), service) != services.end();
  if (service.empty() || one_off || !wanted) return "";
  std::erase_if(event->attributes, [](const auto& entry) { return entry.first.starts_with(kComposePrefix); });
  if (json) return event_json(*event, service, format_rfc3339(time_of(*event)));
  return text_line(*event);
}

Result<int> events(Session& session, const Arguments& arguments) {
  const auto target = TRY(session.find_project(arguments.positional()));
  const WallTime now = session.clock().wall();
  std::string path = "/events?filters=" +
                     filters_query({{"type", {"container"}},
                                    {"label", {std::string(compose::label::kProject) + "=" + target.name}}});
  for (const char* flag : {"since", "until"}) {
    if (!arguments.given(flag)) continue;
    path += "&" + std::string(flag) + "=" +
            TRY(api_time(arguments.text(flag), now).within("--" + std::string(flag)));
  }
  TRY(TRY(session.api())->stream_lines("GET", path, "", [&](std::string_view line) {
    session.out.write(shown(line, arguments.positional(), arguments.on("json")));
    return true;
  }));
  return 0;
}

}  // namespace

const Command kEvents{.syntax = {.name = "events",
                                 .arguments = "[SERVICE...]",
                                 .summary = "Print what happens to the containers",
                                 .flags = kEventsFlags},
                      .run = events};

}  // namespace gantry::cli
