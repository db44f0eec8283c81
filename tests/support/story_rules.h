// What must hold in every simulated run, looked at from outside of the controller: at its calls, and after each step.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "compose/plan.h"
#include "compose/project.h"
#include "support/faulty_engine.h"

namespace gantry::test {

class StoryRules {
 public:
  StoryRules(SimWorld& world, SimEngine& engine, const compose::Project& project)
      : world_(world), engine_(engine), project_(project) {}

  // `asked`: the command whose plan it is; "": a repair, or what goes on after a crash.
  void on_plan(const compose::Plan& plan, const std::string& asked);
  void on_call(const FaultyEngine::Call& call);
  void after_step();
  // What it had in mind is forgotten, back-off too.
  void daemon_died() {
    announced_.clear();
    repairs_.clear();
  }

  const std::string& violation() const { return violation_; }
  void violate(const std::string& what) {
    if (violation_.empty()) violation_ = what;
  }

 private:
  struct Announced {
    Op op;
    ContainerId container;
    std::string name;
  };
  // When a container last was as its dependants want it.
  struct Met {
    std::string service;
    std::chrono::nanoseconds started{-1}, healthy{-1}, completed{-1};
  };

  void look();  // at every container: which conditions are met now?
  void announce(const compose::Step& step);
  void check_causes(const compose::Plan& plan);
  void check_announced(const FaultyEngine::Call& call);
  void check_conditions(const std::string& service, const std::string& container, bool whole);
  void check_dependants(const std::string& service, const std::string& container);
  void note_backoff(const compose::Plan& plan);
  size_t count_met(const std::string& service, compose::DependencyCondition condition) const;

  SimWorld& world_;
  SimEngine& engine_;
  const compose::Project& project_;
  std::vector<Announced> announced_;
  std::set<std::string> starting_;  // services that the plan starts
  std::map<ContainerId, Met> met_;
  std::map<std::string, std::vector<std::chrono::nanoseconds>> repairs_;  // by service
  std::string asked_;                                                     // the command of the last plan
  std::chrono::nanoseconds looked_{0};      // when the controller last asked what is there
  std::chrono::nanoseconds plan_began_{0};  // when it asked for what the plan was made from
  size_t seen_history_ = 0;
  size_t seen_violations_ = 0;
  std::string violation_;
};

// "s1" of a container's labels; "" for a one-off.
std::string replica_service(const engine::ObservedContainer& container);
std::string label_value(const engine::ObservedContainer& container, const char* name);

}  // namespace gantry::test
