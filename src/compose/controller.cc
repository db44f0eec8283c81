#include "compose/controller.h"

#include <algorithm>
#include <deque>
#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "compose/explain_change.h"
#include "compose/kept_project.h"
#include "compose/labels.h"
#include "compose/observed_project.h"
#include "compose/one_off.h"
#include "compose/operation.h"
#include "compose/repair_backoff.h"

namespace gantry::compose {
namespace {

using namespace std::chrono_literals;
using Status = Progress::Status;

// Events of one cause (a container and all that shares its namespaces) come together: looking once is enough.
constexpr std::chrono::nanoseconds kGather = 20ms;

Progress notice(const std::string& project, Status status, std::string text) {
  return {.resource = Progress::Resource::project, .name = project, .status = status, .text = std::move(text)};
}

std::string attribute(const engine::Event& event, const char* name) {
  auto found = event.attributes.find(name);
  return found == event.attributes.end() ? "" : found->second;
}

// No names: all.
void erase_all(std::set<std::string>& from, const std::vector<std::string>& services) {
  if (services.empty()) from.clear();
  for (const std::string& service : services) from.erase(service);
}

bool begins_things(const Intent& intent) {
  return std::holds_alternative<UpIntent>(intent) || std::holds_alternative<KeepIntent>(intent) ||
         std::holds_alternative<StartIntent>(intent) || std::holds_alternative<RestartIntent>(intent);
}

bool is_end(const std::string& action) { return action == "die" || action == "destroy"; }

}  // namespace

struct Controller::State {
  // An operation that waits for its turn or is under way.
  struct Job {
    OperationId id = 0;
    std::shared_ptr<Operation> operation;
    bool begins_things = false;
    Function<void(const OperationReport&)> settle;  // brings what is kept up to date, before the sink is told
  };
  struct ProjectState {
    std::optional<KeptProject> kept;
    std::string saved;              // what the store has
    std::deque<Job> jobs;           // the first one is under way
    std::set<std::string> dirty;    // services to look after
    Timings timings;                // of the last operation that had steps
    std::set<std::string> must_run; // stopped by a repair that did not come to its end
    RepairBackoff backoff;
    Scheduler::TimerId timer = 0;
    MonoTime timer_due{};
  };

  engine::Engine& engine;
  Scheduler& scheduler;
  Random& random;
  ProjectStore& store;
  std::map<std::string, ProjectState> projects;
  CommandRunner run_command;
  OperationId last_id = 0;
  bool shutting_down = false;
  Function<void()> shut_down_done;
  std::unique_ptr<engine::Engine::Subscription> subscription;
  // Replies and timers that come after the controller's end find it gone.
  std::shared_ptr<int> alive = std::make_shared<int>(0);

  // ---- operations, one after another in a project

  OperationId enqueue(OperationRequest request, Function<void(const OperationReport&)> settle) {
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

  void start_first(const std::string& name) {
    projects[name].jobs.front().operation->start(
        [this, weak = std::weak_ptr<int>(alive), name](OperationReport report) {
          if (!weak.expired()) job_ended(name, report);
        });
  }

  void job_ended(const std::string& name, const OperationReport& report) {
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

  void forget_if_idle(const std::string& name) {
    auto found = projects.find(name);
    if (found == projects.end()) return;
    const ProjectState& project = found->second;
    if (!project.kept && project.jobs.empty() && project.timer == 0) projects.erase(found);
  }

  // A request that cannot become an operation: its answer comes later, as every other.
  OperationId refuse(std::shared_ptr<ProgressSink> sink, Error error) {
    scheduler.post([sink, message = error.message()] {
      if (sink != nullptr) sink->finished({.ok = false, .message = message, .exit_code = 1});
    });
    return ++last_id;
  }

  // ---- what is kept

  Result<> save(const std::string& name, KeptProject kept) {
    ProjectState& project = projects[name];
    std::string text = to_json(kept);
    if (text != project.saved) {
      TRY(store.save(name, text).within("keeping project " + name));
      project.saved = std::move(text);
    }
    project.kept = std::move(kept);
    return {};
  }

  std::shared_ptr<const Project> kept_project(const std::string& name) const {
    const auto found = projects.find(name);
    return found == projects.end() || !found->second.kept ? nullptr : found->second.kept->project;
  }

  Result<> forget(const std::string& name) {
    ProjectState& project = projects[name];
    project.kept.reset();
    project.dirty.clear();
    project.must_run.clear();
    project.backoff.clear();
    scheduler.cancel(std::exchange(project.timer, 0));
    if (project.saved.empty()) return {};
    TRY(store.remove(name).within("forgetting project " + name));
    project.saved.clear();
    return {};
  }

  // Changes which services are kept; a failing store is told in the log, because nobody waits for it.
  void keep_services(const std::string& name, const std::function<void(std::set<std::string>&)>& change) {
    ProjectState& project = projects[name];
    if (!project.kept) return;
    KeptProject kept = *project.kept;
    change(kept.services);
    std::erase_if(kept.services, [&](const std::string& s) { return !kept.project->services.contains(s); });
    std::erase_if(project.must_run, [&](const std::string& s) { return !kept.services.contains(s); });
    if (auto saved = save(name, std::move(kept)); !saved.ok()) log_error(saved.error().message());
  }

  // ---- up

  struct UpPlan {
    std::shared_ptr<const Project> project;
    UpIntent intent;
    std::set<std::string> kept;  // services that run, and are looked after, from then on
    bool keeps = true;
  };

  OperationId enqueue_up(UpPlan plan, std::shared_ptr<ProgressSink> sink) {
    std::string name = plan.project->name;
    bool keeps = plan.keeps && !plan.intent.options.dry_run;
    OperationRequest request{.project_name = name,
                             .project = plan.project,
                             .scale = plan.intent.options.scale,
                             .intent = plan.intent,
                             .sink = std::move(sink),
                             .dry_run = plan.intent.options.dry_run};
    request.before = [this, name] { return kept_project(name); };
    if (plan.intent.options.wait) request.wait_timeout = plan.intent.options.wait_timeout;
    if (keeps) {
      request.commit = [this, name, plan = std::move(plan)](bool plan_is_empty) {
        ProjectState& project = projects[name];
        KeptProject now =
            merge(project.kept ? &*project.kept : nullptr, *plan.project, plan.intent.options, plan.kept);
        now.underway = !plan_is_empty;
        return save(name, std::move(now));
      };
    }
    return enqueue(std::move(request), [this, name, keeps](const OperationReport& report) {
      if (keeps && report.ran) up_ended(name, report);
    });
  }

  // What did not come up is not kept: the user has read why, and the next `up` goes on from there.
  void up_ended(const std::string& name, const OperationReport& report) {
    ProjectState& project = projects[name];
    if (!project.kept || !project.kept->underway || shutting_down) return;
    KeptProject kept = *project.kept;
    kept.underway = false;
    for (const std::string& service : report.unfinished_services) kept.services.erase(service);
    if (auto saved = save(name, std::move(kept)); !saved.ok()) log_error(saved.error().message());
  }

  std::set<std::string> services_of(const Project& project, const UpOptions& options) {
    std::vector<std::string> names = options.services;
    if (names.empty()) {
      for (const auto& [name, service] : project.services) names.push_back(name);
    }
    if (!options.no_dependencies) names = with_dependencies(dependencies_of(project), std::move(names));
    return {names.begin(), names.end()};
  }

  UpPlan plan_up(Project project, UpOptions options) {
    UpPlan plan;
    if (!options.no_start) plan.kept = services_of(project, options);
    plan.intent.options = std::move(options);
    plan.project = std::make_shared<const Project>(std::move(project));
    return plan;
  }

  // Finishes what the daemon's end interrupted: only what it was about, and nothing that is done already.
  UpPlan plan_resumed_up(const KeptProject& kept) {
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

  // Who asks for the end of things does not wait for their beginning.
  void interrupt_beginnings(const std::string& name, const char* command) {
    for (Job& job : projects[name].jobs) {
      if (job.begins_things) {
        job.operation->cancel(Error(Code::cancelled, std::string("interrupted: ") + command + " was asked for"));
      }
    }
  }

  // ---- looking after what is kept

  void on_event(const engine::Event& event) {
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

  void look_after(const std::string& name, const std::string& service) {
    auto found = projects.find(name);
    if (found == projects.end() || !found->second.kept) return;
    if (!found->second.kept->services.contains(service)) return;
    found->second.dirty.insert(service);
    schedule_repair(name);
  }

  void look_after_all(const std::string& name, const std::set<std::string>& services) {
    ProjectState& project = projects[name];
    if (!project.kept) return;
    for (const std::string& service : services) {
      if (project.kept->services.contains(service)) project.dirty.insert(service);
    }
  }

  void schedule_repair(const std::string& name) {
    auto found = projects.find(name);
    if (found == projects.end() || shutting_down) return;
    ProjectState& project = found->second;
    if (project.dirty.empty() || !project.kept || !project.jobs.empty()) return;
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

  void repair(const std::string& name) {
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
                             .intent = std::move(intent)};
    enqueue(std::move(request), [this, name, looked_at, resting](const OperationReport& report) {
      repair_ended(name, looked_at, report);
      // What was done may concern those that rest after a repair of their own: they come later.
      if (!report.touched_services.empty()) look_after_all(name, resting);
    });
  }

  static std::map<std::string, int> scale_of(const KeptProject& kept) {
    std::map<std::string, int> scale = kept.scale;
    std::erase_if(scale, [&kept](const auto& entry) { return !kept.project->services.contains(entry.first); });
    return scale;
  }

  void repair_ended(const std::string& name, const std::set<std::string>& looked_at, const OperationReport& report) {
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

  // ---- the end

  bool any_job() const {
    return std::any_of(projects.begin(), projects.end(), [](const auto& entry) { return !entry.second.jobs.empty(); });
  }

  void finish_shut_down() {
    if (!shutting_down || !shut_down_done || any_job()) return;
    scheduler.post(std::move(shut_down_done));
    shut_down_done = nullptr;
  }
};

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
    project.saved = text;
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

OperationId Controller::up(Project project, UpOptions options, std::shared_ptr<ProgressSink> sink) {
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
    state->keep_services(project, [&](std::set<std::string>& kept) {
      kept.insert(services.begin(), services.end());
      if (!services.empty()) return;
      for (const auto& [name, service] : state->projects[project].kept->project->services) kept.insert(name);
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
  State::UpPlan plan = state_->plan_up(std::move(project), std::move(up));
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
