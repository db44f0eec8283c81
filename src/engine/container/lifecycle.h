// A container's states, and what may be asked of it in each. Pure: the engine's container code asks here before it
// acts, and writes down what it is told here afterwards. Refusals are in the words of Docker 28's daemon.
//
//   created ──start──► running ◄──unpause── paused
//      ▲ failed start    │  └──────pause──────►│
//      └─────────────────┤ end                 │ end
//                        ▼                     ▼
//   removing ◄──remove── exited / dead     restarting ──(back-off over)──► running
#pragma once

#include <string>

#include "base/result.h"
#include "engine/container/record.h"
#include "engine/container/runtime.h"

namespace gantry::engine {

// For the messages: the id, and the name as the user knows it.
struct ContainerLabel {
  ContainerId id;
  std::string name;
};

// The program exists (running or frozen).
bool is_up(ContainerState state);
// What API and `ps` call running: up, or waiting for its policy's restart.
bool counts_as_running(ContainerState state);

Result<> may_start(const ContainerLabel& container, ContainerState state);    // running: not_modified
Result<> may_stop(const ContainerLabel& container, ContainerState state);     // not running: not_modified
Result<> may_kill(const ContainerLabel& container, ContainerState state);
Result<> may_pause(const ContainerLabel& container, ContainerState state);
Result<> may_unpause(const ContainerLabel& container, ContainerState state);
Result<> may_exec(const ContainerLabel& container, ContainerState state);
Result<> may_attach(const ContainerLabel& container, ContainerState state);
Result<> may_resize(const ContainerLabel& container, ContainerState state);
Result<> may_remove(const ContainerLabel& container, ContainerState state, bool force);

// The status that follows.
ContainerStatus after_start(ContainerStatus before, WallTime now, bool has_health_check);
ContainerStatus after_failed_start(ContainerStatus before, const StartFailure& failure);
// `lost`: the shim went without a report, and no policy starts it again.
ContainerStatus after_end(ContainerStatus before, const ExitReport& report, bool lost);

}  // namespace gantry::engine
