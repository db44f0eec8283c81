#include "daemon/docker/events.h"

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/strings.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/routes.h"
#include "daemon/event_hub.h"
#include "daemon/waiting.h"

namespace gantry::daemon::docker {
namespace {

using engine::Event;
using nlohmann::json;

constexpr size_t kMaxQueuedEvents = 16 << 20;  // of a client that does not read

std::string attribute(const Event& event, const char* name) {
  const auto at = event.attributes.find(name);
  return at == event.attributes.end() ? std::string() : at->second;
}

std::string without_tag(const std::string& image) {
  const size_t colon = image.rfind(':');
  return colon == std::string::npos || image.find('/', colon) != std::string::npos ? image : image.substr(0, colon);
}

// "health_status: healthy" is meant by "health_status", "exec_start: ls" by "exec_start".
bool action_passes(const Event& event, const Filters& filters) {
  if (!filters.has("event")) return true;
  const std::vector<std::string> names = {event.action, event.action.substr(0, event.action.find(':'))};
  return filters.any_exact("event", names);
}

bool actor_passes(const Event& event, const Filters& filters, Event::Type type, const char* key) {
  if (!filters.has(key)) return true;
  if (event.type == type) {
    const std::vector<std::string> names = {event.actor_id, attribute(event, "name")};
    return filters.fuzzy(key, names);
  }
  if (type == Event::Type::image && event.type == Event::Type::container) {
    const std::string image = attribute(event, "image");
    const std::vector<std::string> names = {image, without_tag(image)};
    return filters.fuzzy(key, names);
  }
  return false;
}

struct WantedEvents {
  WallTime since{};
  WallTime until{};
  Filters filters;
  bool passes(const Event& event) const {
    return event.time >= since && (until == WallTime{} || event.time <= until) && event_passes(event, filters);
  }
};

Result<WantedEvents> parse_wanted(const Call& call) {
  WantedEvents wanted;
  wanted.since = TRY(parse_unix_time(call.query.get("since")));
  wanted.until = TRY(parse_unix_time(call.query.get("until")));
  wanted.filters = TRY(Filters::parse(call.query.get("filters"), {}));
  if (wanted.until != WallTime{} && wanted.until < wanted.since) {
    return invalid("`since` time (" + call.query.get("since") + ") cannot be after `until` time (" +
                   call.query.get("until") + ")");
  }
  return wanted;
}

// Past events only if they are asked for; then everything new, until `until` or for ever.
EventHub::SubscriberId follow(World& world, const std::shared_ptr<const WantedEvents>& wanted,
                              const std::shared_ptr<LineQueue>& queue) {
  const auto push = [wanted, queue](const Event& event) {
    if (!wanted->passes(event)) return;
    queue->push(to_line(event_json(event)), true);
    if (queue->overflowed()) queue->close();  // a gap would be worse for the client than the end
  };
  const bool past_asked = wanted->since != WallTime{} || wanted->until != WallTime{};
  if (past_asked) {
    for (const Event& event : world.events.past()) push(event);
  }
  if (wanted->until != WallTime{}) {
    const auto left = wanted->until - world.loop.clock().wall();
    if (left.count() <= 0) {
      queue->close();
    } else {
      world.loop.after(left, [queue] { queue->close(); });
    }
  }
  return world.events.subscribe(push);
}

Result<> serve_events(Exchange& exchange, const Call& call, World& world) {
  WantedEvents parsed = TRY(parse_wanted(call));
  const auto wanted = std::make_shared<const WantedEvents>(std::move(parsed));
  auto queue = std::make_shared<LineQueue>(kMaxQueuedEvents);
  TRY(queue->bell().check());
  // Registered before the head is sent: a client that lists after it has seen the head misses nothing.
  const auto subscriber = world.loop.ask([&] { return follow(world, wanted, queue); });
  const Result<> begun = exchange.begin(200, kJson);
  const bool complete = begun.ok() && pump(exchange, *queue);
  world.loop.ask([&] { world.events.unsubscribe(subscriber); });
  if (!complete) return {};
  return exchange.end();
}

}  // namespace

Result<WallTime> parse_unix_time(const std::string& text) {
  if (trim(text).empty()) return WallTime{};
  const size_t dot = text.find('.');
  const std::optional<uint64_t> seconds = parse_unsigned(std::string_view(text).substr(0, dot));
  std::string fraction = dot == std::string::npos ? "" : text.substr(dot + 1);
  if (fraction.size() > 9) fraction.resize(9);
  fraction.resize(9, '0');
  const std::optional<uint64_t> nanoseconds = parse_unsigned(fraction);
  constexpr uint64_t kMaxSeconds = INT64_MAX / 1'000'000'000 - 1;
  if (!seconds || !nanoseconds || *seconds > kMaxSeconds) {
    return internal_error("failed to parse " + gantry::quoted(text) + " as a unix time");  // 500, as dockerd
  }
  return WallTime{std::chrono::seconds(*seconds) + std::chrono::nanoseconds(*nanoseconds)};
}

json event_json(const Event& event) {
  json value = {{"Type", engine::to_string(event.type)},
                {"Action", event.action},
                {"Actor", {{"ID", event.actor_id}, {"Attributes", event.attributes}}},
                {"scope", "local"},
                {"time", seconds_of(event.time)},
                {"timeNano", event.time.time_since_epoch().count()}};
  if (event.type == Event::Type::container || event.type == Event::Type::image) {
    value["status"] = event.action;
    value["id"] = event.actor_id;
  }
  if (event.type == Event::Type::container) value["from"] = attribute(event, "image");
  return value;
}

bool event_passes(const Event& event, const Filters& filters) {
  return filters.exact("type", engine::to_string(event.type)) && filters.exact("scope", "local") &&
         action_passes(event, filters) && filters.labels(event.attributes) &&
         actor_passes(event, filters, Event::Type::container, "container") &&
         actor_passes(event, filters, Event::Type::image, "image") &&
         actor_passes(event, filters, Event::Type::network, "network") &&
         actor_passes(event, filters, Event::Type::volume, "volume") &&
         // Kinds of events that never come here.
         !filters.has("plugin") && !filters.has("daemon");
}

void add_event_routes(Router& router, World& world) {
  router.add("GET", "/events",
             [&world](Exchange& exchange, const Call& call) { return serve_events(exchange, call, world); });
}

}  // namespace gantry::daemon::docker
