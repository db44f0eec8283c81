// The host's switch between "end system" and "router": net.ipv4.ip_forward and its IPv6 counterpart, in the caller's
// network namespace. Blocking, any thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::net {

Result<bool> is_forwarding(bool ipv6);
Result<> set_forwarding(bool ipv6, bool on);

// IPv6 forwarding makes interfaces ignore router advertisements (accept_ra=1: Documentation/networking/ip-sysctl), and
// so could cost the host its default route. Makes those that listen to them go on listening (accept_ra=2), and says
// which: interfaces, "all" and "default".
std::vector<std::string> keep_router_advertisements();
// Undoes it for these, once forwarding is off again.
void forget_router_advertisements(const std::vector<std::string>& interfaces);

// What comes in through the interface is for this host alone, whatever the host forwards otherwise. IPv4.
Result<> forward_nothing_from(const std::string& interface);

}  // namespace gantry::net
