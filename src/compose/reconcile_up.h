// The part of reconcile() behind up, create, run and the repair of what is kept. Pure; only reconcile.cc uses it.
#pragma once

#include "compose/observed_project.h"
#include "compose/reconcile.h"
#include "compose/start_plan.h"

namespace gantry::compose {

Result<Plan> reconcile_up(const Desired& desired, const engine::Snapshot& snapshot, const UpIntent& intent);
Result<Plan> reconcile_keep(const Desired& desired, const engine::Snapshot& snapshot, const KeepIntent& intent);

// What becomes of one replica.
struct ReplicaFate {
  enum class Kind {
    keep,      // as it is
    create,    // there is none
    replace,   // make the new one under a temporary name, then let it take over
    replace_removed,  // somebody is removing it: wait for that, then make it anew
    remove,    // one too many
  };
  Kind kind = Kind::keep;
  int number = 0;
  const engine::ObservedContainer* observed = nullptr;
  std::string cause;
};

// Decides the fate of every replica of one service. `replaced`: services of which a container is made anew.
class ReplicaDecisions {
 public:
  struct Rules {
    RecreatePolicy recreate = RecreatePolicy::diverged;
    bool fill_gaps = false;   // missing numbers first, instead of the highest plus one
    bool surplus = true;      // remove replicas beyond the wanted number
  };
  ReplicaDecisions(const Desired& desired, const engine::Snapshot& snapshot);

  std::vector<ReplicaFate> decide(const DesiredService& service, const ObservedProject& observed, const Rules& rules,
                                  const std::set<std::string>& replaced) const;
  // Why the container is not what `service` wants; "" if it is. Without regard to policy.
  std::string divergence(const DesiredService& service, const engine::ObservedContainer& container) const;
  const NetworkId* network_id(const std::string& name) const;

 private:
  std::string sharing_cause(const DesiredService& service, const ObservedProject& observed,
                            const engine::ObservedContainer& container, const std::set<std::string>& replaced) const;
  std::string network_divergence(const DesiredService& service, const engine::ObservedContainer& container) const;
  std::string volume_divergence(const DesiredService& service, const engine::ObservedContainer& container) const;
  void add_missing(const DesiredService& service, bool fill_gaps, std::vector<ReplicaFate>& fates) const;

  const Desired& desired_;
  const engine::Snapshot& snapshot_;
  std::map<std::string, NetworkId> network_ids_;
};

}  // namespace gantry::compose
