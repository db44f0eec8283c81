// The processes that the supervisor makes: the container's first one, and those of exec.
#pragma once

#include "shim/protocol.h"
#include "shim/streams.h"
#include "shim/system.h"

namespace gantry::shim {

struct Child {
  pid_t pid = -1;
  Fd channel;  // ChildMessages come out of it; one byte lets the program run
};

// A failed start of a child has errno set and pid -1. `streams` are closed in the supervisor.
Child start_container(const Launch& launch, ChildStreams streams, int cgroup);
// `init`: pidfd of the container's first process. `kept`: a directory's descriptor that the caller alone holds. The caller's
// children must already be born in its pid namespace.
Child start_exec(const Exec& exec, const Privileges& privileges, const CgroupPlan& cgroups, int init, int kept,
                 ChildStreams streams, int cgroup);

}  // namespace gantry::shim
