// What the store keeps of a network. Plain value; JSON in container/record_json.h.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "engine/iface/specs.h"

namespace gantry::engine {

struct NetworkRecord {
  NetworkId id;
  NetworkSpec spec;             // as asked for, but with the driver filled in
  WallTime created_at{};
  std::vector<IpamPool> pools;  // as allocated: at most one a family, each with its gateway unless it is isolated
  std::string bridge_name;
  friend bool operator==(const NetworkRecord&, const NetworkRecord&) = default;
};

}  // namespace gantry::engine
