#include "compose/plan_runner.h"

#include <algorithm>

#include "base/strings.h"
#include "compose/blame.h"
#include "compose/graph.h"

namespace gantry::compose {
namespace {

using Status = Progress::Status;
using namespace std::chrono_literals;

// Programs that find out that they cannot work (a missing setting, a wrong argument) do so in their first moments.
constexpr std::chrono::nanoseconds kSettle = 150ms;

// "web hook exited with status 3: " and the last lines of what it wrote.
Error hook_failure(const Step& step, const CommandOutcome& outcome) {
  constexpr size_t kLines = 10;
  std::string_view output = trim(outcome.output);
  size_t start = output.size();
  for (size_t lines = 0; start > 0; --start) {
    if (output[start - 1] == '\n' && ++lines == kLines) break;
  }
  return conflict(step.row.service + " hook exited with status " + std::to_string(outcome.exit_code) + ": " +
                  std::string(output.substr(start)));
}

}  // namespace

PlanRunner::PlanRunner(Surroundings surroundings, Plan plan, const engine::Snapshot& snapshot)
    : surroundings_(std::move(surroundings)), plan_(std::move(plan)), view_(snapshot) {}

void PlanRunner::start(Function<void(RunReport)> done) {
  done_ = std::move(done);
  surroundings_.scheduler.post([self = shared_from_this()] {
    self->prepare();
    self->advance();
  });
}

void PlanRunner::prepare() {
  started_ = surroundings_.scheduler.clock().mono();
  tasks_.resize(plan_.steps.size() + 1);
  for (const Step& step : plan_.steps) {
    tasks_[step.id].missing = step.after.size();
    for (StepId needed : step.after) tasks_[needed].unlocks.push_back(step.id);
    ++left_in_stage_[step.stage];
  }
  for (const Step& step : plan_.steps) {
    if (step.after.empty()) ready_[step.stage].push_back(step.id);
  }
}

// Starts what is ready in the first stage that is not done.
void PlanRunner::advance() {
  if (advancing_) return;
  advancing_ = true;
  while (!error_ && !left_in_stage_.empty()) {
    auto& ready = ready_[left_in_stage_.begin()->first];
    if (ready.empty()) {
      // Cannot be, unless a plan has a circle: better an error than an operation that never ends.
      if (in_flight_ == 0 && waiting_.empty()) error_ = internal_error("the plan cannot go on:\n" + plan_.text());
      break;
    }
    StepId id = ready.front();
    ready.pop_front();
    begin(id);
  }
  advancing_ = false;
  finish_if_idle();
}

void PlanRunner::begin(StepId id) {
  const Step& step = plan_.step(id);
  tasks_[id].state = State::running;
  tasks_[id].begun = surroundings_.scheduler.clock().mono();
  if (!step.row.working.empty() && !std::holds_alternative<WaitFor>(step.action)) {
    tell(step, Status::working, step.row.working);
  }
  std::visit([this, id](const auto& action) { act(id, action); }, step.action);
}

void PlanRunner::finish_if_idle() {
  bool over = left_in_stage_.empty() || error_.has_value();
  if (!over || in_flight_ > 0 || finished_ || !done_) return;
  finished_ = true;
  surroundings_.scheduler.cancel(std::exchange(settle_timer_, 0));
  report_.error = error_;
  for (const Step& step : plan_.steps) {
    // What was waited for in vain has not been left undone: what was to follow has.
    if (std::holds_alternative<WaitFor>(step.action)) continue;
    if (tasks_.empty() || tasks_[step.id].state != State::done) {
      report_.unfinished_services.insert(service_of_subject(step.subject));
    }
  }
  report_.unfinished_services.erase("");
  Function<void(RunReport)> done = std::move(done_);
  done(std::move(report_));
}

void PlanRunner::abandon(Error reason) {
  done_ = nullptr;
  cancel(std::move(reason));
}

void PlanRunner::cancel(Error reason) {
  if (finished_ || error_) return;
  error_ = std::move(reason);
  waiting_.clear();
  // A registry may be silent for ever, and a pull that goes on harms nobody: what it fetches is found by the next one.
  in_flight_ -= std::exchange(pulling_, {}).size();
  // Not inside the caller's call: the owner may be in the middle of something.
  surroundings_.scheduler.post([self = shared_from_this()] { self->finish_if_idle(); });
}

// ---- ends of steps

void PlanRunner::step_ended(StepId id, Result<> result) {
  if (result.ok()) {
    step_done(id);
  } else {
    step_failed(id, std::move(result).error());
  }
  advance();
}

void PlanRunner::step_done(StepId id) {
  const Step& step = plan_.step(id);
  if (!step.row.done.empty()) tell(step, Status::done, step.row.done);
  settle(id);
}

void PlanRunner::settle(StepId id) {
  const Step& step = plan_.step(id);
  tasks_[id].state = State::done;
  report_.timings.push_back({.id = id,
                             .what = describe(step.action),
                             .service = service_of_subject(step.subject),
                             .stage = step.stage,
                             .after = step.after,
                             .begin = tasks_[id].begun - started_,
                             .end = surroundings_.scheduler.clock().mono() - started_});
  for (StepId next : tasks_[id].unlocks) {
    if (--tasks_[next].missing == 0) ready_[plan_.step(next).stage].push_back(next);
  }
  auto stage = left_in_stage_.find(step.stage);
  if (--stage->second == 0) left_in_stage_.erase(stage);
}

void PlanRunner::step_failed(StepId id, Error error) {
  const Step& step = plan_.step(id);
  if (step.best_effort) {
    bool in_use = error.code() == Code::conflict;
    tell(step, Status::warning, in_use ? "Resource is still in use" : "Error", in_use ? "" : error.message());
    settle(id);
    return;
  }
  tasks_[id].state = State::failed;
  tell(step, Status::error, "Error", error.message());
  if (error_) return;  // one message: the first
  error_ = Error(error.code(), explain(surroundings_.project.get(), surroundings_.project_name, step, error));
  waiting_.clear();
}

engine::Reply<> PlanRunner::ends(StepId id, std::set<Code> harmless) {
  ++in_flight_;
  return [self = shared_from_this(), id, harmless = std::move(harmless)](Result<> result) {
    --self->in_flight_;
    if (!result.ok() && harmless.contains(result.error().code())) result = {};
    self->step_ended(id, std::move(result));
  };
}

// ---- actions

void PlanRunner::act(StepId id, const CreateNetwork& action) {
  ++in_flight_;
  surroundings_.engine.create_network(action.spec, [self = shared_from_this(), id](Result<NetworkId> made) {
    --self->in_flight_;
    if (!made.ok()) return self->step_ended(id, std::move(made).error());
    self->made_networks_[id] = *made;
    self->step_ended(id, {});
  });
}

void PlanRunner::act(StepId id, const RemoveNetwork& action) {
  surroundings_.engine.remove_network(id_of(action.network), ends(id, {Code::not_found}));
}

void PlanRunner::act(StepId id, const ConnectNetwork& action) {
  surroundings_.engine.connect_network(id_of(action.network), id_of(action.container), action.endpoint, ends(id));
}

void PlanRunner::act(StepId id, const DisconnectNetwork& action) {
  surroundings_.engine.disconnect_network(id_of(action.network), id_of(action.container), true,
                                          ends(id, {Code::not_found}));
}

void PlanRunner::act(StepId id, const CreateVolume& action) {
  ++in_flight_;
  surroundings_.engine.create_volume(action.spec, [self = shared_from_this(), id](Result<std::string> made) {
    --self->in_flight_;
    self->step_ended(id, made.ok() ? Result<>() : Result<>(std::move(made).error()));
  });
}

void PlanRunner::act(StepId id, const RemoveVolume& action) {
  surroundings_.engine.remove_volume(action.name, ends(id, {Code::not_found}));
}

void PlanRunner::act(StepId id, const PullImage& action) {
  ++in_flight_;
  pulling_.insert(id);
  auto self = shared_from_this();
  auto on_progress = [self, id](const engine::TransferProgress& transfer) {
    if (!self->pulling_.contains(id)) return;
    const Step& step = self->plan_.step(id);
    Progress progress{.resource = Progress::Resource::image,
                      .name = step.row.name,
                      .service = step.row.service,
                      .status = Status::working,
                      .text = transfer.status,
                      .current = transfer.current,
                      .total = transfer.total,
                      .layer = transfer.id};
    self->tell(std::move(progress));
  };
  surroundings_.engine.pull_image(action.reference, action.platform, std::move(on_progress),
                                  [self, id](Result<ImageId> pulled) {
                                    if (self->pulling_.erase(id) == 0) return;  // cancelled, and over
                                    --self->in_flight_;
                                    self->step_ended(id, pulled.ok() ? Result<>() : Result<>(pulled.error()));
                                  });
}

void PlanRunner::act(StepId id, const RemoveImage& action) {
  surroundings_.engine.remove_image(action.reference, false, ends(id, {Code::not_found}));
}

void PlanRunner::act(StepId id, const CreateContainer& action) {
  ++in_flight_;
  surroundings_.engine.create_container(
      action.spec, [self = shared_from_this(), id](Result<engine::CreatedContainer> made) {
        --self->in_flight_;
        if (!made.ok()) return self->step_ended(id, std::move(made).error());
        const Step& step = self->plan_.step(id);
        const auto& action = std::get<CreateContainer>(step.action);
        self->made_containers_[id] = made->id;
        self->view_.created(made->id, action.spec);
        self->report_.created[action.final_name] = made->id;
        for (const std::string& warning : made->warnings) self->tell(step, Status::warning, "Warning", warning);
        self->step_ended(id, {});
      });
}

void PlanRunner::act(StepId id, const StartContainer& action) {
  ++in_flight_;
  ContainerId container = id_of(action.container);
  ending_.erase(container);  // stopped by this plan before, it is to run from now on
  surroundings_.engine.start_container(container, [self = shared_from_this(), id, container](Result<> started) {
    --self->in_flight_;
    if (!started.ok() && started.error().code() == Code::not_modified) started = {};
    if (started.ok()) self->view_.start_replied(container);
    self->step_ended(id, std::move(started));
  });
}

void PlanRunner::act(StepId id, const StopContainer& action) {
  ContainerId container = id_of(action.container);
  ending_.insert(container);
  surroundings_.engine.stop_container(container, action.options, ends(id, {Code::not_modified, Code::not_found}));
}

void PlanRunner::act(StepId id, const RestartContainer& action) {
  ContainerId container = id_of(action.container);
  surroundings_.engine.restart_container(container, action.options, ends(id));
}

void PlanRunner::act(StepId id, const KillContainer& action) {
  // Ended meanwhile: nothing is left to kill (409, as `docker kill` of a stopped container).
  surroundings_.engine.kill_container(id_of(action.container), action.signal,
                                      ends(id, {Code::not_modified, Code::not_found, Code::conflict}));
}

void PlanRunner::act(StepId id, const RemoveContainer& action) {
  ContainerId container = id_of(action.container);
  ending_.insert(container);
  surroundings_.engine.remove_container(container, action.options, ends(id, {Code::not_found}));
}

void PlanRunner::act(StepId id, const RenameContainer& action) {
  surroundings_.engine.rename_container(id_of(action.container), action.name, ends(id));
}

void PlanRunner::act(StepId id, const RunHook& action) {
  if (surroundings_.run_command == nullptr || !*surroundings_.run_command) {
    return step_ended(id, unsupported("nothing here can run hooks"));
  }
  ++in_flight_;
  (*surroundings_.run_command)(
      id_of(action.container), action.command, [self = shared_from_this(), id](Result<CommandOutcome> ran) {
        --self->in_flight_;
        const auto& hook = std::get<RunHook>(self->plan_.step(id).action);
        if (!ran.ok()) {
          const bool gone = ran.error().code() == Code::conflict || ran.error().code() == Code::not_found;
          return self->step_ended(id, gone && hook.skip_if_ended ? Result<>() : Result<>(std::move(ran).error()));
        }
        if (ran->exit_code == 0) return self->step_ended(id, {});
        self->step_ended(id, hook_failure(self->plan_.step(id), *ran));
      });
}

// ---- waiting

void PlanRunner::act(StepId id, const WaitFor& action) {
  const Step& step = plan_.step(id);
  auto& missing = waiting_[id];
  for (const ContainerRef& container : action.containers) {
    missing.insert(container.name);
    watchers_[id_of(container)].push_back(id);
    Progress progress{.resource = Progress::Resource::container,
                      .name = container.name,
                      .service = action.service,
                      .status = Status::working,
                      .text = step.row.working};
    tell(std::move(progress));
  }
  look_at_wait(id);
}

Verdict PlanRunner::verdict_of(const WaitFor& action, const ContainerRef& ref, bool& uncertain) const {
  const ProjectView::Seen* seen = view_.find(id_of(ref));
  if (seen != nullptr && !seen->certain) {
    uncertain = true;
    return {.text = "Waiting"};
  }
  return check(action.goal, action.service, ref.name, seen == nullptr ? nullptr : &seen->container);
}

void PlanRunner::look_at_wait(StepId id) {
  const WaitFor& action = std::get<WaitFor>(plan_.step(id).action);
  bool uncertain = false;
  for (const ContainerRef& ref : action.containers) {
    auto wait = waiting_.find(id);
    if (wait == waiting_.end()) return;  // ended by one of the others
    if (!wait->second.contains(ref.name)) continue;
    Verdict verdict = verdict_of(action, ref, uncertain);
    if (verdict.kind == Verdict::Kind::impossible) return wait_cannot_be_met(id, ref.name, verdict);
    if (verdict.kind != Verdict::Kind::met || settles(action, ref)) continue;
    wait->second.erase(ref.name);
    tell({.resource = Progress::Resource::container,
          .name = ref.name,
          .service = action.service,
          .status = Status::done,
          .text = verdict.text});
  }
  if (uncertain) refresh();
  auto wait = waiting_.find(id);
  if (wait == waiting_.end() || !wait->second.empty()) return;
  waiting_.erase(wait);
  step_ended(id, {});
}

// A program without a health check that ends right after its start was never ready: it is looked at a moment later.
bool PlanRunner::settles(const WaitFor& action, const ContainerRef& ref) {
  const ProjectView::Seen* seen = view_.find(id_of(ref));
  if (action.goal != Goal::ready || seen == nullptr || seen->container.has_health_check) return false;
  if (seen->container.state != engine::ContainerState::running) return false;
  const Clock& clock = surroundings_.scheduler.clock();
  const WallTime started = seen->container.started_at;
  if (started != WallTime{} && clock.wall() - started >= kSettle) return false;
  const auto since = running_since_.try_emplace(seen->container.id, clock.mono()).first->second;
  if (clock.mono() - since >= kSettle) return false;
  if (settle_timer_ == 0) {
    settle_timer_ = surroundings_.scheduler.after(since + kSettle - clock.mono(), [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self == nullptr || self->finished_) return;
      self->settle_timer_ = 0;
      self->look_at_all_waits();
      self->advance();
    });
  }
  return true;
}

void PlanRunner::wait_cannot_be_met(StepId id, const std::string& container, const Verdict& verdict) {
  const Step& step = plan_.step(id);
  const WaitFor& action = std::get<WaitFor>(step.action);
  waiting_.erase(id);
  Progress progress{.resource = Progress::Resource::container, .name = container, .service = action.service};
  if (action.required) {
    progress.status = Status::error;
    progress.text = verdict.text;
    progress.details = verdict.message;
    tell(std::move(progress));
    tasks_[id].state = State::failed;
    if (!error_) {
      Error error(Code::conflict, verdict.message);
      error_ = Error(Code::conflict, explain(surroundings_.project.get(), surroundings_.project_name, step, error));
      waiting_.clear();
    }
    return advance();
  }
  progress.status = Status::warning;
  progress.text = "Skipped";
  progress.details = "optional dependency " + gantry::quoted(action.service) + ": " + verdict.message;
  tell(std::move(progress));
  settle(id);
  advance();
}

void PlanRunner::look_at_all_waits() {
  std::vector<StepId> ids;
  for (const auto& [id, missing] : waiting_) ids.push_back(id);
  for (StepId id : ids) {
    if (waiting_.contains(id)) look_at_wait(id);
  }
}

void PlanRunner::on_event(const engine::Event& event) {
  if (finished_ || !view_.apply(event) || waiting_.empty()) return;
  auto watching = watchers_.find(ContainerId(event.actor_id));
  if (watching == watchers_.end()) return;
  auto self = shared_from_this();  // a wait's end may be the end of everything
  std::vector<StepId> ids = watching->second;
  for (StepId id : ids) {
    if (waiting_.contains(id)) look_at_wait(id);
  }
}

// One look at the engine at a time; whatever becomes uncertain meanwhile is looked at once more after it.
void PlanRunner::refresh() {
  if (refreshing_) {
    refresh_again_ = true;
    return;
  }
  refreshing_ = true;
  view_.begin_refresh();
  ++in_flight_;
  surroundings_.engine.observe({.project = surroundings_.project_name},
                               [self = shared_from_this()](Result<engine::Snapshot> snapshot) {
                                 --self->in_flight_;
                                 self->refreshing_ = false;
                                 self->view_.end_refresh(snapshot.ok() ? &*snapshot : nullptr);
                                 bool again = std::exchange(self->refresh_again_, false);
                                 if (!snapshot.ok() && !self->error_ && !self->waiting_.empty()) {
                                   self->error_ = std::move(snapshot).error().within("looking at the containers");
                                   self->waiting_.clear();
                                 }
                                 self->look_at_all_waits();
                                 if (again && !self->waiting_.empty()) self->refresh();
                                 self->advance();
                               });
}

// ---- small things

ContainerId PlanRunner::id_of(const ContainerRef& ref) const {
  if (ref.made_by == 0) return ref.id;
  auto made = made_containers_.find(ref.made_by);
  return made == made_containers_.end() ? ContainerId() : made->second;
}

NetworkId PlanRunner::id_of(const NetworkRef& ref) const {
  if (ref.made_by == 0) return ref.id;
  auto made = made_networks_.find(ref.made_by);
  return made == made_networks_.end() ? NetworkId() : made->second;
}

void PlanRunner::tell(const Step& step, Status status, const std::string& text, std::string details) {
  if (step.row.name.empty() && status != Status::error && status != Status::warning) return;
  Progress progress{.resource = step.row.resource,
                    .name = step.row.name,
                    .service = step.row.service,
                    .status = status,
                    .text = text,
                    .details = std::move(details),
                    .cause = step.cause};
  if (progress.name.empty()) progress.name = describe(step.action);
  if (status == Status::error && surroundings_.project != nullptr) {
    Error error(Code::internal, progress.details);
    Mark mark = surroundings_.project->mark_of(culprit(*surroundings_.project, step, error));
    if (!mark.file.empty()) progress.mark = mark.to_string();
  }
  tell(std::move(progress));
}

void PlanRunner::tell(Progress progress) {
  if (surroundings_.on_progress) surroundings_.on_progress(progress);
}

}  // namespace gantry::compose
