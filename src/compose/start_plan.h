// Adds starts (or restarts) to a plan in the order of depends_on: each service's replicas one after the other, after
// the conditions that it waits for. Pure; any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "compose/desired.h"
#include "compose/plan.h"
#include "engine/iface/observed.h"

namespace gantry::compose {

// One replica as the start sees it.
struct Replica {
  ContainerRef container;
  const engine::ObservedContainer* observed = nullptr;  // nullptr: made by this plan
  bool start = false;
  bool restart = false;  // by the engine's restart, running or not
  std::string cause;
};
using Replicas = std::map<std::string, std::vector<Replica>>;  // service → by number

struct StartRules {
  int stage = 1;
  bool wait_for_conditions = true;
  bool missing_is_error = false;  // a service to wait for without any container
  bool lenient = false;           // go on when a condition cannot be met
  std::optional<std::chrono::seconds> stop_timeout;  // restarts
  const Desired* hooks = nullptr;  // whose post_start (and for restarts pre_stop) hooks are run; may be nullptr
};

// Adds the hooks of `commands` one after the other, behind `after`. → the last one's id; 0 if there are none
StepId add_hooks(Plan& plan, const std::string& service, const ContainerRef& container, const char* kind,
                 const std::vector<CommandSpec>& commands, std::vector<StepId> after, int stage);

class StartPlanner {
 public:
  StartPlanner(const ServiceDependencies& dependencies, const Replicas& replicas, StartRules rules, Plan& plan)
      : dependencies_(dependencies), replicas_(replicas), rules_(rules), plan_(plan) {}

  // `services` in dependency order.
  Result<> add(const std::vector<std::string>& services);
  // The steps that hold `service` back.
  Result<std::vector<StepId>> gates_of(const std::string& service);
  // Every service must become ready; one whose completion others wait for must complete.
  Result<> add_final_waits(const std::vector<std::string>& services, int stage);

 private:
  StepId start(const std::string& service, const Replica& replica, std::vector<StepId> after);
  Result<std::vector<StepId>> gate(const std::string& service, const std::string& needed, const Dependency& dependency);
  Result<StepId> wait(const std::string& service, const std::string& needed, Goal goal, bool required, int stage);
  bool will_act(const Replica& replica) const { return replica.start || replica.restart; }

  const ServiceDependencies& dependencies_;
  const Replicas& replicas_;
  StartRules rules_;
  Plan& plan_;
  std::map<std::string, StepId> last_start_;                           // service → its last replica's
  std::map<std::tuple<std::string, Goal, bool, int>, StepId> waits_;  // shared by all that wait for the same
};

}  // namespace gantry::compose
