// Volumes as Docker's API shows them. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/local_engine.h"

namespace gantry::daemon::docker {

nlohmann::json volume_json(const engine::VolumeDetails& volume);

}  // namespace gantry::daemon::docker
