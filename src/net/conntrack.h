// The kernel's table of known flows (linux/netfilter/nfnetlink_conntrack.h).
#pragma once

#include <cstdint>

#include "base/result.h"

namespace gantry::net {

// Forgets flows of `protocol` whose first packet went to `port`, in both families: translation is decided once a flow,
// so a peer that goes on sending UDP would go on reaching the old container, or none. `netfilter` is a
// NETLINK_NETFILTER socket.
Result<> forget_flows(int netfilter, uint8_t protocol, uint16_t port);

}  // namespace gantry::net
