// The host's switch between "end system" and "router": net.ipv4.ip_forward and its IPv6 counterpart, in the caller's
// network namespace. Blocking, any thread.
#pragma once

#include "base/result.h"

namespace gantry::net {

Result<bool> is_forwarding(bool ipv6);
// Turning IPv6 forwarding on makes interfaces ignore router advertisements (accept_ra=1: Documentation/networking/
// ip-sysctl), and so could cost the host its default route: interfaces that listened to them go on listening.
Result<> set_forwarding(bool ipv6, bool on);

}  // namespace gantry::net
