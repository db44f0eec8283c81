// The new network namespace, from inside: loopback up, and the sockets that the daemon configures it through.
#pragma once

namespace gantry::shim {

// In the child, in its new network namespace. Sends them as ChildMessage::sockets.
// `no_netfilter`: the kernel cannot lead port 53 of 127.0.0.11 to another, so the name service's sockets are bound to it.
void open_network_sockets(bool no_netfilter);

}  // namespace gantry::shim
