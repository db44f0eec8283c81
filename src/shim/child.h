// The processes that the supervisor makes: the container's first one, and those of exec.
#pragma once

#include <memory>

#include "shim/child_memory.h"
#include "shim/protocol.h"
#include "shim/streams.h"
#include "shim/system.h"

namespace gantry::shim {

struct Child {
  pid_t pid = -1;
  Fd channel;  // ChildMessages come out of it; one byte lets the program run
  // What it runs in until the channel ends: it may be cleared or go then, and what the child was given by reference may change.
  std::unique_ptr<ChildMemory> memory;
};

// Whether processes with these capabilities may trace others beside them.
bool may_trace(uint64_t capabilities);

// A failed start of a child has errno set and pid -1. `streams` are closed in the supervisor. `may_be_traced`: by a process that is
// in the pid namespace already or may come to be: the child gets a copy of our memory, since what writes to it writes to us.
Child start_container(const Launch& launch, ChildStreams streams, int cgroup, bool may_be_traced);
// `init`: pidfd of the container's first process. `kept`: a directory's descriptor that the caller alone holds. `memory`: as
// new, or none. The caller's children must already be born in its pid namespace.
Child start_exec(const Exec& exec, const Privileges& privileges, const CgroupPlan& cgroups, int init, int kept,
                 ChildStreams streams, int cgroup, bool may_be_traced, std::unique_ptr<ChildMemory> memory);

}  // namespace gantry::shim
