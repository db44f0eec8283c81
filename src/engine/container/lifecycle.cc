#include "engine/container/lifecycle.h"

namespace gantry::engine {
namespace {

std::string subject(const ContainerLabel& container) { return "container " + container.id.str(); }

Error not_running(const ContainerLabel& container) { return conflict(subject(container) + " is not running"); }
// A capital letter here and small ones there: so dockerd writes them.
Error is_restarting(const ContainerLabel& container) {
  return conflict("Container " + container.id.str() + " is restarting, wait until the container is running");
}

}  // namespace

bool is_up(ContainerState state) { return state == ContainerState::running || state == ContainerState::paused; }
bool counts_as_running(ContainerState state) { return is_up(state) || state == ContainerState::restarting; }

Result<> may_start(const ContainerLabel& container, ContainerState state) {
  switch (state) {
    case ContainerState::created:
    case ContainerState::exited:
    case ContainerState::dead:
    case ContainerState::restarting: return {};
    case ContainerState::running: return Error(Code::not_modified, subject(container) + " is running already");
    case ContainerState::paused: return conflict("cannot start a paused container, try unpause instead");
    case ContainerState::removing: return conflict("container is marked for removal and cannot be started");
  }
  return {};
}

Result<> may_stop(const ContainerLabel& container, ContainerState state) {
  if (counts_as_running(state)) return {};
  return Error(Code::not_modified, subject(container) + " is not running");
}

Result<> may_kill(const ContainerLabel& container, ContainerState state) {
  if (counts_as_running(state)) return {};
  return conflict("cannot kill container: " + container.name + ": " + subject(container) + " is not running");
}

Result<> may_pause(const ContainerLabel& container, ContainerState state) {
  if (state == ContainerState::paused) return conflict("Container " + container.id.str() + " is already paused");
  if (state == ContainerState::restarting) return is_restarting(container);
  if (state != ContainerState::running) return not_running(container);
  return {};
}

Result<> may_unpause(const ContainerLabel& container, ContainerState state) {
  if (state != ContainerState::paused) return internal_error("Container " + container.id.str() + " is not paused");
  return {};
}

Result<> may_exec(const ContainerLabel& container, ContainerState state) {
  if (state == ContainerState::paused) {
    return conflict("Container " + container.name + " is paused, unpause the container before exec");
  }
  if (state == ContainerState::restarting) return is_restarting(container);
  if (state != ContainerState::running) return not_running(container);
  return {};
}

Result<> may_attach(const ContainerLabel& container, ContainerState state) {
  if (state == ContainerState::paused) {
    return conflict("container " + container.name + " is paused, unpause the container before attach");
  }
  if (state == ContainerState::restarting) {
    return conflict("container " + container.name + " is restarting, wait until the container is running");
  }
  return {};
}

Result<> may_resize(const ContainerLabel& container, ContainerState state) {
  return is_up(state) ? Result<>() : Result<>(not_running(container));
}

Result<> may_remove(const ContainerLabel& container, ContainerState state, bool force) {
  if (state == ContainerState::removing) {
    return conflict("removal of container " + container.name + " is already in progress");
  }
  if (force || !counts_as_running(state)) return {};
  const std::string refusal = "cannot remove container \"" + container.name + "\": ";
  if (state == ContainerState::paused) return conflict(refusal + "container is paused and must be unpaused first");
  return conflict(refusal + "container is " + to_string(state) +
                  ": stop the container before removing or force remove");
}

ContainerStatus after_start(ContainerStatus status, WallTime now, bool has_health_check) {
  status.state = ContainerState::running;
  status.exit_code = 0;
  status.error.clear();
  status.oom_killed = false;
  status.stopped_by_user = false;
  status.started_at = now;
  status.health = has_health_check ? HealthState::starting : HealthState::none;
  return status;
}

ContainerStatus after_failed_start(ContainerStatus status, const StartFailure& failure) {
  // Docker leaves a container that never ran "created", one that did "exited".
  status.state = status.started_at == WallTime{} ? ContainerState::created : ContainerState::exited;
  status.exit_code = failure.exit_code;
  status.error = failure.message;
  status.endpoints.clear();
  status.published.clear();
  status.mounted_volumes.clear();
  return status;
}

ContainerStatus after_end(ContainerStatus status, const ExitReport& report, bool lost) {
  status.state = lost ? ContainerState::dead : ContainerState::exited;
  status.exit_code = report.exit_code;
  status.finished_at = report.finished_at;
  status.oom_killed = report.oom_killed;
  status.regrouped = false;
  // Docker shows a stopped container with a check as unhealthy until its next start.
  if (status.health != HealthState::none) status.health = HealthState::unhealthy;
  status.endpoints.clear();
  status.published.clear();
  status.mounted_volumes.clear();
  return status;
}

}  // namespace gantry::engine
