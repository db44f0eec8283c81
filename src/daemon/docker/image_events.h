// Events of images: they come from the API's calls, because the store knows no events. Any thread.
#pragma once

#include <string>

#include "daemon/world.h"

namespace gantry::daemon::docker {

void emit_image_event(World& world, std::string action, std::string id, std::string name);

}  // namespace gantry::daemon::docker
