// The engine's events in Docker's form. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "daemon/docker/filters.h"
#include "engine/iface/events.h"

namespace gantry::daemon::docker {

nlohmann::json event_json(const engine::Event& event);
bool event_passes(const engine::Event& event, const Filters& filters);

// "S" or "S.NNNNNNNNN": unix seconds; empty is the epoch, i.e. "not given".
Result<WallTime> parse_unix_time(const std::string& text);

}  // namespace gantry::daemon::docker
