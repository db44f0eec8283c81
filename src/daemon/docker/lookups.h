// Questions to the loop that many handlers ask. Connection threads only.
#pragma once

#include <string>

#include "daemon/world.h"

namespace gantry::daemon::docker {

inline Result<ContainerId> find_container(World& world, const std::string& reference) {
  return world.loop.ask([&] { return world.engine.find_container(reference); });
}

inline Result<engine::ContainerDetails> inspect_container(World& world, const std::string& reference) {
  return world.loop.ask([&]() -> Result<engine::ContainerDetails> {
    const ContainerId id = TRY(world.engine.find_container(reference));
    return world.engine.inspect_container(id);
  });
}

inline Result<NetworkId> find_network(World& world, const std::string& reference) {
  return world.loop.ask([&] { return world.engine.find_network(reference); });
}

}  // namespace gantry::daemon::docker
