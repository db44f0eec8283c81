// The HostConfig part of a container's description, in both directions. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "daemon/docker/fields.h"
#include "engine/iface/specs.h"

namespace gantry::daemon::docker {

// Everything but NetworkMode. Trouble is told through the fields.
void read_host_config(const Fields& host, engine::ContainerSpec& spec);

// All keys, with Docker's types: typed clients decode it.
nlohmann::json host_config_json(const engine::ContainerSpec& spec);

// "bridge", "host", "container:x", or the first network's name.
std::string network_mode_text(const engine::NetworkMode& mode, const std::string& first_network);
std::string network_mode_text(const engine::ContainerSpec& spec);

}  // namespace gantry::daemon::docker
