// Kernel settings of one interface in a container.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace gantry::net {

// Name as of sysctl(8), value; names are under net.*, which /proc shows of the network namespace of whoever opens it: a
// thread of its own enters `netns` for it. None: nothing is done. Blocking.
Result<> apply_sysctls(int netns, const std::vector<std::pair<std::string, std::string>>& settings);

// "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6…" (com.docker.network.endpoint.sysctls) for the interface. Only settings
// of the interface itself are taken. Pure.
Result<std::vector<std::pair<std::string, std::string>>> parse_endpoint_sysctls(std::string_view text,
                                                                                const std::string& interface);

}  // namespace gantry::net
