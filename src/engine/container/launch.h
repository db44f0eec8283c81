// SandboxSpec → what the shim is told. Names become numbers here (capabilities, limits, devices, system calls),
// so that the shim stays small. Any thread.
#pragma once

#include <string>

#include "base/result.h"
#include "engine/container/cgroup_plan.h"
#include "engine/container/runtime.h"
#include "shim/protocol.h"

namespace gantry::engine {

Result<shim::Launch> make_launch(const SandboxSpec& spec, const CgroupHost& cgroups, const std::string& cgroup_root);
shim::Program make_program(const ProcessSpec& process);

}  // namespace gantry::engine
