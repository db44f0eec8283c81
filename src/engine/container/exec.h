// One program run in a running container beside its own. A plain value of Containers; loop thread only.
#pragma once

#include <vector>

#include "engine/local_engine.h"

namespace gantry::engine {

struct Exec {
  ExecDetails details;
  Fd terminal;  // of a running one with a tty
  std::unique_ptr<FdWatcher> drain;  // of a detached one's terminal
  std::vector<Reply<int>> waiters;
  // The engine's own health probe: its end goes there instead of to clients.
  Function<void(int exit_code)> on_end;
};

}  // namespace gantry::engine
