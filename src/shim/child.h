// The processes that the supervisor makes: the container's first one, and those of exec.
#pragma once

#include "shim/protocol.h"
#include "shim/streams.h"
#include "shim/system.h"

namespace gantry::shim {

struct Child {
  pid_t pid = -1;
  Fd pidfd;
  Fd channel;  // ChildMessages come out of it; one byte lets the program run
};

// A failed start of a child has errno set and pid -1. `streams` are closed in the supervisor.
Child start_container(const Launch& launch, ChildStreams streams, int cgroup);
// `init`: pidfd of the container's first process. `kept`: a directory's descriptor that the caller alone holds. The caller's
// children must already be born in its pid namespace.
Child start_exec(const Exec& exec, const Privileges& privileges, bool join_cgroup_namespace, int init, int kept,
                 ChildStreams streams, int cgroup);

// A private cgroup namespace can be made only when the process is in its v1 cgroups: the child waits for a word on its
// channel.
inline bool waits_for_cgroup(const CgroupPlan& plan) { return plan.private_namespace != 0 && !plan.attach.empty(); }

}  // namespace gantry::shim
