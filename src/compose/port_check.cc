#include "compose/port_check.h"

#include <map>
#include <set>
#include <variant>

#include "compose/blame.h"

namespace gantry::compose {
namespace {

// Subjects of the services that somebody waits for until they have ended.
std::set<std::string> jobs_of(const Desired& desired) {
  std::set<std::string> jobs;
  for (const auto& [name, service] : desired.services) {
    for (const auto& [needed, dependency] : service.depends_on) {
      if (dependency.condition == DependencyCondition::completed_successfully) jobs.insert("services." + needed);
    }
  }
  return jobs;
}

}  // namespace

std::optional<PlannedPorts> planned_ports(const Plan& plan, const Desired& desired) {
  const std::set<std::string> jobs = jobs_of(desired);
  PlannedPorts planned;
  std::map<StepId, const CreateContainer*> made;
  for (const Step& step : plan.steps) {
    if (const auto* create = std::get_if<CreateContainer>(&step.action)) made[step.id] = create;
    if (const auto* network = std::get_if<CreateNetwork>(&step.action))
      planned.check.new_networks.push_back(network->spec);
    if (const auto* stop = std::get_if<StopContainer>(&step.action)) planned.check.leaving.insert(stop->container.id);
    if (const auto* restart = std::get_if<RestartContainer>(&step.action)) {
      planned.check.leaving.insert(restart->container.id);
    }
    if (const auto* remove = std::get_if<RemoveContainer>(&step.action)) {
      planned.check.leaving.insert(remove->container.id);
    }
  }
  for (const Step& step : plan.steps) {
    const auto* start = std::get_if<StartContainer>(&step.action);
    if (start == nullptr) continue;
    const auto create = made.find(start->container.made_by);
    engine::PortCheck::User user{
        .spec = {}, .id = start->container.id, .group = jobs.contains(step.subject) ? step.subject : desired.project};
    if (create != made.end()) {
      if (create->second->spec.published.empty()) continue;
      user.spec = create->second->spec;
      user.spec.name = create->second->final_name;
    }
    planned.check.users.push_back(std::move(user));
    planned.starts.push_back(step);
  }
  if (planned.starts.empty()) return std::nullopt;
  return planned;
}

Error explain_conflicts(const Project* project, const std::string& project_name, const PlannedPorts& planned,
                        const std::vector<engine::PortConflict>& conflicts) {
  std::string text;
  for (const engine::PortConflict& conflict : conflicts) {
    text +=
        (text.empty() ? "" : "\n") + explain(project, project_name, planned.starts.at(conflict.user), conflict.error);
  }
  return Error(Code::conflict, text);
}

}  // namespace gantry::compose
