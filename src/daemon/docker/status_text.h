// The STATUS column of `docker ps`: "Up 5 minutes (healthy)". Pure.
#pragma once

#include <chrono>
#include <string>

#include "base/clock.h"
#include "engine/iface/observed.h"

namespace gantry::daemon::docker {

// "Less than a second", "1 second", "About a minute", "3 hours", … as Docker's go-units words them.
std::string duration_words(std::chrono::nanoseconds duration);
std::string status_text(const engine::ObservedContainer& container, WallTime now);

}  // namespace gantry::daemon::docker
