// Runs the hooks of compose files by the engine's exec.
#pragma once

#include "base/tasks.h"
#include "compose/command_runner.h"
#include "engine/local_engine.h"

namespace gantry::daemon {

// Loop thread only; the two must outlive the function. Output is read on a thread of its own.
compose::CommandRunner make_hook_runner(engine::LocalEngine& engine, Tasks& tasks);

}  // namespace gantry::daemon
