// What the controller holds and does; its methods are spread over controller_operations.cc (commands become operations,
// one after another in a project) and controller_keep.cc (what is remembered of a project, and looked after). Loop
// thread only.
#pragma once

#include <deque>
#include <set>

#include "compose/controller.h"
#include "compose/kept_project.h"
#include "compose/operation.h"
#include "compose/repair_backoff.h"

namespace gantry::compose {

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
    bool is_stored = false;         // the store has a record of it
    std::shared_ptr<DesiredMemo> desired = std::make_shared<DesiredMemo>();
    std::deque<Job> jobs;           // the first one is under way
    std::set<std::string> dirty;    // services to look after
    Timings timings;                // of the last operation that had steps
    std::set<std::string> must_run; // stopped by a repair that did not come to its end
    RepairBackoff backoff;
    Scheduler::TimerId timer = 0;
    MonoTime timer_due{};
  };

  struct UpPlan {
    std::shared_ptr<const Project> project;
    UpIntent intent;
    std::set<std::string> kept;  // services that run, and are looked after, from then on
    bool keeps = true;
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
  OperationId enqueue(OperationRequest request, Function<void(const OperationReport&)> settle);
  void start_first(const std::string& name);
  void job_ended(const std::string& name, const OperationReport& report);
  void forget_if_idle(const std::string& name);
  // A request that cannot become an operation: its answer comes later, as every other.
  OperationId refuse(std::shared_ptr<ProgressSink> sink, Error error);

  // ---- what is kept
  Result<> save(const std::string& name, KeptProject kept);
  std::shared_ptr<const Project> kept_project(const std::string& name) const;
  Result<> forget(const std::string& name);
  // Changes which services are kept; a failing store is told in the log, because nobody waits for it.
  void keep_services(const std::string& name, const std::function<void(std::set<std::string>&)>& change);

  // ---- up
  OperationId enqueue_up(UpPlan plan, std::shared_ptr<ProgressSink> sink);
  // What did not come up is not kept: the user has read why, and the next `up` goes on from there.
  void up_ended(const std::string& name, const OperationReport& report);
  std::set<std::string> services_of(const Project& project, const UpOptions& options);
  UpPlan plan_up(std::shared_ptr<const Project> project, UpOptions options);
  // Finishes what the daemon's end interrupted: only what it was about, and nothing that is done already.
  UpPlan plan_resumed_up(const KeptProject& kept);
  // Who asks for the end of things does not wait for their beginning.
  void interrupt_beginnings(const std::string& name, const char* command);

  // ---- looking after what is kept
  void on_event(const engine::Event& event);
  void look_after(const std::string& name, const std::string& service);
  void look_after_all(const std::string& name, const std::set<std::string>& services);
  void schedule_repair(const std::string& name);
  void repair(const std::string& name);
  static std::map<std::string, int> scale_of(const KeptProject& kept);
  void repair_ended(const std::string& name, const std::set<std::string>& looked_at, const OperationReport& report);

  // ---- the end
  bool any_job() const;
  void finish_shut_down();
};

}  // namespace gantry::compose
