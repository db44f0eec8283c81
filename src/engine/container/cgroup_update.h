// New limits for a container that runs. Any thread; blocking.
#pragma once

#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "engine/container/cgroup_plan.h"

namespace gantry::engine {

// Carries out what plan_cgroup() says for the new limits, from outside. `pid`: the container's PID 1. True: the
// container has joined hierarchies that its shim does not know of, so remove_container_cgroups() must follow its end.
// Errors name the file that the kernel refused; what was written before stays.
Result<bool> update_cgroups(const CgroupHost& host, const std::string& root_name, const ContainerId& id, int pid,
                            const Resources& resources, bool privileged);

}  // namespace gantry::engine
