// A container's devices: the nodes to make and the cgroup's rules about them. Any thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/iface/specs.h"
#include "shim/protocol.h"

namespace gantry::engine {

// What every container may use besides making nodes ("m"): null zero full random urandom tty console ptmx,
// the pts, tun. Lines for devices.allow, later ones win.
std::vector<std::string> default_device_rules();

// The nodes of `devices`, looked up on the host; a directory stands for all nodes below it. Links are followed.
// Errors: not_found, `error gathering device information while adding custom device "X": …`; invalid if it is none.
Result<std::vector<shim::DeviceNode>> device_nodes(const std::vector<Device>& devices);

// All nodes below the host's /dev, for a privileged container; without /dev/pts, shm, mqueue, console.
std::vector<shim::DeviceNode> all_host_devices();

// "8:0", the number of a block device; "" if there is none at `path`.
std::string device_number(const std::string& path);
// Errors: not_found or invalid, naming the first device of the blkio limits that is no block device of this machine.
Result<> check_limited_devices(const Resources& resources);

// "c 10:200 rwm" for each node of `devices`; missing devices have none.
std::vector<std::string> device_rules(const std::vector<Device>& devices);

}  // namespace gantry::engine
