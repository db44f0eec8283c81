// Starts a container's supervisor (src/shim) as nobody's child but init's, so that it outlives the daemon and the daemon has
// nothing to reap.
#pragma once

#include <string>

#include "base/result.h"

namespace gantry::engine {

// Runs `executable` with `channel` as descriptor shim::kChannelFd, no environment but GANTRY_FAULT, and every signal blocked
// until it has said what becomes of them. Done once the program has taken the new process over. Errors: those of clone(2) and
// execve(2). Any thread. `needed`: a descriptor that the path of `executable` leads through, or -1.
Result<> start_shim(const std::string& executable, int needed, int channel);

}  // namespace gantry::engine
