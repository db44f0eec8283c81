// Who has a port of this host, for messages: "nginx, pid 4711".
#pragma once

#include <cstdint>
#include <string>

namespace gantry::net {

// Looks through /proc for a listening TCP (bound UDP) socket on `port` and the process that holds it. Empty if it
// cannot be found: another network namespace's, a kernel socket, or no permission to look.
std::string find_port_holder(uint8_t protocol, uint16_t port);

}  // namespace gantry::net
