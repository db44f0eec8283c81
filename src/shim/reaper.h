// PID 1 of a container with `init: true`: forwards every signal to the program, and reaps whatever becomes its child.
// It is the shim's own code going on after fork, so nothing has to be found or mounted in the container.
#pragma once

namespace gantry::shim {

enum class ReaperRole { init, program };
// Forks. The program's process returns with the signals and the session it should have.
ReaperRole start_reaper();
// In the init: until the program ends, then ends with its status.
[[noreturn]] void run_reaper();

}  // namespace gantry::shim
