// The wanted values of specs.h as JSON and back: how they are kept in the store and sent between processes.
// What equals its default is left out; reading it back gives the same value. Field names are those of specs.h;
// times are nanoseconds. Readers bound size (16 MiB) and depth (32), refuse wrong types and unknown names, and
// say where: "container spec: mounts[0].target: must be a string". Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/iface/specs.h"

namespace gantry::engine {

std::string to_json(const ContainerSpec& spec);
std::string to_json(const NetworkSpec& spec);
std::string to_json(const VolumeSpec& spec);

Result<ContainerSpec> container_spec_from_json(std::string_view json);
Result<NetworkSpec> network_spec_from_json(std::string_view json);
Result<VolumeSpec> volume_spec_from_json(std::string_view json);

}  // namespace gantry::engine
