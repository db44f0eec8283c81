#include "support/story_rules.h"

#include <algorithm>
#include <set>

#include "base/scope_exit.h"
#include "compose/labels.h"

namespace gantry::test {
namespace {

using namespace std::chrono_literals;
using namespace compose;
using engine::ContainerState;
using engine::HealthState;
using engine::ObservedContainer;

// The controller waits 0.1, 0.2, 0.4 … s between repairs of one service: no more than these fit into ten seconds.
constexpr size_t kMostRepairs = 9;
constexpr std::chrono::nanoseconds kRepairWindow = 10s;

bool runs(const ObservedContainer& c) {
  return c.state == ContainerState::running || c.state == ContainerState::paused ||
         c.state == ContainerState::restarting;
}

bool changes_containers(Op op) {
  return op == Op::create || op == Op::start || op == Op::stop || op == Op::remove || op == Op::rename ||
         op == Op::restart || op == Op::kill;
}

std::string service_of_subject(const std::string& subject) {
  constexpr std::string_view kServices = "services.";
  if (!subject.starts_with(kServices)) return "";
  return subject.substr(kServices.size(), subject.find('.', kServices.size()) - kServices.size());
}

}  // namespace

std::string label_value(const ObservedContainer& container, const char* name) {
  const auto found = container.labels.find(name);
  return found == container.labels.end() ? "" : found->second;
}

std::string replica_service(const ObservedContainer& container) {
  return label_value(container, label::kOneOff) == "True" ? "" : label_value(container, label::kService);
}

// ---- no action without a reason in the plan

void StoryRules::announce(const Step& step) {
  const auto of = [](Op op, const ContainerRef& ref) {
    return Announced{op, ref.made_by == 0 ? ref.id : ContainerId(), ""};
  };
  std::optional<Announced> call =
      std::visit(Overloaded{
                     [](const CreateNetwork& a) {
                       return std::optional(Announced{Op::create_network, {}, a.spec.name});
                     },
                     [](const RemoveNetwork& a) {
                       return std::optional(Announced{Op::remove_network, {}, a.network.name});
                     },
                     [&](const ConnectNetwork& a) { return std::optional(of(Op::connect, a.container)); },
                     [&](const DisconnectNetwork& a) { return std::optional(of(Op::disconnect, a.container)); },
                     [](const CreateVolume& a) {
                       return std::optional(Announced{Op::create_volume, {}, a.spec.name});
                     },
                     [](const RemoveVolume& a) {
                       return std::optional(Announced{Op::remove_volume, {}, a.name});
                     },
                     [](const PullImage& a) {
                       return std::optional(Announced{Op::pull, {}, a.reference});
                     },
                     [](const RemoveImage& a) {
                       return std::optional(Announced{Op::remove_image, {}, a.reference});
                     },
                     [](const CreateContainer& a) {
                       return std::optional(Announced{Op::create, {}, a.spec.name});
                     },
                     [&](const StartContainer& a) { return std::optional(of(Op::start, a.container)); },
                     [&](const StopContainer& a) { return std::optional(of(Op::stop, a.container)); },
                     [&](const RestartContainer& a) { return std::optional(of(Op::restart, a.container)); },
                     [&](const KillContainer& a) { return std::optional(of(Op::kill, a.container)); },
                     [&](const RemoveContainer& a) { return std::optional(of(Op::remove, a.container)); },
                     [](const RenameContainer& a) {
                       return std::optional(
                           Announced{Op::rename, a.container.made_by == 0 ? a.container.id : ContainerId(), a.name});
                     },
                     [&](const RunHook& a) { return std::optional(of(Op::hook, a.container)); },
                     [](const WaitFor&) { return std::optional<Announced>(); },
                 },
                 step.action);
  if (call) announced_.push_back(std::move(*call));
}

void StoryRules::on_plan(const Plan& plan, const std::string& asked) {
  asked_ = asked;
  // What was fulfilled when it looked is no fault of the plan, even if it ended on the answer's way.
  plan_began_ = looked_;
  look();
  announced_.clear();
  starting_.clear();
  for (const Step& step : plan.steps) {
    announce(step);
    if (std::holds_alternative<StartContainer>(step.action)) starting_.insert(service_of_subject(step.subject));
  }
  if (asked.empty() || asked.starts_with("up")) check_causes(plan);
  if (asked.empty()) note_backoff(plan);
  // What is taken down is forgotten, and how often it died, too: the next `up` begins anew.
  if (asked.starts_with("down")) repairs_.clear();
}

// What a user asked for by name is its own reason, and so is what is not there yet. Taking away what is there is what a
// comparison must have found: a step about the same container or its service says it.
void StoryRules::check_causes(const Plan& plan) {
  const auto taken_away = [](const Step& step) -> const ContainerRef* {
    if (const auto* remove = std::get_if<RemoveContainer>(&step.action)) return &remove->container;
    if (const auto* stop = std::get_if<StopContainer>(&step.action)) return &stop->container;
    return nullptr;
  };
  std::set<std::string> services;
  std::set<ContainerId> containers;
  for (const Step& step : plan.steps) {
    if (step.cause.empty()) continue;
    services.insert(service_of_subject(step.subject));
    if (const ContainerRef* ref = taken_away(step)) containers.insert(ref->id);
  }
  for (const Step& step : plan.steps) {
    const ContainerRef* ref = taken_away(step);
    if (ref == nullptr || containers.contains(ref->id) || services.contains(service_of_subject(step.subject))) continue;
    violate("no cause for: " + describe(step.action));
  }
}

void StoryRules::check_announced(const FaultyEngine::Call& call) {
  const auto fits = [&call](const Announced& a) {
    if (a.op != call.op || (a.name != call.name && call.op != Op::remove_network)) return false;
    return a.container == call.container || a.container.empty();
  };
  auto found = std::find_if(announced_.begin(), announced_.end(),
                            [&](const Announced& a) { return fits(a) && a.container == call.container; });
  if (found == announced_.end()) found = std::find_if(announced_.begin(), announced_.end(), fits);
  if (found == announced_.end()) {
    return violate(std::string("an action that no plan has: ") + to_string(call.op) + " " + call.name +
                   engine_.name_of(call.container));
  }
  announced_.erase(found);
}

// ---- the order of dependencies

void StoryRules::after_step() {
  for (; seen_violations_ < engine_.violations.size(); ++seen_violations_)
    violate(engine_.violations[seen_violations_]);
  if (engine_.history.size() != seen_history_) look();
}

void StoryRules::look() {
  seen_history_ = engine_.history.size();
  engine_.for_each_container([this](const ObservedContainer& c) {
    const std::string service = replica_service(c);
    if (service.empty() || c.state == ContainerState::created) return;
    Met& met = met_[c.id];
    met.service = service;
    met.started = world_.now();
    if (c.state == ContainerState::running && c.health == HealthState::healthy) met.healthy = world_.now();
    if (c.state == ContainerState::exited && c.exit_code == 0) met.completed = world_.now();
  });
}

size_t StoryRules::count_met(const std::string& service, DependencyCondition condition) const {
  return static_cast<size_t>(std::count_if(met_.begin(), met_.end(), [&](const auto& entry) {
    const Met& met = entry.second;
    if (met.service != service) return false;
    switch (condition) {
      case DependencyCondition::started:
        return met.started >= plan_began_;
      case DependencyCondition::healthy:
        return met.healthy >= plan_began_;
      case DependencyCondition::completed_successfully:
        return met.completed >= plan_began_;
    }
    return false;
  }));
}

// A repair or `start` leaves alone what the user has stopped or removed: there only those count that it starts, too.
void StoryRules::check_conditions(const std::string& service, const std::string& container, bool whole) {
  const auto found = project_.services.find(service);
  if (found == project_.services.end()) return;
  for (const auto& [needed, dependency] : found->second.depends_on) {
    const auto other = project_.services.find(needed);
    if (!dependency.required || other == project_.services.end()) continue;
    if (!whole && !starting_.contains(needed)) continue;
    const size_t wanted = whole ? static_cast<size_t>(other->second.scale.value_or(1)) : 1;
    // A repair waits for a condition, but goes on without one that cannot be met any more: the order remains.
    const DependencyCondition condition = whole ? dependency.condition : DependencyCondition::started;
    const size_t count = count_met(needed, condition);
    if (count >= wanted) continue;
    violate(container + " is started, but of " + needed + " only " + std::to_string(count) + " of " +
            std::to_string(wanted) + " were " + to_string(condition));
  }
}

void StoryRules::check_dependants(const std::string& service, const std::string& container) {
  for (const auto& [name, other] : project_.services) {
    if (!other.depends_on.contains(service)) continue;
    engine_.for_each_container([&](const ObservedContainer& c) {
      if (replica_service(c) == name && runs(c))
        violate(container + " is stopped before " + c.name + ", which needs it");
    });
  }
}

void StoryRules::on_call(const FaultyEngine::Call& call) {
  if (call.op == Op::observe) {
    looked_ = world_.now();
    return look();
  }
  check_announced(call);
  if (!changes_containers(call.op)) return;
  const std::string& asked = asked_;
  const std::string container = engine_.name_of(call.container);
  const ObservedContainer* seen = engine_.find(container);
  if (seen == nullptr) return;
  const std::string service = label_value(*seen, label::kService);
  look();
  if (call.op == Op::start) check_conditions(service, container, asked.starts_with("up"));
  const bool ends_all = asked == "down" || asked == "down -v" || asked == "down --rmi" || asked == "stop";
  if (ends_all && runs(*seen) && (call.op == Op::stop || call.op == Op::remove))
    check_dependants(replica_service(*seen), container);
}

// ---- repairs back off

void StoryRules::note_backoff(const Plan& plan) {
  std::set<std::string> services;
  for (const Step& step : plan.steps) {
    if (std::holds_alternative<StartContainer>(step.action)) services.insert(service_of_subject(step.subject));
  }
  for (const std::string& service : services) {
    auto& times = repairs_[service];
    times.push_back(world_.now());
    std::erase_if(times, [this](auto time) { return time < world_.now() - kRepairWindow; });
    if (times.size() > kMostRepairs) {
      violate(service + " is started " + std::to_string(times.size()) + " times in ten seconds: no back-off");
    }
  }
}

}  // namespace gantry::test
