#include "compose/project_view.h"

#include "base/strings.h"

namespace gantry::compose {
namespace {

using engine::ContainerState;
using engine::HealthState;

// An image may bring a health check along: then the specification does not tell.
std::optional<bool> health_check_of(const engine::ContainerSpec& spec) {
  if (!spec.health_check || spec.health_check->test.empty()) return std::nullopt;
  return spec.health_check->test.front() != "NONE";
}

}  // namespace

ProjectView::ProjectView(const engine::Snapshot& snapshot) {
  for (const auto& container : snapshot.containers) containers_[container.id] = {.container = container};
}

void ProjectView::created(const ContainerId& id, const engine::ContainerSpec& spec) {
  Seen seen{.may_restart = spec.restart.kind != engine::RestartPolicy::Kind::no,
            .has_health_check = health_check_of(spec)};
  seen.container.id = id;
  seen.container.name = spec.name;
  seen.container.has_health_check = seen.has_health_check.value_or(false);
  if (refreshing_) born_during_refresh_[id] = seen;
  containers_[id] = std::move(seen);
}

void ProjectView::start_replied(const ContainerId& id) {
  auto found = containers_.find(id);
  if (found == containers_.end()) return;
  // No event came yet. It may even have started and ended: only a snapshot can tell.
  if (found->second.container.state == ContainerState::created) found->second.certain = false;
}

bool ProjectView::apply(const engine::Event& event) {
  if (event.type != engine::Event::Type::container) return false;
  if (refreshing_) during_refresh_.push_back(event);
  ContainerId id(event.actor_id);
  auto found = containers_.find(id);
  if (found == containers_.end()) return false;
  if (event.action == "destroy") {
    containers_.erase(found);
    return true;
  }
  update(event, found->second);
  return true;
}

void ProjectView::update(const engine::Event& event, Seen& seen) {
  engine::ObservedContainer& container = seen.container;
  constexpr std::string_view kHealth = "health_status: ";
  if (event.action == "start") {
    container.state = ContainerState::running;
    container.has_health_check = seen.has_health_check.value_or(container.has_health_check);
    container.health = container.has_health_check ? HealthState::starting : HealthState::none;
    // Known from a snapshot, or from the specification.
    seen.certain = seen.has_health_check.has_value() || !seen.may_restart.has_value();
  } else if (event.action == "die") {
    container.state = ContainerState::exited;
    container.exit_code = static_cast<int>(parse_unsigned(attribute(event, "exitCode")).value_or(255));
    seen.certain = seen.may_restart == false;
  } else if (event.action.starts_with(kHealth)) {
    bool healthy = event.action.substr(kHealth.size()) == "healthy";
    container.has_health_check = true;
    seen.has_health_check = true;
    container.health = healthy ? HealthState::healthy : HealthState::unhealthy;
  } else if (event.action == "pause") {
    container.state = ContainerState::paused;
  } else if (event.action == "unpause") {
    container.state = ContainerState::running;
  }
}

void ProjectView::begin_refresh() {
  refreshing_ = true;
  during_refresh_.clear();
  born_during_refresh_.clear();
}

void ProjectView::end_refresh(const engine::Snapshot* snapshot) {
  refreshing_ = false;
  if (snapshot == nullptr) return;
  std::map<ContainerId, Seen> fresh = std::move(born_during_refresh_);
  for (const auto& container : snapshot->containers) {
    Seen seen{.container = container};
    if (auto known = containers_.find(container.id); known != containers_.end()) {
      seen.may_restart = known->second.may_restart;
      seen.has_health_check = known->second.has_health_check;
      // Not looked up before the first start: then the snapshot knows it.
      if (container.started_at != WallTime{}) seen.has_health_check = container.has_health_check;
    }
    fresh[container.id] = std::move(seen);
  }
  containers_ = std::move(fresh);
  // In their order the last one wins, whether or not the snapshot had it already.
  for (const engine::Event& event : std::exchange(during_refresh_, {})) apply(event);
}

const ProjectView::Seen* ProjectView::find(const ContainerId& id) const {
  auto found = containers_.find(id);
  return found == containers_.end() ? nullptr : &found->second;
}

std::string attribute(const engine::Event& event, const char* name) {
  auto found = event.attributes.find(name);
  return found == event.attributes.end() ? "" : found->second;
}

}  // namespace gantry::compose
