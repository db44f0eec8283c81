// Telling neighbours that an address has moved to another MAC.
#pragma once

#include <string>

#include "base/result.h"
#include "net/address.h"

namespace gantry::net {

// A gratuitous ARP request (RFC 5227, 3) for an IPv4 address, an unsolicited neighbour advertisement (RFC 4861, 7.2.6)
// for an IPv6 one, sent to all ports of the bridge in the name of `mac`. Needed only where an address was in use
// before: others would go on sending to the old MAC for up to half a minute. Blocking, any thread.
Result<> announce(int bridge_index, const IpAddress& address, const MacAddress& mac);

}  // namespace gantry::net
