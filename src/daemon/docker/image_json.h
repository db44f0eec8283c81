// Images as Docker's API shows them. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/image/image_store.h"

namespace gantry::daemon::docker {

nlohmann::json image_summary(const engine::Image& image);
nlohmann::json image_inspect(const engine::Image& image);
nlohmann::json image_history(const engine::Image& image);  // top first

}  // namespace gantry::daemon::docker
