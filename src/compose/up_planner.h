// How reconcile_up.cc and up_resources.cc share the making of one plan; nobody else includes this.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "compose/observed_project.h"
#include "compose/reconcile_up.h"
#include "compose/start_plan.h"

namespace gantry::compose {

// Stages of the plan.
inline constexpr int kPrepare = 0;
inline constexpr int kStart = 1;
inline constexpr int kFinish = 2;

// How `up`, `run` and the keeper differ.
struct UpRules {
  UpOptions options;
  bool keeping = false;
  const KeepIntent* keep = nullptr;
  const std::set<std::string>* pulled = nullptr;
  const std::optional<OneOff>* one_off = nullptr;
};

class UpPlanner {
 public:
  UpPlanner(const Desired& desired, const engine::Snapshot& snapshot, UpRules rules)
      : desired_(desired),
        snapshot_(snapshot),
        rules_(std::move(rules)),
        observed_(snapshot),
        decisions_(desired, snapshot),
        dependencies_(dependencies_of(desired)) {}

  Result<Plan> make() {
    TRY(select_services());
    decide_fates();
    TRY(add_pulls());
    TRY(add_networks());
    TRY(add_volumes());
    if (!rules_.keeping) add_orphans();
    for (const std::string& service : order_) add_containers(desired_.services.at(service));
    add_reconnects();
    TRY(add_starts());
    TRY(add_one_off());
    remove_renamed_networks();
    add_running_facts();
    return std::move(plan_);
  }

 private:
  Result<> select_services();
  RecreatePolicy policy_of(const std::string& service) const;
  void decide_fates();

  Result<> add_pulls();
  Result<> add_pull(const DesiredService& service);
  bool needs_image(const std::string& service) const;

  std::set<std::string> used_networks() const;
  std::set<std::string> used_volumes() const;
  Result<> add_networks();
  void create_network(const DesiredNetwork& network, const std::string& cause, std::vector<StepId> after);
  void recreate_network(const DesiredNetwork& network, const engine::ObservedNetwork& found);
  void add_reconnects();
  void remove_renamed_networks();
  Result<> add_volumes();
  void recreate_volume(const DesiredVolume& volume);
  bool is_recreated(const std::string& volume) const;
  void free_volumes_of(const engine::ObservedContainer& container, StepId removed);

  void add_orphans();
  void remove_container(const engine::ObservedContainer& container, const std::string& service, const std::string& cause);

  void add_containers(const DesiredService& service);
  ContainerRef create(const DesiredService& service, const ReplicaFate& fate, std::string name, Row row,
                      std::vector<StepId> after);
  ContainerRef replace(const DesiredService& service, const ReplicaFate& fate);
  ContainerRef replace_removed(const DesiredService& service, const ReplicaFate& fate);
  ContainerRef keep(const DesiredService& service, const ReplicaFate& fate);
  std::vector<StepId> prerequisites(const DesiredService& service) const;
  engine::ContainerSpec spec_of(const DesiredService& service, const ReplicaFate& fate, std::string name) const;
  void inherit_anonymous_volumes(const engine::ObservedContainer& old, engine::ContainerSpec& spec) const;
  StepId stop_step(const engine::ObservedContainer& container, std::vector<StepId> after, Row row);
  std::vector<StepId> stop_dependants(const std::string& service);
  bool must_start(const std::string& service, const ReplicaFate& fate) const;

  Result<> add_starts();
  Result<> add_one_off();
  void add_running_facts();

  bool is_selected(const std::string& service) const { return selected_.contains(service); }

  const Desired& desired_;
  const engine::Snapshot& snapshot_;
  UpRules rules_;
  ObservedProject observed_;
  ReplicaDecisions decisions_;
  ServiceDependencies dependencies_;
  Plan plan_;

  std::set<std::string> targeted_;
  std::set<std::string> selected_;
  std::vector<std::string> order_;  // selected ones, dependencies first
  std::map<std::string, std::vector<ReplicaFate>> fates_;
  std::map<std::string, StepId> pulls_;     // reference →
  std::map<std::string, StepId> networks_;  // name → the step that makes it
  std::map<std::string, StepId> volumes_;
  std::map<std::string, StepId> volume_removals_;  // of volumes that are made anew
  std::map<ContainerId, StepId> stops_;
  std::map<std::string, StepId> removals_;  // name of a container that goes →
  std::map<std::string, StepId> settled_;  // service → the step after which its first container has its name
  std::map<std::string, std::string> first_name_;
  Replicas replicas_;
  struct Reconnect {
    std::string network;
    const engine::ObservedContainer* container;
  };
  std::vector<Reconnect> reconnects_;
};

}  // namespace gantry::compose
