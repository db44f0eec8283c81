// What the store keeps of a network. Plain value; JSON in container/record_json.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "engine/iface/specs.h"
#include "net/address.h"

namespace gantry::engine {

struct NetworkRecord {
  NetworkId id;
  NetworkSpec spec;             // as asked for, but with the driver filled in
  WallTime created_at{};
  std::vector<IpamPool> pools;  // as allocated, each with its gateway unless it is isolated; of a bridge one a family
  std::string bridge_name;
  std::string enclave;  // net::Enclave's id, of an isolated network
  std::string uplink;   // the enclave's address with its prefix: "198.18.0.2/20"
  friend bool operator==(const NetworkRecord&, const NetworkRecord&) = default;
};

// What an endpoint with that address has of its network.
struct AddressPlace {
  std::optional<net::Subnet> subnet;  // nothing: the network has no such address
  std::optional<net::IpAddress> gateway;
};
AddressPlace place_of(const NetworkRecord& network, const std::string& address);

}  // namespace gantry::engine
