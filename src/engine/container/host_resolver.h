// The host's resolver configuration, read from its files. Any thread.
#pragma once

#include "engine/container/network_files.h"

namespace gantry::engine {

// /etc/resolv.conf; behind systemd-resolved's stub the real servers. Unreadable: empty.
ResolverConfig host_resolver();

}  // namespace gantry::engine
