// Brings the name service to 127.0.0.11:53 inside a container's network namespace.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace gantry::net {

inline constexpr uint16_t kDnsPort = 53;

// Rules in the namespace of the NETLINK_NETFILTER socket that exchange port 53 of 127.0.0.11 for the ports of the name
// service's sockets there, in both directions. Binding port 53 itself would make the container's own bind of 0.0.0.0:53
// fail. They keep no state: address translation would make the kernel track every connection of the container.
// Called again it replaces the rules. Blocking, any thread.
Result<> redirect_dns(int netfilter, uint16_t udp_port, uint16_t tcp_port);

}  // namespace gantry::net
