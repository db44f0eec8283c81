// How much disk things take. Connection threads; they read directories, so they may take a while.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "daemon/world.h"

namespace gantry::daemon::docker {

// Of the container's own layer.
uint64_t written_size(const engine::ListedContainer& container);

// SizeRw and SizeRootFs, as `size=1` asks for them.
void add_sizes(World& world, const engine::ListedContainer& container, nlohmann::json& into);

}  // namespace gantry::daemon::docker
