// A reading of a container's use in the form of GET /containers/{id}/stats. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "base/clock.h"
#include "engine/container/container_usage.h"
#include "engine/local_engine.h"

namespace gantry::daemon::docker {

struct StatsSample {
  WallTime time{};
  engine::ContainerUsage usage;
  uint64_t system_cpu_ns = 0;
};

// Without a sample (the container does not run) everything is zero. `before`: for the rates that clients compute.
nlohmann::json stats_json(const engine::ContainerDetails& container, const std::optional<StatsSample>& sample,
                          const std::optional<StatsSample>& before);

}  // namespace gantry::daemon::docker
