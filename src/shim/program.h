// The last steps of a child: from root in the container's namespaces to the user's program.
#pragma once

#include "shim/protocol.h"
#include "shim/streams.h"
#include "shim/system.h"

namespace gantry::shim {

// Makes the pipes 0, 1 and 2; an end that is missing is the container's /dev/null.
void adopt_pipes(ChildStreams streams);
// Makes the terminal 0, 1 and 2, and the session's controlling one.
void adopt_terminal(Fd slave);

// What a child is to its container.
enum class Role {
  first,   // its first process, whose preparation the supervisor hears of
  reaper,  // the same, but it stays PID 1 and runs the program as its child
  exec,
};
// Takes on the program's identity and privileges, finds it, says `prepared` if it is the first process, waits for the go, runs it.
[[noreturn]] void become(const Program& program, const Privileges& privileges, Role role);

}  // namespace gantry::shim
