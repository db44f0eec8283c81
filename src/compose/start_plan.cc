#include "compose/start_plan.h"

#include <set>

namespace gantry::compose {

StepId add_hooks(Plan& plan, const std::string& service, const ContainerRef& container, const char* kind,
                 const std::vector<CommandSpec>& commands, std::vector<StepId> after, int stage) {
  StepId last = 0;
  for (size_t i = 0; i < commands.size(); ++i) {
    const std::string hook = std::string(kind) + "[" + std::to_string(i) + "]";
    Step step{.action = RunHook{.container = container,
                                .command = commands[i],
                                .hook = hook,
                                .skip_if_ended = std::string_view(kind) == "pre_stop"},
              .after = std::move(after),
              .stage = stage,
              .subject = "services." + service + "." + hook};
    step.row.service = service;
    last = plan.add(std::move(step));
    after = {last};
  }
  return last;
}

Result<> StartPlanner::add(const std::vector<std::string>& services) {
  for (const std::string& service : services) {
    auto found = replicas_.find(service);
    if (found == replicas_.end()) continue;
    std::optional<std::vector<StepId>> after;
    for (const Replica& replica : found->second) {
      if (!will_act(replica)) continue;
      if (!after) after = TRY(gates_of(service));
      StepId id = start(service, replica, std::move(*after));
      last_start_[service] = id;
      after = std::vector<StepId>{id};
    }
  }
  return {};
}

StepId StartPlanner::start(const std::string& service, const Replica& replica, std::vector<StepId> after) {
  const DesiredService* hooks = nullptr;
  if (rules_.hooks != nullptr) {
    const auto found = rules_.hooks->services.find(service);
    if (found != rules_.hooks->services.end()) hooks = &found->second;
  }
  const bool runs_now = replica.observed != nullptr && replica.observed->state == engine::ContainerState::running;
  if (replica.restart && hooks != nullptr && runs_now) {
    const StepId stopped =
        add_hooks(plan_, service, replica.container, "pre_stop", hooks->pre_stop, after, rules_.stage);
    if (stopped != 0) after = {stopped};
  }
  Step step{.cause = replica.cause, .after = std::move(after), .stage = rules_.stage, .subject = "services." + service};
  step.row = {.name = replica.container.name, .service = service, .working = "Starting", .done = "Started"};
  if (replica.restart) {
    step.action = RestartContainer{replica.container, {.timeout = rules_.stop_timeout}};
    step.row.working = "Restarting";
  } else {
    step.action = StartContainer{replica.container};
  }
  const StepId started = plan_.add(std::move(step));
  if (hooks == nullptr) return started;
  const StepId ready =
      add_hooks(plan_, service, replica.container, "post_start", hooks->post_start, {started}, rules_.stage);
  return ready != 0 ? ready : started;
}

Result<std::vector<StepId>> StartPlanner::gates_of(const std::string& service) {
  std::vector<StepId> gates;
  auto found = dependencies_.find(service);
  if (found == dependencies_.end()) return gates;
  for (const auto& [needed, dependency] : found->second) {
    for (StepId id : TRY(gate(service, needed, dependency))) gates.push_back(id);
  }
  return gates;
}

Result<std::vector<StepId>> StartPlanner::gate(const std::string& service, const std::string& needed,
                                               const Dependency& dependency) {
  std::vector<StepId> after;
  if (auto started = last_start_.find(needed); started != last_start_.end()) after.push_back(started->second);
  if (!rules_.wait_for_conditions || dependency.condition == DependencyCondition::started) return after;
  auto replicas = replicas_.find(needed);
  if (replicas == replicas_.end()) return after;  // not part of this: nobody waits for it
  if (replicas->second.empty()) {
    if (!rules_.missing_is_error || !dependency.required) return after;
    return not_found(service + " is missing dependency " + needed);
  }
  Goal goal = dependency.condition == DependencyCondition::healthy ? Goal::healthy : Goal::completed_successfully;
  StepId id = TRY(wait(service, needed, goal, dependency.required && !rules_.lenient, rules_.stage));
  if (id != 0) return std::vector<StepId>{id};
  return after;
}

// 0 if it is met already, or cannot be met and need not.
Result<StepId> StartPlanner::wait(const std::string& service, const std::string& needed, Goal goal, bool required,
                                  int stage) {
  auto key = std::make_tuple(needed, goal, required, stage);
  if (auto known = waits_.find(key); known != waits_.end()) return known->second;
  WaitFor action{.service = needed, .goal = goal, .required = required};
  for (const Replica& replica : replicas_.at(needed)) {
    if (replica.observed != nullptr && !will_act(replica)) {
      Verdict verdict = check(goal, needed, replica.container.name, replica.observed);
      if (verdict.kind == Verdict::Kind::met) continue;
      if (verdict.kind == Verdict::Kind::impossible && rules_.lenient) continue;
      // Nobody is going to start it: it would be waited for until the end of days.
      if (replica.observed->state == engine::ContainerState::created) {
        if (!required) continue;
        return conflict("dependency failed to start: container " + replica.container.name + " was never started");
      }
    }
    action.containers.push_back(replica.container);
  }
  StepId id = 0;
  if (!action.containers.empty()) {
    Step step{.stage = stage, .subject = "services." + needed};
    if (auto started = last_start_.find(needed); started != last_start_.end()) step.after.push_back(started->second);
    if (goal == Goal::healthy || goal == Goal::completed_successfully) {
      step.subject = "services." + service + ".depends_on." + needed;
    }
    step.row = {.service = needed, .working = "Waiting"};
    step.action = std::move(action);
    id = plan_.add(std::move(step));
  }
  waits_[key] = id;
  return id;
}

Result<> StartPlanner::add_final_waits(const std::vector<std::string>& services, int stage) {
  std::set<std::string> must_complete;
  for (const auto& [service, needed] : dependencies_) {
    for (const auto& [name, dependency] : needed) {
      if (dependency.condition == DependencyCondition::completed_successfully) must_complete.insert(name);
    }
  }
  for (const std::string& service : services) {
    auto found = replicas_.find(service);
    if (found == replicas_.end() || found->second.empty()) continue;
    Goal goal = must_complete.contains(service) ? Goal::completed : Goal::ready;
    TRY(wait(service, service, goal, true, stage));
  }
  return {};
}

}  // namespace gantry::compose
