// Which kernel settings a container may have of its own. Pure.
#pragma once

#include <string>

#include "base/result.h"
#include "engine/container/runtime.h"

namespace gantry::engine {

// Fine are those that belong to a namespace which is the container's own: net.*, System V's limits and fs.mqueue.*,
// kernel.domainname. Any other one would change the host. Errors: invalid, names the setting and why.
Result<> check_sysctl(const std::string& name, const SandboxSpec& spec);

}  // namespace gantry::engine
