// Commands beside a container's program (hooks of the file): what is run, and how it ended. The daemon runs them by the
// engine's exec; tests by a function of theirs.
#pragma once

#include <string>
#include <vector>

#include "base/function.h"
#include "base/ids.h"
#include "base/result.h"

namespace gantry::compose {

struct CommandSpec {
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "K=V", added to the container's
  std::string user;                      // "": the container's
  std::string working_dir;
  bool privileged = false;
  friend bool operator==(const CommandSpec&, const CommandSpec&) = default;
};
struct CommandOutcome {
  int exit_code = 0;
  std::string output;  // both streams, at most 64 KiB
};

// Runs a command in a running container to its end; the reply comes later, on the loop thread. Fails with
// Code::conflict if the container does not run, Code::not_found if it is gone; a command that cannot be executed is an
// outcome of 126 or 127.
using CommandRunner =
    Function<void(const ContainerId& container, CommandSpec command, Function<void(Result<CommandOutcome>)> reply)>;

}  // namespace gantry::compose
