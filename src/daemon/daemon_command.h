// `gantry daemon`: the process that owns containers, networks, volumes, images and projects of one data root.
#pragma once

#include <span>
#include <string>

namespace gantry::daemon {

// Runs the daemon until SIGTERM or SIGINT. `args` are follows "daemon" on the command line:
//   --data-root DIR --run-root DIR --host unix://PATH --log-file FILE --log-level debug|info|warning|error
//   --address-pool BASE/PREFIX:SIZE (repeatable) --ready-fd N
// Returns the exit status: 0 after a clean stop, 1 if it could not start (the reason is on standard error, and on the
// descriptor of --ready-fd), 2 for a command line that it does not understand.
int daemon_main(std::span<const std::string> args);

}  // namespace gantry::daemon
