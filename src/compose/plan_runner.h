// Runs one plan on the engine: starts every step whose prerequisites have ended, all at once, and tells what happens.
// It decides nothing. Loop thread only. Held by shared_ptr, because replies of the engine may outlive its owner's
// interest.
//
// When a step fails, those that run already end, and nothing new is started. Conditions are looked at when an event
// of the engine changes what is known (project_view.h); never by polling.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/scheduler.h"
#include "compose/plan.h"
#include "compose/progress.h"
#include "compose/project.h"
#include "compose/project_view.h"
#include "compose/timings.h"
#include "engine/iface/engine.h"

namespace gantry::compose {

struct RunReport {
  std::optional<Error> error;  // complete, as the user reads it; Code::cancelled after cancel()
  std::map<std::string, ContainerId> created;  // final name →
  std::set<std::string> unfinished_services;   // with a step that did not end well
  std::vector<StepTiming> timings;             // of the steps that ended; times since the runner's start
};

class PlanRunner : public std::enable_shared_from_this<PlanRunner> {
 public:
  struct Surroundings {
    engine::Engine& engine;
    Scheduler& scheduler;
    std::string project_name;
    std::shared_ptr<const Project> project;  // for marks; may be nullptr
    Function<void(const Progress&)> on_progress;
    CommandRunner* run_command = nullptr;  // for hooks
  };

  PlanRunner(Surroundings surroundings, Plan plan, const engine::Snapshot& snapshot);

  // `done` is called once, never inside this call.
  void start(Function<void(RunReport)> done);
  void on_event(const engine::Event& event);
  // Starts nothing more; `done` follows when what runs has ended. `reason` is the report's error.
  void cancel(Error reason);
  // As cancel(), and who started it is not called any more, and let go of.
  void abandon(Error reason);
  // The container's end or removal is part of the plan.
  bool expects_end_of(const ContainerId& container) const { return ending_.contains(container); }

 private:
  enum class State { waiting, running, done, failed };
  struct Task {
    State state = State::waiting;
    MonoTime begun{};
    size_t missing = 0;            // prerequisites that have not ended
    std::vector<StepId> unlocks;
  };

  void prepare();
  void advance();
  void begin(StepId id);
  void finish_if_idle();
  void step_done(StepId id);
  void step_failed(StepId id, Error error);
  void step_ended(StepId id, Result<> result);
  void settle(StepId id);

  void act(StepId id, const CreateNetwork& action);
  void act(StepId id, const RemoveNetwork& action);
  void act(StepId id, const ConnectNetwork& action);
  void act(StepId id, const DisconnectNetwork& action);
  void act(StepId id, const CreateVolume& action);
  void act(StepId id, const RemoveVolume& action);
  void act(StepId id, const PullImage& action);
  void act(StepId id, const RemoveImage& action);
  void act(StepId id, const CreateContainer& action);
  void act(StepId id, const StartContainer& action);
  void act(StepId id, const StopContainer& action);
  void act(StepId id, const RestartContainer& action);
  void act(StepId id, const KillContainer& action);
  void act(StepId id, const RemoveContainer& action);
  void act(StepId id, const RenameContainer& action);
  void act(StepId id, const RunHook& action);
  void act(StepId id, const WaitFor& action);
  // A reply that ends the step; errors with one of `harmless` count as success.
  engine::Reply<> ends(StepId id, std::set<Code> harmless = {});

  void look_at_wait(StepId id);
  Verdict verdict_of(const WaitFor& action, const ContainerRef& ref, bool& uncertain) const;
  bool settles(const WaitFor& action, const ContainerRef& ref);
  void wait_cannot_be_met(StepId id, const std::string& container, const Verdict& verdict);
  void refresh();
  void look_at_all_waits();

  ContainerId id_of(const ContainerRef& ref) const;
  NetworkId id_of(const NetworkRef& ref) const;
  void tell(const Step& step, Progress::Status status, const std::string& text, std::string details = {});
  void tell(Progress progress);

  Surroundings surroundings_;
  Plan plan_;
  ProjectView view_;
  std::vector<Task> tasks_;
  std::map<int, size_t> left_in_stage_;
  std::map<int, std::deque<StepId>> ready_;  // by stage
  size_t in_flight_ = 0;                     // engine calls whose reply is waited for
  std::set<StepId> pulling_;                 // of these, pulls
  std::map<StepId, ContainerId> made_containers_;
  std::map<StepId, NetworkId> made_networks_;
  std::map<StepId, std::set<std::string>> waiting_;  // wait steps under way → containers not there yet, by name
  std::map<ContainerId, std::vector<StepId>> watchers_;  // → wait steps that look at it
  std::map<ContainerId, MonoTime> running_since_;        // of those without a health check, as far as waits saw it
  Scheduler::TimerId settle_timer_ = 0;
  std::set<ContainerId> ending_;
  MonoTime started_{};
  bool refreshing_ = false;
  bool refresh_again_ = false;
  bool advancing_ = false;
  bool finished_ = false;
  std::optional<Error> error_;
  RunReport report_;
  Function<void(RunReport)> done_;
};

}  // namespace gantry::compose
