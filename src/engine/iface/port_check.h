// The question whether ports could be published, asked before anything is made or started.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/iface/specs.h"

namespace gantry::engine {

struct PortCheck {
  struct User {
    ContainerSpec spec;  // of one that is to be made
    ContainerId id;      // or else one that is there
    std::string group;   // those of one group run at the same time and must not have one port; others may
  };
  std::vector<User> users;                // that would be started
  std::vector<NetworkSpec> new_networks;  // that would be made before
  std::set<ContainerId> leaving;          // would be stopped before: what they have counts as free
};

struct PortConflict {
  size_t user = 0;  // its place in the question
  Error error;      // names who has the port: a container, or a process of the host with its pid
};

}  // namespace gantry::engine
