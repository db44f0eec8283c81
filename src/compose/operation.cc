#include "compose/operation.h"

#include <algorithm>
#include <utility>

#include "base/scope_exit.h"
#include "compose/explain_change.h"
#include "compose/labels.h"
#include "compose/observed_project.h"
#include "compose/plan_hook.h"
#include "compose/port_check.h"

namespace gantry::compose {
namespace {

using Status = Progress::Status;

// The pulls of a plan, as a plan.
Plan pulls_of(const Plan& plan) {
  Plan pulls;
  for (const Step& step : plan.steps) {
    if (!std::holds_alternative<PullImage>(step.action)) continue;
    Step pull = step;
    pull.after.clear();
    pulls.add(std::move(pull));
  }
  return pulls;
}

}  // namespace

std::string go_duration(std::chrono::seconds duration) {
  auto count = duration.count();
  std::string text = std::to_string(count % 60) + "s";
  if (count >= 60) text = std::to_string(count / 60 % 60) + "m" + text;
  if (count >= 3600) text = std::to_string(count / 3600) + "h" + text;
  return text;
}

Operation::Operation(engine::Engine& engine, Scheduler& scheduler, OperationRequest request)
    : engine_(engine), scheduler_(scheduler), request_(std::move(request)) {}

void Operation::start(Function<void(OperationReport)> done) {
  done_ = std::move(done);
  started_ = scheduler_.clock().mono();
  scheduler_.post([self = shared_from_this()] {
    if (self->cancelled_) return self->finish(self->cancelled_);
    if (self->request_.project != nullptr) {
      if (auto result = self->desire_what_is_wanted(); !result.ok()) return self->finish(std::move(result).error());
    }
    self->observe();
  });
}

Result<> Operation::desire_what_is_wanted() {
  desired_ = TRY(desire_or_remember());
  const auto before = request_.before ? request_.before() : nullptr;
  if (before != nullptr && before != request_.project) {
    Desired changed = *desired_;
    add_earlier_versions(changed, *request_.project, *before);
    desired_ = std::make_shared<const Desired>(std::move(changed));
  }
  for (const std::string& warning : desired_->warnings) {
    bool is_new = std::holds_alternative<UpIntent>(request_.intent);
    if (is_new) tell({.name = request_.project_name, .status = Status::warning, .text = warning});
  }
  return {};
}

// The memo is the same project's if it is the same object, which nobody changes.
Result<std::shared_ptr<const Desired>> Operation::desire_or_remember() {
  DesiredMemo* memo = request_.memo.get();
  if (memo != nullptr && memo->project == request_.project && memo->scale == request_.scale) return memo->desired;
  auto desired = std::make_shared<const Desired>(TRY(desire(*request_.project, request_.scale)));
  if (memo != nullptr) *memo = {.project = request_.project, .scale = request_.scale, .desired = desired};
  return desired;
}

// ---- looking

void Operation::observe() {
  gathering_ = true;
  events_.clear();
  engine::ObserveRequest wanted{.project = request_.project_name};
  if (desired_) wanted = observe_request(*desired_);
  wanted.images.insert(wanted.images.end(), extra_images_.begin(), extra_images_.end());
  engine_.observe(std::move(wanted), [self = shared_from_this()](Result<engine::Snapshot> snapshot) {
    self->observed(std::move(snapshot));
  });
}

void Operation::observed(Result<engine::Snapshot> snapshot) {
  if (cancelled_) return finish(cancelled_);
  if (!snapshot.ok()) return finish(std::move(snapshot).error());
  snapshot_ = std::move(snapshot).value();
  if (request_.project == nullptr) {
    desired_ = std::make_shared<const Desired>(desired_from_labels(request_.project_name, snapshot_));
  }
  if (ask_for_images()) return observe();
  make_plan();
}

// Without the files, which images there are to ask for is only known from the containers.
bool Operation::ask_for_images() {
  const auto* down = std::get_if<DownIntent>(&request_.intent);
  if (down == nullptr || down->remove_images.empty() || request_.project != nullptr) return false;
  if (!extra_images_.empty()) return false;
  extra_images_ = observe_request(*desired_).images;
  return !extra_images_.empty();
}

// ---- deciding

void Operation::make_plan() {
  Result<Plan> plan = reconcile(*desired_, snapshot_, request_.intent);
  if (!plan.ok()) return finish(std::move(plan).error());
  note_services(*plan);
  if (request_.dry_run) {
    show(*plan);
    show_dry(*plan);
    return finish(std::nullopt);
  }
  Plan pulls = pulls_of(*plan);
  if (!pulls.empty()) return pull(std::move(pulls));
  show(*plan);
  check_ports(std::move(plan).value());
}

// A port that somebody else has is told before anything is made; a repair goes as far as it can instead.
void Operation::check_ports(Plan plan) {
  const bool asked_for =
      std::holds_alternative<UpIntent>(request_.intent) || std::holds_alternative<StartIntent>(request_.intent);
  auto planned = asked_for ? planned_ports(plan, *desired_) : std::nullopt;
  if (!planned) return execute(std::move(plan));
  engine::PortCheck check = planned->check;
  engine_.check_ports(std::move(check), [self = shared_from_this(), plan = std::move(plan),
                                         planned = *std::move(planned)](auto conflicts) mutable {
    if (self->cancelled_) return self->finish(self->cancelled_);
    if (!conflicts.ok()) return self->finish(std::move(conflicts).error());
    if (conflicts->empty()) return self->execute(std::move(plan));
    self->finish(explain_conflicts(self->request_.project.get(), self->request_.project_name, planned, *conflicts));
  });
}

// New images may change what is to be recreated, so everything else waits for them, and is planned after them.
void Operation::pull(Plan pulls) {
  std::vector<std::string> references;
  for (const Step& step : pulls.steps) references.push_back(std::get<PullImage>(step.action).reference);
  run(std::move(pulls), [self = shared_from_this(), references](RunReport report) {
    self->add_timings(report);
    if (report.error) return self->finish(std::move(report.error));
    if (auto* up = std::get_if<UpIntent>(&self->request_.intent)) {
      up->pulled.insert(references.begin(), references.end());
    }
    self->observe();
  });
}

void Operation::execute(Plan plan) {
  if (request_.commit) {
    if (auto saved = request_.commit(plan.empty()); !saved.ok()) return finish(std::move(saved).error());
  }
  report_.ran = true;
  if (plan.empty()) {
    bool says = !request_.nothing_to_do.text.empty() && plan.facts.empty();
    if (says) tell(request_.nothing_to_do);
    return finish(std::nullopt);
  }
  arm_wait_timeout();
  run(std::move(plan), [self = shared_from_this()](RunReport report) { self->ended(std::move(report)); });
}

void Operation::note_services(const Plan& plan) {
  report_.touched_services.clear();
  std::set<ContainerId> removed;
  std::set<std::string> created;
  for (const Step& step : plan.steps) {
    std::string service = service_of_subject(step.subject);
    if (!service.empty()) report_.touched_services.insert(service);
    if (const auto* remove = std::get_if<RemoveContainer>(&step.action)) removed.insert(remove->container.id);
    if (std::holds_alternative<CreateContainer>(step.action)) created.insert(service);
  }
  report_.emptied_services.clear();
  ObservedProject observed(snapshot_);
  report_.complete_services.clear();
  for (const auto& [service, containers] : observed.services) {
    // A replica and what an interrupted replacement left of it have the same number: they count as one.
    std::set<std::string> numbers;
    for (const auto* container : containers) numbers.insert(label_of(container->labels, label::kContainerNumber));
    const auto wanted = desired_->services.find(service);
    if (wanted != desired_->services.end() && std::cmp_greater_equal(numbers.size(), wanted->second.replicas)) {
      report_.complete_services.insert(service);
    }
    bool all = std::all_of(containers.begin(), containers.end(),
                           [&removed](const auto* container) { return removed.contains(container->id); });
    if (all && !created.contains(service)) report_.emptied_services.insert(service);
  }
}

// ---- doing

void Operation::run(Plan plan, Function<void(RunReport)> then) {
  before_run(plan, request_.sink.get());
  runner_ = std::make_shared<PlanRunner>(
      PlanRunner::Surroundings{.engine = engine_,
                               .scheduler = scheduler_,
                               .project_name = request_.project_name,
                               .project = request_.project,
                               .on_progress = [sink = request_.sink](const Progress& progress) {
                                 if (sink != nullptr) sink->progress(progress);
                               },
                               .run_command = request_.run_command},
      std::move(plan), snapshot_);
  // What happened since the snapshot was asked for: it may know of it or not.
  gathering_ = false;
  for (const engine::Event& event : std::exchange(events_, {})) runner_->on_event(event);
  run_started_ = scheduler_.clock().mono();
  // The runner may still be on the stack when `then` replaces it: its own replies keep it alive.
  runner_->start(std::move(then));
}

void Operation::arm_wait_timeout() {
  if (!request_.wait_timeout || request_.wait_timeout->count() <= 0) return;
  wait_timer_ = scheduler_.after(*request_.wait_timeout, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (self == nullptr || self->runner_ == nullptr) return;
    self->wait_timer_ = 0;
    self->runner_->cancel(
        Error(Code::unavailable, "application not healthy after " + go_duration(*self->request_.wait_timeout)));
  });
}

// Pulls are a plan of their own, before the other: their steps get numbers that the other has not, and an earlier stage.
void Operation::add_timings(const RunReport& report) {
  const bool pulls = report_.timings.steps.empty() && !report_.ran;
  constexpr int kPullNumbers = 1'000'000;
  for (StepTiming step : report.timings) {
    step.begin += run_started_ - started_;
    step.end += run_started_ - started_;
    if (pulls) {
      step.id += kPullNumbers;
      step.stage = -1;
    }
    report_.timings.steps.push_back(std::move(step));
  }
}

void Operation::ended(RunReport report) {
  add_timings(report);
  report_.unfinished_services = report.unfinished_services;
  if (!report.error) announce_one_off(report);
  finish(std::move(report.error));
}

void Operation::announce_one_off(const RunReport& report) {
  const auto* up = std::get_if<UpIntent>(&request_.intent);
  if (up == nullptr || !up->one_off) return;
  const std::string& name = up->one_off->spec.name;
  auto made = report.created.find(name);
  if (made == report.created.end()) return;
  tell({.resource = Progress::Resource::container,
        .name = name,
        .service = up->one_off->service,
        .status = Status::done,
        .text = "Created",
        .details = made->second.str()});
}

void Operation::cancel(Error reason) {
  if (cancelled_) return;
  cancelled_ = reason;
  if (runner_ != nullptr) runner_->cancel(std::move(reason));
}

void Operation::abandon() {
  done_ = nullptr;
  request_.commit = nullptr;
  scheduler_.cancel(std::exchange(wait_timer_, 0));
  cancelled_ = Error(Code::cancelled, "abandoned");
  // It may wait for ever for an engine that goes as well.
  if (runner_ != nullptr) runner_->abandon(*cancelled_);
}

void Operation::on_event(const engine::Event& event) {
  if (gathering_) events_.push_back(event);
  if (auto runner = runner_; runner != nullptr) runner->on_event(event);
}

bool Operation::expects_end_of(const ContainerId& container) const {
  return runner_ != nullptr && runner_->expects_end_of(container);
}

void Operation::finish(std::optional<Error> error) {
  scheduler_.cancel(std::exchange(wait_timer_, 0));
  if (!done_) return;
  if (error) {
    bool cancelled = error->code() == Code::cancelled;
    report_.outcome = {.ok = false, .message = error->message(), .exit_code = cancelled ? 130 : 1};
  }
  report_.error = std::move(error);
  report_.timings.total = scheduler_.clock().mono() - started_;
  Function<void(OperationReport)> done = std::move(done_);
  done(std::move(report_));
}

// ---- telling

void Operation::show(const Plan& plan) {
  for (const std::string& warning : plan.warnings) {
    tell({.name = request_.project_name, .status = Status::warning, .text = warning});
  }
  for (const Progress& fact : plan.facts) tell(fact);
}

void Operation::show_dry(const Plan& plan) {
  for (const Step& step : plan.steps) {
    if (step.row.name.empty()) continue;
    Progress progress{.resource = step.row.resource,
                      .name = step.row.name,
                      .service = step.row.service,
                      .text = step.row.working,
                      .cause = step.cause};
    if (!step.row.working.empty()) tell(progress);
    progress.status = Status::done;
    progress.text = step.row.done;
    if (!step.row.done.empty()) tell(progress);
  }
}

void Operation::tell(const Progress& progress) {
  if (request_.sink != nullptr) request_.sink->progress(progress);
}

}  // namespace gantry::compose
