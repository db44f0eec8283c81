#include "compose/reconcile.h"

#include <algorithm>

#include "base/scope_exit.h"
#include "compose/labels.h"
#include "compose/observed_project.h"
#include "compose/reconcile_up.h"
#include "compose/start_plan.h"

namespace gantry::compose {
namespace {

using engine::ObservedContainer;
using Resource = Progress::Resource;

std::string service_of(const ObservedContainer& container) { return label_of(container.labels, label::kService); }

// The named services, or all that have containers. Naming one that nobody knows is an error.
Result<std::set<std::string>> chosen(const Desired& desired, const ObservedProject& observed,
                                     const std::vector<std::string>& names) {
  std::set<std::string> services;
  for (const std::string& name : names) {
    bool known = desired.services.contains(name) || desired.disabled.contains(name) ||
                 observed.services.contains(name);
    if (!known) return not_found("no such service: " + name);
    services.insert(name);
  }
  if (!names.empty()) return services;
  for (const auto& [name, containers] : observed.services) services.insert(name);
  return services;
}

// What the file says, completed by what labels say of services that it does not have.
ServiceDependencies known_dependencies(const Desired& desired, const ObservedProject& observed) {
  ServiceDependencies dependencies = dependencies_of(desired);
  for (const auto& [name, containers] : observed.services) {
    if (desired.services.contains(name)) continue;
    dependencies[name] = parse_depends_on_label(label_of(containers.front()->labels, label::kDependsOn));
  }
  return dependencies;
}

// Stops (and removes) services in reverse order of their dependencies.
class StopPlanner {
 public:
  struct Rules {
    std::optional<std::chrono::seconds> timeout;
    bool stop = true;
    bool remove = false;
    bool anonymous_volumes = false;
    const Desired* hooks = nullptr;  // whose pre_stop hooks are run
  };
  StopPlanner(const ServiceDependencies& dependencies, Rules rules, Plan& plan)
      : dependants_(dependants_of(dependencies)), order_(in_order(dependencies)), rules_(rules), plan_(plan) {
    std::reverse(order_.begin(), order_.end());
  }

  void add(const std::map<std::string, Containers>& services) {
    for (const std::string& service : order_) {
      auto found = services.find(service);
      std::vector<StepId> after = ends_of_dependants(service);
      std::vector<StepId> stops;
      if (found != services.end()) {
        for (const ObservedContainer* container : found->second) add_container(*container, after, stops);
      }
      // A service without anything to stop passes on what its dependants are waited for.
      ends_[service] = stops.empty() ? std::move(after) : std::move(stops);
    }
  }

  void add_container(const ObservedContainer& container, const std::vector<StepId>& after, std::vector<StepId>& stops) {
    std::string service = service_of(container);
    std::string subject = "services." + service;
    std::vector<StepId> before_remove;
    if (rules_.stop && is_active(container)) {
      Step step{.action = StopContainer{ref_of(container), {.timeout = rules_.timeout}},
                .after = hooks_of(container, service, after),
                .subject = subject};
      step.row = {.name = container.name, .service = service, .working = "Stopping", .done = "Stopped"};
      stops.push_back(plan_.add(std::move(step)));
      before_remove.push_back(stops.back());
    } else if (rules_.stop && !rules_.remove) {
      plan_.facts.push_back(
          {.name = container.name, .service = service, .status = Progress::Status::done, .text = "Stopped"});
      plan_.facts.back().resource = Resource::container;
    }
    if (!rules_.remove) return;
    Step step{.action = RemoveContainer{ref_of(container),
                                        {.force = true, .anonymous_volumes = rules_.anonymous_volumes}},
              .after = std::move(before_remove),
              .subject = subject};
    step.row = {.name = container.name, .service = service, .working = "Removing", .done = "Removed"};
    plan_.add(std::move(step));
  }

 private:
  // What a stop comes after: the pre_stop hooks, where there are any.
  std::vector<StepId> hooks_of(const ObservedContainer& container, const std::string& service,
                               const std::vector<StepId>& after) {
    if (rules_.hooks == nullptr || container.state != engine::ContainerState::running) return after;
    const auto found = rules_.hooks->services.find(service);
    const bool one_off = label_of(container.labels, label::kContainerNumber).empty();
    if (found == rules_.hooks->services.end() || one_off) return after;
    const StepId last = add_hooks(plan_, service, ref_of(container), "pre_stop", found->second.pre_stop, after, 0);
    return last != 0 ? std::vector<StepId>{last} : after;
  }

  std::vector<StepId> ends_of_dependants(const std::string& service) const {
    std::set<StepId> ends;
    auto dependants = dependants_.find(service);
    if (dependants == dependants_.end()) return {};
    for (const std::string& dependant : dependants->second) {
      auto found = ends_.find(dependant);
      if (found != ends_.end()) ends.insert(found->second.begin(), found->second.end());
    }
    return {ends.begin(), ends.end()};
  }

  std::map<std::string, std::vector<std::string>> dependants_;
  std::vector<std::string> order_;  // dependants first
  Rules rules_;
  Plan& plan_;
  std::map<std::string, std::vector<StepId>> ends_;
};

// ---- down

class DownPlanner {
 public:
  DownPlanner(const Desired& desired, const engine::Snapshot& snapshot, const DownIntent& intent)
      : desired_(desired), snapshot_(snapshot), intent_(intent), observed_(snapshot) {}

  Result<Plan> make() {
    TRY(choose_services());
    remove_containers();
    remove_networks();
    if (intent_.volumes && intent_.services.empty()) remove_volumes();
    if (!intent_.remove_images.empty()) remove_images();
    return std::move(plan_);
  }

 private:
  Result<> choose_services() {
    ServiceDependencies dependencies = known_dependencies(desired_, observed_);
    if (intent_.services.empty()) {
      for (const auto& [name, containers] : observed_.services) {
        bool known = desired_.services.contains(name) || desired_.disabled.contains(name);
        if (known || intent_.remove_orphans) services_.insert(name);
      }
      return {};
    }
    std::vector<std::string> names = intent_.services;
    // Labels are all that is known: what depends on the named ones would be left without them.
    if (intent_.from_labels) names = with_dependants(dependencies, std::move(names));
    for (const std::string& name : names) {
      bool known = desired_.services.contains(name) || desired_.disabled.contains(name);
      if (!known && !intent_.from_labels) return not_found("no such service: " + name);
      services_.insert(name);
    }
    return {};
  }

  void remove_containers() {
    std::map<std::string, Containers> going;
    for (const std::string& service : services_) {
      if (!observed_.of(service).empty()) going[service] = observed_.of(service);
    }
    ServiceDependencies dependencies = known_dependencies(desired_, observed_);
    StopPlanner planner(dependencies,
                        {.timeout = intent_.timeout,
                         .remove = true,
                         .anonymous_volumes = intent_.volumes,
                         .hooks = &desired_},
                        plan_);
    if (intent_.remove_orphans && intent_.services.empty()) {
      std::vector<StepId> stops;
      for (const ObservedContainer* container : observed_.one_offs) {
        planner.add_container(*container, {}, stops);
        removed_.insert(container->id);
      }
    }
    planner.add(going);
    for (const auto& [service, containers] : going) {
      for (const ObservedContainer* container : containers) removed_.insert(container->id);
    }
  }

  // With named services, only networks that nobody else is in.
  void remove_networks() {
    for (const engine::ObservedNetwork& network : snapshot_.networks) {
      auto stays = [this](const ContainerId& id) { return !removed_.contains(id); };
      bool in_use = std::any_of(network.containers.begin(), network.containers.end(), stays);
      if (!intent_.services.empty() && (in_use || network.containers.empty())) continue;
      Step step{.action = RemoveNetwork{{.name = network.name, .id = network.id}}, .stage = 1, .best_effort = true};
      step.row = {.resource = Resource::network, .name = network.name, .working = "Removing", .done = "Removed"};
      plan_.add(std::move(step));
    }
  }

  // What no service uses is not in the model, unless all resources were asked for.
  void remove_volumes() {
    for (const auto& [key, volume] : desired_.volumes) {
      if (volume.external) continue;
      const std::string& name = volume.spec.name;
      bool exists = std::any_of(snapshot_.volumes.begin(), snapshot_.volumes.end(),
                                [&name](const engine::ObservedVolume& v) { return v.name == name; });
      if (!exists) continue;
      Step step{.action = RemoveVolume{name}, .stage = 1, .subject = "volumes." + key, .best_effort = true};
      step.row = {.resource = Resource::volume, .name = name, .working = "Removing", .done = "Removed"};
      plan_.add(std::move(step));
    }
  }

  // "local": images without a name of their own, i.e. built for this project.
  void remove_images() {
    std::set<std::string> references;
    for (const auto& [name, service] : desired_.services) {
      if (!intent_.services.empty() && !services_.contains(name)) continue;
      auto image = snapshot_.images.find(service.image);
      if (image == snapshot_.images.end()) continue;
      bool local = service.image == desired_.project + service.separator + name ||
                   label_of(image->second.labels, label::kProject) == desired_.project;
      if (intent_.remove_images == "all" || local) references.insert(service.image);
    }
    for (const std::string& reference : references) {
      Step step{.action = RemoveImage{reference}, .stage = 1, .best_effort = true};
      step.row = {.resource = Resource::image, .name = reference, .working = "Removing", .done = "Removed"};
      plan_.add(std::move(step));
    }
  }

  const Desired& desired_;
  const engine::Snapshot& snapshot_;
  const DownIntent& intent_;
  ObservedProject observed_;
  Plan plan_;
  std::set<std::string> services_;
  std::set<ContainerId> removed_;
};

// ---- stop, start, restart, kill, remove

Result<Plan> plan_stop(const Desired& desired, const engine::Snapshot& snapshot, const StopIntent& intent) {
  Plan plan;
  ObservedProject observed(snapshot);
  std::map<std::string, Containers> going;
  for (const std::string& service : TRY(chosen(desired, observed, intent.services))) {
    going[service] = observed.of(service);
  }
  StopPlanner(known_dependencies(desired, observed), {.timeout = intent.timeout, .hooks = &desired}, plan).add(going);
  return plan;
}

// The replacement of a replica that is still there: an interrupted `up` left it, the next one clears it away.
bool is_leftover(const ObservedContainer& container, const Containers& replicas) {
  return std::any_of(replicas.begin(), replicas.end(), [&container](const ObservedContainer* other) {
    return number_of(*other) == number_of(container) && is_temporary_name(container.name, other->name);
  });
}

// Every service of the project as the start sees it; `acts` says which of its containers are started or restarted.
template <class Mark>
Replicas replicas_of(const ServiceDependencies& dependencies, const ObservedProject& observed, Mark mark) {
  Replicas replicas;
  for (const auto& [service, needed] : dependencies) {
    auto& list = replicas[service];
    for (const ObservedContainer* container : observed.of(service)) {
      if (is_leftover(*container, observed.of(service))) continue;
      list.push_back({.container = ref_of(*container), .observed = container});
      mark(service, list.back());
    }
  }
  return replicas;
}

std::vector<std::string> ordered(const ServiceDependencies& dependencies, const std::set<std::string>& services) {
  std::vector<std::string> order;
  for (std::string& name : in_order(dependencies)) {
    if (services.contains(name)) order.push_back(std::move(name));
  }
  return order;
}

Result<Plan> plan_start(const Desired& desired, const engine::Snapshot& snapshot, const StartIntent& intent) {
  Plan plan;
  ObservedProject observed(snapshot);
  ServiceDependencies dependencies = known_dependencies(desired, observed);
  std::set<std::string> services = TRY(chosen(desired, observed, intent.services));
  for (const std::string& name : intent.services) {
    if (observed.of(name).empty()) return not_found("service " + gantry::quoted(name) + " has no container to start");
  }
  if (services.empty()) {
    return not_found("no container found for project " + gantry::quoted(desired.project) + ": not found");
  }
  if (!intent.no_dependencies) {
    auto all = with_dependencies(dependencies, {services.begin(), services.end()});
    services.insert(all.begin(), all.end());
  }
  Replicas replicas = replicas_of(dependencies, observed, [&](const std::string& service, Replica& replica) {
    replica.start = services.contains(service) && !is_active(*replica.observed);
  });
  StartPlanner planner(dependencies, replicas, {.missing_is_error = true, .hooks = &desired}, plan);
  TRY(planner.add(ordered(dependencies, services)));
  if (intent.wait) TRY(planner.add_final_waits(ordered(dependencies, services), 2));
  return plan;
}

Result<Plan> plan_restart(const Desired& desired, const engine::Snapshot& snapshot, const RestartIntent& intent) {
  Plan plan;
  ObservedProject observed(snapshot);
  ServiceDependencies dependencies = known_dependencies(desired, observed);
  std::set<std::string> services = TRY(chosen(desired, observed, intent.services));
  if (!intent.no_dependencies) {
    std::set<std::string> named = services;
    for (const auto& [service, needed] : dependencies) {
      for (const auto& [name, dependency] : needed) {
        if (dependency.restart && named.contains(name)) services.insert(service);
      }
    }
  }
  Replicas replicas = replicas_of(dependencies, observed, [&](const std::string& service, Replica& replica) {
    replica.restart = services.contains(service);
  });
  StartPlanner planner(dependencies, replicas,
                       {.wait_for_conditions = !intent.no_dependencies, .lenient = true,
                        .stop_timeout = intent.timeout, .hooks = &desired},
                       plan);
  TRY(planner.add(ordered(dependencies, services)));
  return plan;
}

Result<Plan> plan_kill(const Desired& desired, const engine::Snapshot& snapshot, const KillIntent& intent) {
  Plan plan;
  ObservedProject observed(snapshot);
  std::set<std::string> services = TRY(chosen(desired, observed, intent.services));
  Containers targets;
  for (const std::string& service : services) {
    const bool known = desired.services.contains(service) || desired.disabled.contains(service);
    if (!known && !intent.orphans && intent.services.empty()) continue;
    targets.insert(targets.end(), observed.of(service).begin(), observed.of(service).end());
  }
  for (const ObservedContainer* container : observed.one_offs) {
    if (intent.services.empty() || services.contains(service_of(*container))) targets.push_back(container);
  }
  for (const ObservedContainer* container : targets) {
    if (!is_active(*container)) continue;
    std::string service = service_of(*container);
    Step step{.action = KillContainer{ref_of(*container), intent.signal.empty() ? "SIGKILL" : intent.signal},
              .subject = "services." + service};
    step.row = {.name = container->name, .service = service, .working = "Killing", .done = "Killed"};
    plan.add(std::move(step));
  }
  return plan;
}

Result<Plan> plan_remove(const Desired& desired, const engine::Snapshot& snapshot, const RemoveIntent& intent) {
  Plan plan;
  ObservedProject observed(snapshot);
  std::map<std::string, Containers> going;
  for (const std::string& service : TRY(chosen(desired, observed, intent.services))) {
    for (const ObservedContainer* container : observed.of(service)) {
      if (intent.stop_first || !is_active(*container)) going[service].push_back(container);
    }
  }
  StopPlanner(known_dependencies(desired, observed),
              {.timeout = intent.timeout,
               .remove = true,
               .anonymous_volumes = intent.anonymous_volumes,
               .hooks = &desired},
              plan)
      .add(going);
  return plan;
}

}  // namespace

Result<Plan> reconcile(const Desired& desired, const engine::Snapshot& snapshot, const Intent& intent) {
  return std::visit(
      Overloaded{
          [&](const UpIntent& up) { return reconcile_up(desired, snapshot, up); },
          [&](const KeepIntent& keep) { return reconcile_keep(desired, snapshot, keep); },
          [&](const DownIntent& down) { return DownPlanner(desired, snapshot, down).make(); },
          [&](const StopIntent& stop) { return plan_stop(desired, snapshot, stop); },
          [&](const StartIntent& start) { return plan_start(desired, snapshot, start); },
          [&](const RestartIntent& restart) { return plan_restart(desired, snapshot, restart); },
          [&](const KillIntent& kill) { return plan_kill(desired, snapshot, kill); },
          [&](const RemoveIntent& remove) { return plan_remove(desired, snapshot, remove); },
      },
      intent);
}

engine::ObserveRequest observe_request(const Desired& desired) {
  engine::ObserveRequest request{.project = desired.project};
  std::set<std::string> images;
  std::set<std::string> networks;  // a network_mode may name one that the project does not declare
  for (const auto& [name, service] : desired.services) {
    if (!service.image.empty()) images.insert(service.image);
    networks.insert(service.networks.begin(), service.networks.end());
  }
  for (const auto& [key, network] : desired.networks) networks.insert(network.spec.name);
  request.images.assign(images.begin(), images.end());
  request.networks.assign(networks.begin(), networks.end());
  for (const auto& [key, volume] : desired.volumes) request.volumes.push_back(volume.spec.name);
  return request;
}

}  // namespace gantry::compose
