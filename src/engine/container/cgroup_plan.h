// Where a container lives in the cgroup trees and what is written there. The plan is made here and carried out by the
// shim (shim/cgroup.h); taking away what a dead shim left is done here. v1, v2 and the hybrid of both.
// Sources: kernel Documentation/admin-guide/cgroup-v1, cgroup-v2.rst. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "engine/iface/specs.h"
#include "shim/protocol.h"

namespace gantry::engine {

// One mounted v1 hierarchy. "cpu,cpuacct" is one with two controllers; "name=systemd" one with none but its name.
struct CgroupHierarchy {
  std::string mount;
  std::vector<std::string> controllers;
  friend bool operator==(const CgroupHierarchy&, const CgroupHierarchy&) = default;
};

// The machine's cgroup trees. Nothing mounted: every limit is discarded with a warning.
struct CgroupHost {
  std::vector<CgroupHierarchy> v1;               // empty with pure v2
  std::string unified;                           // mount of the v2 tree; empty: there is none
  std::vector<std::string> unified_controllers;  // of its root; empty in most hybrids
  bool device_programs = false;                  // a BPF program on the v2 directory can restrict devices

  bool pure_v2() const { return v1.empty() && !unified.empty(); }
  const CgroupHierarchy* v1_of(std::string_view controller) const;
  bool unified_has(std::string_view controller) const;
  bool has(std::string_view controller) const { return v1_of(controller) != nullptr || unified_has(controller); }
  friend bool operator==(const CgroupHost&, const CgroupHost&) = default;
};

// Pure: the text of /proc/self/mountinfo. `unified_controllers` and `device_programs` stay as they are made.
CgroupHost parse_cgroup_mounts(std::string_view mountinfo);
// Errors: /proc/self/mountinfo cannot be read.
Result<CgroupHost> discover_cgroups();

// The container's directories, MOUNT/root_name/ID (with a cgroup_parent MOUNT/cgroup_parent/ID). Always in the v2 tree,
// if there is one, but in a v1 hierarchy only for a limit of it: each takes the start a directory and a move. Without a v2
// tree, in every v1 hierarchy.
// A limit whose controller is absent is left out (cgroup_warnings tells). Pure, but for looking up the numbers of `resources.devices`; a device that is missing gets
// no rule, device_nodes() is the one to complain.
shim::CgroupPlan plan_cgroup(const CgroupHost& host, const std::string& root_name, const ContainerId& id,
                             const Resources& resources, bool privileged);
// What was asked for and this machine cannot do, in Docker's words: for the answer to `create`, and at the start.
std::vector<std::string> cgroup_warnings(const CgroupHost& host, const Resources& resources);

// v1 cpu.shares → v2 cpu.weight: 1024 → 100; 0 stays 0, unset.
uint64_t cpu_weight_of_shares(int64_t shares);

// Kills what is in the container's cgroups and removes them; blocks for up to ten seconds. Nothing there: fine.
Result<> remove_container_cgroups(const CgroupHost& host, const std::string& root_name, const ContainerId& id);
// The ids of containers that have a cgroup under `root_name` in any tree.
std::vector<ContainerId> container_cgroups(const CgroupHost& host, const std::string& root_name);
// The same as remove_container_cgroups() for directories that were noted down, because a cgroup_parent put them elsewhere.
Result<> remove_cgroup_directories(const std::vector<std::string>& directories);
// Removes our shared directory from every hierarchy, unless containers live there still.
void remove_cgroup_roots(const CgroupHost& host, const std::string& root_name);

}  // namespace gantry::engine
