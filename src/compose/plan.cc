#include "compose/plan.h"

#include <algorithm>

#include "base/scope_exit.h"

namespace gantry::compose {
namespace {

std::string names_of(const std::vector<ContainerRef>& containers) {
  std::string text;
  for (const ContainerRef& container : containers) text += (text.empty() ? "" : ", ") + container.name;
  return text;
}

std::string describe_create(const CreateContainer& a) {
  return "create " + a.final_name + (a.spec.name == a.final_name ? "" : " as " + a.spec.name);
}

std::string describe_wait(const WaitFor& a) {
  return "wait for " + names_of(a.containers) + ": " + to_string(a.goal) + (a.required ? "" : ", not required");
}

}  // namespace

std::string describe(const Action& action) {
  return std::visit(
      Overloaded{
          [](const CreateNetwork& a) { return "create network " + a.spec.name; },
          [](const RemoveNetwork& a) { return "remove network " + a.network.name; },
          [](const ConnectNetwork& a) { return "connect " + a.container.name + " to network " + a.network.name; },
          [](const DisconnectNetwork& a) {
            return "disconnect " + a.container.name + " from network " + a.network.name;
          },
          [](const CreateVolume& a) { return "create volume " + a.spec.name; },
          [](const RemoveVolume& a) { return "remove volume " + a.name; },
          [](const PullImage& a) { return "pull " + a.reference; },
          [](const RemoveImage& a) { return "remove image " + a.reference; },
          [](const CreateContainer& a) { return describe_create(a); },
          [](const StartContainer& a) { return "start " + a.container.name; },
          [](const StopContainer& a) { return "stop " + a.container.name; },
          [](const RestartContainer& a) { return "restart " + a.container.name; },
          [](const KillContainer& a) { return "kill " + a.container.name + " with " + a.signal; },
          [](const RemoveContainer& a) { return "remove " + a.container.name; },
          [](const RenameContainer& a) { return "rename " + a.container.name + " to " + a.name; },
          [](const RunHook& a) { return "run " + a.hook + " in " + a.container.name; },
          [](const WaitFor& a) { return describe_wait(a); },
      },
      action);
}

StepId Plan::add(Step step) {
  step.id = static_cast<StepId>(steps.size()) + 1;
  std::sort(step.after.begin(), step.after.end());
  step.after.erase(std::unique(step.after.begin(), step.after.end()), step.after.end());
  steps.push_back(std::move(step));
  return steps.back().id;
}

std::string Plan::text() const {
  std::set<int> stages;
  for (const Step& step : steps) stages.insert(step.stage);
  std::string text;
  for (int stage : stages) {
    if (!text.empty()) text += "then\n";
    for (const Step& step : steps) {
      if (step.stage != stage) continue;
      if (!step.after.empty()) {
        std::string ids;
        for (StepId id : step.after) ids += (ids.empty() ? "" : ",") + std::to_string(id);
        text += "[" + ids + "] -> ";
      }
      text += "#" + std::to_string(step.id) + " " + describe(step.action);
      if (!step.cause.empty()) text += ": " + step.cause;
      text += "\n";
    }
  }
  return text;
}

std::string service_of_subject(const std::string& subject) {
  constexpr std::string_view kServices = "services.";
  if (!subject.starts_with(kServices)) return "";
  return subject.substr(kServices.size(), subject.find('.', kServices.size()) - kServices.size());
}

}  // namespace gantry::compose
