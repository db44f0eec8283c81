#include <algorithm>

#include "base/log.h"
#include "compose/controller_state.h"
#include "compose/labels.h"
#include "compose/project_view.h"

namespace gantry::compose {
namespace {

using namespace std::chrono_literals;

// Events of one cause (a container and all that shares its namespaces) come together: looking once is enough.
constexpr std::chrono::nanoseconds kGather = 20ms;

bool is_end(const std::string& action) { return action == "die" || action == "destroy"; }

}  // namespace

Result<> Controller::State::save(const std::string& name, KeptProject kept) {
  ProjectState& project = projects[name];
  if (project.kept && identical(*project.kept, kept)) return {};
  TRY(store.save(name, to_json(kept)).within("keeping project " + name));
  project.is_stored = true;
  project.kept = std::move(kept);
  return {};
}

std::shared_ptr<const Project> Controller::State::kept_project(const std::string& name) const {
  const auto found = projects.find(name);
  return found == projects.end() || !found->second.kept ? nullptr : found->second.kept->project;
}

Result<> Controller::State::forget(const std::string& name) {
  ProjectState& project = projects[name];
  project.kept.reset();
  *project.desired = {};
  project.dirty.clear();
  project.must_run.clear();
  project.backoff.clear();
  scheduler.cancel(std::exchange(project.timer, 0));
  if (!project.is_stored) return {};
  TRY(store.remove(name).within("forgetting project " + name));
  project.is_stored = false;
  return {};
}

void Controller::State::keep_services(const std::string& name, const std::function<void(std::set<std::string>&)>& change) {
  ProjectState& project = projects[name];
  if (!project.kept) return;
  KeptProject kept = *project.kept;
  change(kept.services);
  std::erase_if(kept.services, [&](const std::string& s) { return !kept.project->services.contains(s); });
  std::erase_if(project.must_run, [&](const std::string& s) { return !kept.services.contains(s); });
  if (auto saved = save(name, std::move(kept)); !saved.ok()) log_error(saved.error().message());
}

void Controller::State::on_event(const engine::Event& event) {
  if (event.type != engine::Event::Type::container) return;
  std::string name = attribute(event, label::kProject);
  auto found = projects.find(name);
  if (found == projects.end()) return;
  bool expected = false;
  if (auto& jobs = found->second.jobs; !jobs.empty()) {
    // The event may be what the operation waits for: its end may be the end of the project's state here.
    auto operation = jobs.front().operation;
    expected = operation->expects_end_of(ContainerId(event.actor_id));
    operation->on_event(event);
  }
  bool is_replica = attribute(event, label::kOneOff) == "False";
  if (!expected && is_end(event.action) && is_replica) look_after(name, attribute(event, label::kService));
}

void Controller::State::look_after(const std::string& name, const std::string& service) {
  auto found = projects.find(name);
  if (found == projects.end() || !found->second.kept) return;
  // What ends while a command is under way may be kept by it: whether it is shows at the end.
  if (found->second.jobs.empty() && !found->second.kept->services.contains(service)) return;
  found->second.dirty.insert(service);
  schedule_repair(name);
}

void Controller::State::look_after_all(const std::string& name, const std::set<std::string>& services) {
  ProjectState& project = projects[name];
  if (!project.kept) return;
  for (const std::string& service : services) {
    if (project.kept->services.contains(service)) project.dirty.insert(service);
  }
}

void Controller::State::schedule_repair(const std::string& name) {
  auto found = projects.find(name);
  if (found == projects.end() || shutting_down) return;
  ProjectState& project = found->second;
  if (project.dirty.empty() || !project.kept || !project.jobs.empty()) return;
  std::erase_if(project.dirty, [&project](const std::string& s) { return !project.kept->services.contains(s); });
  if (project.dirty.empty()) return;
  MonoTime now = scheduler.clock().mono();
  MonoTime due = MonoTime::max();
  for (const std::string& service : project.dirty) {
    due = std::min(due, std::max(now + kGather, project.backoff.not_before(service)));
  }
  if (project.timer != 0 && project.timer_due <= due) return;
  scheduler.cancel(project.timer);
  project.timer_due = due;
  project.timer = scheduler.after(due - now, [this, weak = std::weak_ptr<int>(alive), name] {
    if (weak.expired()) return;
    projects[name].timer = 0;
    repair(name);
  });
}

void Controller::State::repair(const std::string& name) {
  ProjectState& project = projects[name];
  if (shutting_down || !project.kept || !project.jobs.empty()) return;
  MonoTime now = scheduler.clock().mono();
  KeepIntent intent{.services = project.kept->services, .must_run = project.must_run};
  std::set<std::string> resting;
  for (const std::string& service : intent.services) {
    if (project.backoff.not_before(service) > now) resting.insert(service);
  }
  for (const std::string& service : resting) intent.services.erase(service);
  std::set<std::string> looked_at;
  for (const std::string& service : project.dirty) {
    if (project.backoff.not_before(service) <= now) looked_at.insert(service);
  }
  for (const std::string& service : looked_at) project.dirty.erase(service);
  OperationRequest request{.project_name = name,
                           .project = project.kept->project,
                           .scale = scale_of(*project.kept),
                           .intent = std::move(intent),
                           .memo = project.desired};
  enqueue(std::move(request), [this, name, looked_at, resting](const OperationReport& report) {
    repair_ended(name, looked_at, report);
    // What was done may concern those that rest after a repair of their own: they come later.
    if (!report.touched_services.empty()) look_after_all(name, resting);
  });
}

std::map<std::string, int> Controller::State::scale_of(const KeptProject& kept) {
  std::map<std::string, int> scale = kept.scale;
  std::erase_if(scale, [&kept](const auto& entry) { return !kept.project->services.contains(entry.first); });
  return scale;
}

void Controller::State::repair_ended(const std::string& name, const std::set<std::string>& looked_at, const OperationReport& report) {
  ProjectState& project = projects[name];
  MonoTime now = scheduler.clock().mono();
  std::set<std::string> tried = report.touched_services;
  if (report.outcome.ok) {
    for (const std::string& service : tried) {
      project.backoff.repaired(service, now);
      project.must_run.erase(service);
    }
    return;
  }
  if (shutting_down || !project.kept) return;
  if (report.error->code() != Code::cancelled) {
    log_warning("project " + name + " could not be repaired, trying again later: " + report.outcome.message);
  }
  project.must_run.insert(report.unfinished_services.begin(), report.unfinished_services.end());
  tried.insert(looked_at.begin(), looked_at.end());
  for (const std::string& service : tried) {
    project.backoff.repaired(service, now);
    project.dirty.insert(service);
  }
}

}  // namespace gantry::compose
