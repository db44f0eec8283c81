// The new network namespace, from inside: loopback up, and the sockets that the daemon configures it through.
#pragma once

namespace gantry::shim {

// In the child, in its new network namespace. Sends them as ChildMessage::sockets.
void open_network_sockets();

}  // namespace gantry::shim
