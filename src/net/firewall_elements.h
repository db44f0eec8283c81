// What a network, and an endpoint's published ports, put into the firewall's sets and maps. Pure.
#pragma once

#include <utility>
#include <vector>

#include "net/network.h"
#include "net/nft_batch.h"

namespace gantry::net {

struct SetElement {
  const NftSet* set;  // of firewall_sets()
  NftElement element;
};
std::vector<SetElement> elements_of(const BridgeConfig& bridge);
// Those that it might have if its options were others: what to look for when it is brought into a new shape.
std::vector<SetElement> conceivable_elements_of(const BridgeConfig& bridge);
// Fails if a host address does not parse.
Result<std::vector<SetElement>> elements_of(const EndpointConfig& endpoint);

}  // namespace gantry::net
