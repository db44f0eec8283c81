// The supervisor's hands in the cgroup tree. What to do is decided by the engine (a CgroupPlan); this does it.
#pragma once

#include <string>
#include <vector>

#include "shim/protocol.h"
#include "shim/system.h"

namespace gantry::shim {

class Cgroup {
 public:
  void set_plan(CgroupPlan plan) { plan_ = static_cast<CgroupPlan&&>(plan); }
  const CgroupPlan& plan() const { return plan_; }

  // Makes the directories and writes the limits. False: a required step failed, `error` says which.
  bool create(std::vector<std::string>& warnings, std::string& error);
  // The v2 directory, for clone3(CLONE_INTO_CGROUP); none if there is no v2 tree.
  const Fd& unified() const { return unified_; }
  // Puts a process into the v1 directories. The kernel waits for an RCU grace period here (10 ms and more on an
  // idle machine), so containers without v1 limits have none.
  bool attach(int pid, std::string& error);
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
