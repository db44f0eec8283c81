#include "compose/conditions.h"

namespace gantry::compose {
namespace {

using engine::ContainerState;
using engine::HealthState;
using engine::ObservedContainer;
using VerdictKind = Verdict::Kind;

bool has_ended(const ObservedContainer& container) {
  return container.state == ContainerState::exited || container.state == ContainerState::dead ||
         container.state == ContainerState::removing;
}

std::string exited_text(const ObservedContainer& container, const std::string& name) {
  return "container " + name + " exited (" + std::to_string(container.exit_code) + ")";
}

Verdict impossible(std::string text, std::string message) {
  return {.kind = VerdictKind::impossible, .text = std::move(text), .message = std::move(message)};
}

Verdict check_healthy(const ObservedContainer& container, const std::string& name) {
  const std::string prefix = "dependency failed to start: ";
  if (has_ended(container)) return impossible("Error", prefix + exited_text(container, name));
  // Between two runs under its restart policy, or about to be started: nothing is known yet.
  if (container.state == ContainerState::created || container.state == ContainerState::restarting) {
    return {.text = "Waiting"};
  }
  if (!container.has_health_check) {
    return impossible("Error", prefix + "container " + name + " has no healthcheck configured");
  }
  switch (container.health) {
    case HealthState::healthy: return {.kind = VerdictKind::met, .text = "Healthy"};
    case HealthState::unhealthy: return impossible("Error", prefix + "container " + name + " is unhealthy");
    case HealthState::none:
    case HealthState::starting: break;
  }
  return {.text = "Waiting"};
}

Verdict check_completed(const ObservedContainer& container, const std::string& service) {
  if (!has_ended(container)) return {.text = "Waiting"};
  if (container.exit_code == 0 && container.state != ContainerState::dead) return {.kind = VerdictKind::met, .text = "Exited"};
  return impossible("Error", "service " + gantry::quoted(service) +
                                 " didn't complete successfully: exit " + std::to_string(container.exit_code));
}

Verdict check_ready(const ObservedContainer& container, const std::string& name) {
  // A one-shot program that did its work is as ready as it will ever be.
  if (container.state == ContainerState::exited && container.exit_code == 0 && container.error.empty()) {
    return {.kind = VerdictKind::met, .text = "Exited"};
  }
  if (has_ended(container)) return impossible("Error", exited_text(container, name));
  if (container.state != ContainerState::running && container.state != ContainerState::paused) {
    return {.text = "Waiting"};
  }
  if (!container.has_health_check || container.health == HealthState::healthy) {
    return {.kind = VerdictKind::met, .text = "Healthy"};
  }
  if (container.health == HealthState::unhealthy) return impossible("Error", "container " + name + " is unhealthy");
  return {.text = "Waiting"};
}

}  // namespace

const char* to_string(Goal goal) {
  switch (goal) {
    case Goal::healthy: return "service_healthy";
    case Goal::completed_successfully: return "service_completed_successfully";
    case Goal::ready: return "running and healthy";
    case Goal::completed: return "completed";
  }
  return "";
}

Verdict check(Goal goal, const std::string& service, const std::string& container_name,
              const ObservedContainer* container) {
  if (container == nullptr) {
    return impossible("Error", "dependency failed to start: container " + container_name + " was removed");
  }
  switch (goal) {
    case Goal::healthy: return check_healthy(*container, container_name);
    case Goal::completed_successfully: return check_completed(*container, service);
    case Goal::ready: return check_ready(*container, container_name);
    case Goal::completed: return check_completed(*container, service);
  }
  return {};
}

}  // namespace gantry::compose
