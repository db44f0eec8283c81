// Containers as Docker's API shows them: the list's summary and the whole of inspect. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/clock.h"
#include "engine/local_engine.h"

namespace gantry::daemon::docker {

// `image`: what to show as Image, i.e. the reference it was made from while that still names the same image.
nlohmann::json container_summary(const engine::ContainerDetails& container, const std::string& image, WallTime now);
nlohmann::json container_inspect(const engine::ContainerDetails& container);

const char* protocol_name(uint8_t protocol);  // of IPPROTO_…: "tcp", "udp", "sctp"

// "nginx -g 'daemon off;'": arguments with spaces are quoted.
std::string command_text(const std::vector<std::string>& arguments);

}  // namespace gantry::daemon::docker
