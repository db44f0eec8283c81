// The supervisor's hands in the cgroup tree. What to do is decided by the engine (a CgroupPlan); this does it.
#pragma once

#include <string>
#include <vector>

#include "shim/protocol.h"
#include "shim/system.h"

namespace gantry::shim {

// In a child, which ends if that fails: into the v1 directories, where those of the host are to be seen. A process puts itself
// there, as its only thread: then the kernel has no other thread to keep from forking meanwhile, which it would wait an RCU grace
// period for (one to ten milliseconds), whoever writes to cgroup.procs.
void join_cgroups(const std::vector<std::string>& directories);

class Cgroup {
 public:
  void set_plan(CgroupPlan plan) { plan_ = static_cast<CgroupPlan&&>(plan); }
  const CgroupPlan& plan() const { return plan_; }

  // Makes the directories and writes the limits. False: a required step failed, `error` says which.
  bool create(std::vector<std::string>& warnings, std::string& error);
  // The v2 directory, for clone3(CLONE_INTO_CGROUP); none if there is no v2 tree.
  const Fd& unified() const { return unified_; }
  // Restricts devices by a loaded BPF_PROG_TYPE_CGROUP_DEVICE program.
  bool attach_device_program(int program);

  // False with errno set. Waits for the kernel to report the state, two seconds at most.
  bool freeze(bool frozen);
  // SIGKILL to everything inside, but never to the shim itself.
  void kill_all();
  bool oom_killed() const;
  // Kills what is left and removes the directories. Reaps the shim's own children on the way.
  void destroy();

 private:
  bool freeze_unified(bool frozen);
  bool freeze_v1(bool frozen);

  CgroupPlan plan_;
  Fd unified_;
};

}  // namespace gantry::shim
