#include <algorithm>

#include "base/log.h"
#include "compose/controller_state.h"

namespace gantry::compose {
namespace {

bool begins_things(const Intent& intent) {
  return std::holds_alternative<UpIntent>(intent) || std::holds_alternative<KeepIntent>(intent) ||
         std::holds_alternative<StartIntent>(intent) || std::holds_alternative<RestartIntent>(intent);
}

}  // namespace

OperationId Controller::State::enqueue(OperationRequest request, Function<void(const OperationReport&)> settle) {
  Job job{.id = ++last_id, .begins_things = begins_things(request.intent), .settle = std::move(settle)};
  std::string name = request.project_name;
  request.run_command = &run_command;
  job.operation = std::make_shared<Operation>(engine, scheduler, std::move(request));
  OperationId id = job.id;
  auto& jobs = projects[name].jobs;
  jobs.push_back(std::move(job));
  if (shutting_down) jobs.back().operation->cancel(Error(Code::cancelled, "the daemon is shutting down"));
  if (jobs.size() == 1) start_first(name);
  return id;
}

void Controller::State::start_first(const std::string& name) {
  projects[name].jobs.front().operation->start(
      [this, weak = std::weak_ptr<int>(alive), name](OperationReport report) {
        if (!weak.expired()) job_ended(name, report);
      });
}

void Controller::State::job_ended(const std::string& name, const OperationReport& report) {
  ProjectState& project = projects[name];
  Job job = std::move(project.jobs.front());
  project.jobs.pop_front();
  if (!report.timings.steps.empty()) project.timings = report.timings;
  if (job.settle) job.settle(report);
  auto sink = job.operation->sink();
  if (sink != nullptr) sink->finished(report.outcome);
  if (!project.jobs.empty()) {
    start_first(name);
  } else {
    schedule_repair(name);
  }
  forget_if_idle(name);
  finish_shut_down();
}

void Controller::State::forget_if_idle(const std::string& name) {
  auto found = projects.find(name);
  if (found == projects.end()) return;
  const ProjectState& project = found->second;
  if (!project.kept && project.jobs.empty() && project.timer == 0) projects.erase(found);
}

OperationId Controller::State::refuse(std::shared_ptr<ProgressSink> sink, Error error) {
  scheduler.post([sink, message = error.message()] {
    if (sink != nullptr) sink->finished({.ok = false, .message = message, .exit_code = 1});
  });
  return ++last_id;
}

OperationId Controller::State::enqueue_up(UpPlan plan, std::shared_ptr<ProgressSink> sink) {
  std::string name = plan.project->name;
  bool keeps = plan.keeps && !plan.intent.options.dry_run;
  OperationRequest request{.project_name = name,
                           .project = plan.project,
                           .scale = plan.intent.options.scale,
                           .intent = plan.intent,
                           .sink = std::move(sink),
                           .dry_run = plan.intent.options.dry_run};
  request.before = [this, name] { return kept_project(name); };
  request.memo = projects[name].desired;
  if (plan.intent.options.wait) request.wait_timeout = plan.intent.options.wait_timeout;
  if (keeps) {
    request.commit = [this, name, plan = std::move(plan)](bool plan_is_empty) {
      ProjectState& project = projects[name];
      KeptProject now =
          merge(project.kept ? &*project.kept : nullptr, plan.project, plan.intent.options, plan.kept);
      now.underway = !plan_is_empty;
      return save(name, std::move(now));
    };
  }
  return enqueue(std::move(request), [this, name, keeps](const OperationReport& report) {
    if (keeps && report.ran) up_ended(name, report);
  });
}

void Controller::State::up_ended(const std::string& name, const OperationReport& report) {
  ProjectState& project = projects[name];
  if (!project.kept || !project.kept->underway || shutting_down) return;
  KeptProject kept = *project.kept;
  kept.underway = false;
  for (const std::string& service : report.unfinished_services) kept.services.erase(service);
  if (auto saved = save(name, std::move(kept)); !saved.ok()) log_error(saved.error().message());
}

std::set<std::string> Controller::State::services_of(const Project& project, const UpOptions& options) {
  std::vector<std::string> names = options.services;
  if (names.empty()) {  // all: what they depend on is among them
    for (const auto& [name, service] : project.services) names.push_back(name);
  } else if (!options.no_dependencies) names = with_dependencies(dependencies_of(project), std::move(names));
  return {names.begin(), names.end()};
}

Controller::State::UpPlan Controller::State::plan_up(std::shared_ptr<const Project> project, UpOptions options) {
  UpPlan plan;
  if (!options.no_start) plan.kept = services_of(*project, options);
  plan.intent.options = std::move(options);
  plan.project = std::move(project);
  return plan;
}

Controller::State::UpPlan Controller::State::plan_resumed_up(const KeptProject& kept) {
  UpPlan plan{.project = kept.project, .kept = kept.services};
  UpOptions& options = plan.intent.options;
  options.services.assign(kept.services.begin(), kept.services.end());
  options.no_dependencies = true;
  options.scale = scale_of(kept);
  options.remove_orphans = kept.options.remove_orphans;
  options.stop_timeout = kept.options.stop_timeout;
  if (kept.options.recreate == RecreatePolicy::never) options.recreate = RecreatePolicy::never;
  return plan;
}

void Controller::State::interrupt_beginnings(const std::string& name, const char* command) {
  for (Job& job : projects[name].jobs) {
    if (job.begins_things) {
      job.operation->cancel(Error(Code::cancelled, std::string("interrupted: ") + command + " was asked for"));
    }
  }
}

bool Controller::State::any_job() const {
  return std::any_of(projects.begin(), projects.end(), [](const auto& entry) { return !entry.second.jobs.empty(); });
}

void Controller::State::finish_shut_down() {
  if (!shutting_down || !shut_down_done || any_job()) return;
  scheduler.post(std::move(shut_down_done));
  shut_down_done = nullptr;
}

}  // namespace gantry::compose
