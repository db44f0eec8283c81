// One command on one project, from looking at the engine to its outcome:
//
//   observe → reconcile → (pull images → observe → reconcile) → check ports → commit the desired state → run the plan
//
// Loop thread only. Held by shared_ptr: replies of the engine may outlive its owner's interest.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/function.h"
#include "base/scheduler.h"
#include "compose/controller.h"
#include "compose/desired.h"
#include "compose/plan_runner.h"
#include "compose/reconcile.h"

namespace gantry::compose {

// What was wanted last: it is worked out once, however often the same project is brought up or looked after.
struct DesiredMemo {
  std::shared_ptr<const Project> project;
  std::map<std::string, int> scale;
  std::shared_ptr<const Desired> desired;  // without earlier versions
};

struct OperationRequest {
  std::string project_name;
  std::shared_ptr<const Project> project;  // nullptr: what labels tell
  std::map<std::string, int> scale;
  Intent intent;
  std::shared_ptr<ProgressSink> sink;      // nullptr: nobody looks
  bool dry_run = false;
  std::optional<std::chrono::seconds> wait_timeout;
  // The project of the last `up`, for the reasons of changes; not called when there is no `project`.
  Function<std::shared_ptr<const Project>()> before;
  std::shared_ptr<DesiredMemo> memo;     // nullptr: none is kept
  CommandRunner* run_command = nullptr;  // for hooks
  Progress nothing_to_do;                  // told when the plan is empty; no text: nothing
  // Called before the plan is run (also before an empty one): the moment to make the desired state durable.
  Function<Result<>(bool plan_is_empty)> commit;
};

struct OperationReport {
  Outcome outcome;
  std::optional<Error> error;
  bool ran = false;                          // got as far as its plan
  std::set<std::string> touched_services;    // with a step in the plan
  std::set<std::string> unfinished_services;
  std::set<std::string> complete_services;   // had a container for every replica when the plan was made
  Timings timings;
  std::set<std::string> emptied_services;    // of which the plan removed every container
};

class Operation : public std::enable_shared_from_this<Operation> {
 public:
  Operation(engine::Engine& engine, Scheduler& scheduler, OperationRequest request);

  // `done` is called once, never inside this call. The sink's finished() is the caller's, after it.
  void start(Function<void(OperationReport)> done);
  void cancel(Error reason);
  // As cancel(), and `done` will not be called: its owner goes.
  void abandon();
  void on_event(const engine::Event& event);
  bool expects_end_of(const ContainerId& container) const;
  const std::string& project_name() const { return request_.project_name; }
  const std::shared_ptr<ProgressSink>& sink() const { return request_.sink; }

 private:
  void observe();
  void observed(Result<engine::Snapshot> snapshot);
  Result<> desire_what_is_wanted();
  Result<std::shared_ptr<const Desired>> desire_or_remember();
  bool ask_for_images();
  void make_plan();
  void pull(Plan plan);
  void check_ports(Plan plan);
  void execute(Plan plan);
  void note_services(const Plan& plan);
  void show(const Plan& plan);
  void show_dry(const Plan& plan);
  void run(Plan plan, Function<void(RunReport)> then);
  void add_timings(const RunReport& report);
  void arm_wait_timeout();
  void ended(RunReport report);
  void announce_one_off(const RunReport& report);
  void finish(std::optional<Error> error);
  void tell(const Progress& progress);

  engine::Engine& engine_;
  Scheduler& scheduler_;
  OperationRequest request_;
  std::shared_ptr<const Desired> desired_;
  std::vector<std::string> extra_images_;
  engine::Snapshot snapshot_;
  bool gathering_ = false;              // between asking for the snapshot and running the plan made from it
  std::vector<engine::Event> events_;   // of that time
  std::shared_ptr<PlanRunner> runner_;
  Scheduler::TimerId wait_timer_ = 0;
  std::optional<Error> cancelled_;
  MonoTime started_{};
  MonoTime run_started_{};
  OperationReport report_;
  Function<void(OperationReport)> done_;
};

// "3s", "1m30s", "1h0m0s": as Go prints durations.
std::string go_duration(std::chrono::seconds duration);

}  // namespace gantry::compose
