// Devices by name, through the Container Device Interface: files in /etc/cdi and /var/run/cdi say which nodes, mounts
// and variables "vendor.com/class=name" stands for. Format: CDI specification, container-edits. JSON files only; for a
// YAML file the message says how to get one. Worker threads.
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "engine/container/runtime.h"

namespace gantry::engine {

const std::vector<std::filesystem::path>& cdi_directories();  // of this machine, the stronger one last

// Adds what spec.resources.device_requests mean to the sandbox. A request for the capability "gpu" without a driver (or
// with nvidia's) takes devices of the first kind "…/gpu".
// Errors: `could not select device driver "x" with capabilities: [[gpu]]` where nothing provides them; not_found for a
// device; unsupported for edits that cannot be made here (hooks).
Result<> apply_device_requests(SandboxSpec& spec, const std::vector<std::filesystem::path>& directories);

}  // namespace gantry::engine
