// Brings the name service to 127.0.0.11:53 inside a container's network namespace.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace gantry::net {

// Two nat rules in the namespace of the NETLINK_NETFILTER socket, which send 127.0.0.11:53 to the ports of the name
// service's sockets there; the kernel's flow table gives answers the right source. Binding port 53 itself would make
// the container's own bind of 0.0.0.0:53 fail. Called again it replaces the rules. Blocking, any thread.
Result<> redirect_dns(int netfilter, uint16_t udp_port, uint16_t tcp_port);

}  // namespace gantry::net
