#include "compose/controller.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "compose/controller_state.h"
#include "compose/explain_change.h"
#include "compose/observed_project.h"
#include "compose/one_off.h"

namespace gantry::compose {
namespace {

using Status = Progress::Status;

Progress notice(const std::string& project, Status status, std::string text) {
  return {.resource = Progress::Resource::project, .name = project, .status = status, .text = std::move(text)};
}

// No names: all.
void erase_all(std::set<std::string>& from, const std::vector<std::string>& services) {
  if (services.empty()) from.clear();
  for (const std::string& service : services) from.erase(service);
}

}  // namespace

Controller::Controller(engine::Engine& engine, Scheduler& scheduler, Random& random, ProjectStore& store)
    : state_(new State{.engine = engine, .scheduler = scheduler, .random = random, .store = store}) {
  state_->subscription = engine.subscribe([state = state_.get()](const engine::Event& event) { state->on_event(event); });
}

Controller::~Controller() {
  for (auto& [name, project] : state_->projects) {
    state_->scheduler.cancel(project.timer);
    for (State::Job& job : project.jobs) job.operation->abandon();
  }
}

void Controller::run_commands_by(CommandRunner runner) { state_->run_command = std::move(runner); }

Result<> Controller::resume() {
  auto stored = TRY(state_->store.load_all().within("reading the kept projects"));
  for (auto& [name, text] : stored) {
    auto kept = kept_project_from_json(text);
    if (!kept.ok()) {
      log_error("project " + name + " is not looked after any more: " + kept.error().message());
      continue;
    }
    State::ProjectState& project = state_->projects[name];
    project.is_stored = true;
    project.kept = std::move(kept).value();
    if (project.kept->underway) {
      log_info("project " + name + ": going on with an interrupted up");
      state_->enqueue_up(state_->plan_resumed_up(*project.kept), nullptr);
    } else {
      project.dirty = project.kept->services;
      state_->schedule_repair(name);
    }
  }
  return {};
}

OperationId Controller::up(std::shared_ptr<const Project> project, UpOptions options, std::shared_ptr<ProgressSink> sink) {
  return state_->enqueue_up(state_->plan_up(std::move(project), std::move(options)), std::move(sink));
}

OperationId Controller::down(std::string project, DownOptions options, std::shared_ptr<ProgressSink> sink) {
  if (options.services.empty() && !options.dry_run) state_->interrupt_beginnings(project, "down");
  std::shared_ptr<const Project> model;
  if (options.project) model = std::make_shared<const Project>(std::move(*options.project));
  DownIntent intent{.services = options.services,
                    .volumes = options.volumes,
                    .remove_orphans = options.remove_orphans,
                    .remove_images = options.remove_images,
                    .timeout = options.timeout,
                    .from_labels = model == nullptr};
  OperationRequest request{.project_name = project,
                           .project = std::move(model),
                           .intent = std::move(intent),
                           .sink = std::move(sink),
                           .dry_run = options.dry_run,
                           .nothing_to_do = notice(project, Status::warning,
                                                   "Warning: No resource found to remove for project " +
                                                       gantry::quoted(project) + ".")};
  // Before anything is taken down, so that nothing of it comes back.
  request.commit = [state = state_.get(), project, services = options.services](bool) -> Result<> {
    if (services.empty()) return state->forget(project);
    state->keep_services(project, [&](std::set<std::string>& kept) { erase_all(kept, services); });
    return {};
  };
  return state_->enqueue(std::move(request), nullptr);
}

namespace {

OperationRequest service_request(const std::string& project, ServiceOptions& options, Intent intent,
                                 std::shared_ptr<ProgressSink> sink) {
  OperationRequest request{.project_name = project, .intent = std::move(intent), .sink = std::move(sink)};
  request.dry_run = options.dry_run;
  if (options.project) request.project = std::make_shared<const Project>(std::move(*options.project));
  if (options.wait) request.wait_timeout = options.wait_timeout;
  return request;
}

}  // namespace

OperationId Controller::stop(std::string project, ServiceOptions options, std::shared_ptr<ProgressSink> sink) {
  if (options.services.empty() && !options.dry_run) state_->interrupt_beginnings(project, "stop");
  Intent intent = StopIntent{options.services, options.timeout};
  OperationRequest request = service_request(project, options, std::move(intent), std::move(sink));
  request.commit = [state = state_.get(), project, services = options.services](bool) -> Result<> {
    state->keep_services(project, [&](std::set<std::string>& kept) { erase_all(kept, services); });
    return {};
  };
  return state_->enqueue(std::move(request), nullptr);
}

OperationId Controller::start(std::string project, ServiceOptions options, std::shared_ptr<ProgressSink> sink) {
  Intent intent = StartIntent{options.services, options.no_dependencies, options.wait};
  auto keep = [state = state_.get(), project, services = options.services,
               dry = options.dry_run](const OperationReport& report) {
    if (!report.outcome.ok || dry) return;
    // What has been removed, or never came up, is not started: so it is not kept either, and does not come back later.
    state->keep_services(project, [&](std::set<std::string>& kept) {
      for (const std::string& service : report.complete_services) {
        const bool asked = services.empty() || std::find(services.begin(), services.end(), service) != services.end();
        if (asked) kept.insert(service);
      }
    });
  };
  return state_->enqueue(service_request(project, options, std::move(intent), std::move(sink)), std::move(keep));
}

OperationId Controller::restart(std::string project, ServiceOptions options, std::shared_ptr<ProgressSink> sink) {
  Intent intent = RestartIntent{options.services, options.timeout, options.no_dependencies};
  return state_->enqueue(service_request(project, options, std::move(intent), std::move(sink)), nullptr);
}

OperationId Controller::kill(std::string project, ServiceOptions options, std::shared_ptr<ProgressSink> sink) {
  if (options.services.empty() && !options.dry_run) state_->interrupt_beginnings(project, "kill");
  Intent intent = KillIntent{options.services, options.signal, options.orphans || options.project == std::nullopt};
  OperationRequest request = service_request(project, options, std::move(intent), std::move(sink));
  request.nothing_to_do = notice(project, Status::done, "No container to kill");
  return state_->enqueue(std::move(request), nullptr);
}

OperationId Controller::remove(std::string project, ServiceOptions options, std::shared_ptr<ProgressSink> sink) {
  Intent intent = RemoveIntent{options.services, options.anonymous_volumes, options.stop_first, options.timeout};
  OperationRequest request = service_request(project, options, std::move(intent), std::move(sink));
  request.nothing_to_do = notice(project, Status::done, "No stopped containers");
  return state_->enqueue(std::move(request), [state = state_.get(), project](const OperationReport& report) {
    if (!report.ran) return;
    state->keep_services(project, [&](std::set<std::string>& kept) {
      for (const std::string& service : report.emptied_services) kept.erase(service);
    });
  });
}

OperationId Controller::run(Project project, RunOptions options, std::shared_ptr<ProgressSink> sink) {
  auto service = project.services.find(options.service);
  if (service == project.services.end()) {
    return state_->refuse(std::move(sink), not_found("no such service: " + options.service));
  }
  UpOptions up{.remove_orphans = options.remove_orphans,
               .no_dependencies = options.no_dependencies,
               .pull = options.pull,
               .ignore_orphans = options.ignore_orphans,
               .dry_run = options.dry_run};
  if (!options.no_dependencies) {
    for (const auto& [name, dependency] : service->second.depends_on) {
      if (project.services.contains(name)) up.services.push_back(name);
    }
  }
  auto desired = desire(project);
  if (!desired.ok()) return state_->refuse(std::move(sink), std::move(desired).error());
  auto one_off = make_one_off(*desired, options, state_->random);
  if (!one_off.ok()) return state_->refuse(std::move(sink), std::move(one_off).error());
  bool alone = up.services.empty();
  State::UpPlan plan = state_->plan_up(std::make_shared<const Project>(std::move(project)), std::move(up));
  plan.keeps = !alone && !options.dry_run;
  plan.intent.one_off = std::move(one_off).value();
  return state_->enqueue_up(std::move(plan), std::move(sink));
}

void Controller::cancel(OperationId operation) {
  for (auto& [name, project] : state_->projects) {
    for (State::Job& job : project.jobs) {
      if (job.id == operation) return job.operation->cancel(Error(Code::cancelled, "Interrupted"));
    }
  }
}

void Controller::plan(Project project, UpOptions options, Function<void(Result<Plan>)> reply) {
  auto desired = desire(project, options.scale);
  if (!desired.ok()) {
    state_->scheduler.post([reply = std::move(reply), error = std::move(desired).error()]() mutable {
      reply(std::move(error));
    });
    return;
  }
  if (const auto before = state_->kept_project(project.name); before != nullptr) {
    add_earlier_versions(*desired, project, *before);
  }
  engine::ObserveRequest request = observe_request(*desired);
  state_->engine.observe(std::move(request), [desired = std::move(desired).value(), options = std::move(options),
                                              reply = std::move(reply)](Result<engine::Snapshot> snapshot) mutable {
    if (!snapshot.ok()) return reply(std::move(snapshot).error());
    reply(reconcile(desired, *snapshot, UpIntent{.options = std::move(options)}));
  });
}

const Timings* Controller::timings(const std::string& project) const {
  auto found = state_->projects.find(project);
  return found == state_->projects.end() || found->second.timings.steps.empty() ? nullptr : &found->second.timings;
}

const Project* Controller::find(const std::string& name) const {
  auto found = state_->projects.find(name);
  if (found == state_->projects.end() || !found->second.kept) return nullptr;
  return found->second.kept->project.get();
}

std::vector<std::string> Controller::names() const {
  std::vector<std::string> names;
  for (const auto& [name, project] : state_->projects) {
    if (project.kept) names.push_back(name);
  }
  return names;
}

bool Controller::busy() const {
  return std::any_of(state_->projects.begin(), state_->projects.end(), [](const auto& entry) {
    return !entry.second.jobs.empty() || entry.second.timer != 0;
  });
}

void Controller::shut_down(Function<void()> done) {
  state_->shutting_down = true;
  state_->shut_down_done = std::move(done);
  for (auto& [name, project] : state_->projects) {
    state_->scheduler.cancel(std::exchange(project.timer, 0));
    for (State::Job& job : project.jobs) job.operation->cancel(Error(Code::cancelled, "the daemon is shutting down"));
  }
  state_->finish_shut_down();
}

}  // namespace gantry::compose
