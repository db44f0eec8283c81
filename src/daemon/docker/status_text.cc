#include "daemon/docker/status_text.h"

namespace gantry::daemon::docker {
namespace {

std::string health_suffix(const engine::ObservedContainer& container) {
  if (!container.has_health_check) return "";
  switch (container.health) {
    case engine::HealthState::none:
      return "";
    case engine::HealthState::starting:
      return " (health: starting)";
    case engine::HealthState::healthy:
      return " (healthy)";
    case engine::HealthState::unhealthy:
      return " (unhealthy)";
  }
  return "";
}

}  // namespace

std::string duration_words(std::chrono::nanoseconds duration) {
  const int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  const int64_t minutes = seconds / 60;
  const int64_t hours = (minutes + 30) / 60;  // rounded, as go-units does from here on
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return std::to_string(seconds) + " seconds";
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return std::to_string(minutes) + " minutes";
  if (hours == 1) return "About an hour";
  if (hours < 48) return std::to_string(hours) + " hours";
  if (hours < 24 * 14) return std::to_string(hours / 24) + " days";
  if (hours < 24 * 60) return std::to_string(hours / 24 / 7) + " weeks";
  if (hours < 24 * 365 * 2) return std::to_string(hours / 24 / 30) + " months";
  return std::to_string(hours / 24 / 365) + " years";
}

std::string status_text(const engine::ObservedContainer& container, WallTime now) {
  using engine::ContainerState;
  const auto ended = [&](const std::string& word) {
    return word + " (" + std::to_string(container.exit_code) + ") " + duration_words(now - container.finished_at) +
           " ago";
  };
  switch (container.state) {
    case ContainerState::created:
      return "Created";
    case ContainerState::running:
      return "Up " + duration_words(now - container.started_at) + health_suffix(container);
    case ContainerState::paused:
      return "Up " + duration_words(now - container.started_at) + " (Paused)";
    case ContainerState::restarting:
      return ended("Restarting");
    case ContainerState::removing:
      return "Removal In Progress";
    case ContainerState::exited:
      return ended("Exited");
    case ContainerState::dead:
      return "Dead";
  }
  return "";
}

}  // namespace gantry::daemon::docker
