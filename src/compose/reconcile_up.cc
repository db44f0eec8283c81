// The part of `up` that is about containers: which, why, in which order. Images, networks and volumes: up_resources.cc.
#include "compose/reconcile_up.h"

#include <algorithm>

#include "base/strings.h"
#include "compose/labels.h"
#include "compose/up_planner.h"

namespace gantry::compose {

using engine::ContainerState;
using engine::ObservedContainer;
using Fate = ReplicaFate::Kind;
using Resource = Progress::Resource;

Result<> UpPlanner::select_services() {
  const auto& asked = rules_.options.services;
  for (const std::string& name : asked) {
    if (!desired_.services.contains(name)) return not_found("no such service: " + name);
  }
  if (desired_.services.empty()) return invalid("no service selected");
  if (rules_.keeping) {
    targeted_ = rules_.keep->services;
  } else if (asked.empty() && !*rules_.one_off) {
    for (const auto& [name, service] : desired_.services) targeted_.insert(name);
  } else {
    targeted_.insert(asked.begin(), asked.end());
  }
  std::vector<std::string> names(targeted_.begin(), targeted_.end());
  if (!rules_.keeping && !rules_.options.no_dependencies) names = with_dependencies(dependencies_, std::move(names));
  for (std::string& name : names) {
    if (desired_.services.contains(name)) selected_.insert(std::move(name));
  }
  for (std::string& name : in_order(dependencies_)) {
    if (is_selected(name)) order_.push_back(std::move(name));
  }
  return {};
}

RecreatePolicy UpPlanner::policy_of(const std::string& service) const {
  if (rules_.keeping) return RecreatePolicy::never;
  const UpOptions& options = rules_.options;
  if (!targeted_.contains(service)) {
    return options.recreate == RecreatePolicy::never ? RecreatePolicy::never : options.recreate_dependencies;
  }
  return options.renew_anonymous_volumes ? RecreatePolicy::force : options.recreate;
}

void UpPlanner::decide_fates() {
  std::set<std::string> made_anew;
  for (const std::string& name : order_) {
    ReplicaDecisions::Rules rules{
        .recreate = policy_of(name), .fill_gaps = rules_.keeping, .surplus = !rules_.keeping};
    auto& fates = fates_[name];
    fates = decisions_.decide(desired_.services.at(name), observed_, rules, made_anew);
    for (ReplicaFate& fate : fates) {
      if (fate.observed == nullptr || fate.kind == Fate::remove) continue;
      for (const auto& [target, volume] : fate.observed->volumes) {
        if (!is_recreated(volume)) continue;
        fate.kind = Fate::replace_removed;
        fate.cause = "volume " + volume + " is made anew";
      }
    }
    bool anew = std::any_of(fates.begin(), fates.end(), [](const ReplicaFate& fate) {
      return fate.kind == Fate::replace || fate.kind == Fate::replace_removed || fate.kind == Fate::create;
    });
    if (anew) made_anew.insert(name);
    for (const ReplicaFate& fate : fates) {
      if (fate.kind == Fate::remove) continue;
      first_name_.try_emplace(name, container_name(desired_.project, desired_.services.at(name), fate.number));
    }
  }
  for (const auto& [name, service] : desired_.services) {
    const Containers& found = observed_.of(name);
    int number = found.empty() ? 1 : number_of(*found.front());
    // The name that it ends with: a replacement under way has a temporary one.
    std::string final_name = container_name(desired_.project, service, number);
    bool renamed_by_user = !found.empty() && !is_temporary_name(found.front()->name, final_name);
    first_name_.try_emplace(name, renamed_by_user ? found.front()->name : final_name);
  }
}

// ---- containers

void UpPlanner::remove_container(const ObservedContainer& container, const std::string& service,
                                 const std::string& cause) {
  Step remove{.action = RemoveContainer{ref_of(container), {.force = true}}, .cause = cause, .stage = kPrepare};
  if (is_active(container)) {
    Row row{.name = container.name, .service = service, .working = "Stopping", .done = "Stopped"};
    remove.after.push_back(stop_step(container, {}, std::move(row)));
  }
  remove.row = {.name = container.name, .service = service, .working = "Removing", .done = "Removed"};
  const StepId removed = plan_.add(std::move(remove));
  removals_[container.name] = removed;
  free_volumes_of(container, removed);
}

// A volume that is made anew is removed after the containers that have it mounted.
void UpPlanner::free_volumes_of(const ObservedContainer& container, StepId removed) {
  for (const auto& [target, volume] : container.volumes) {
    const auto removal = volume_removals_.find(volume);
    if (removal != volume_removals_.end()) plan_.step(removal->second).after.push_back(removed);
  }
}

void UpPlanner::add_orphans() {
  Containers orphans;
  for (const auto& [service, containers] : observed_.services) {
    if (desired_.services.contains(service) || desired_.disabled.contains(service)) continue;
    orphans.insert(orphans.end(), containers.begin(), containers.end());
  }
  for (const ObservedContainer* container : observed_.one_offs) {
    bool ended = container->state == ContainerState::exited || container->state == ContainerState::dead;
    if (ended) orphans.push_back(container);
  }
  if (orphans.empty() || (rules_.options.ignore_orphans && !rules_.options.remove_orphans)) return;
  if (rules_.options.remove_orphans) {
    for (const ObservedContainer* container : orphans) {
      remove_container(*container, label_of(container->labels, label::kService), "orphan");
    }
    return;
  }
  std::vector<std::string> names;
  for (const ObservedContainer* container : orphans) names.push_back(container->name);
  plan_.warnings.push_back(
      "Found orphan containers (" + join(names, ", ") +
      ") for this project. If you removed or renamed this service in your compose file, you can run this command with "
      "the --remove-orphans flag to clean it up.");
}

void UpPlanner::add_containers(const DesiredService& service) {
  for (const ReplicaFate& fate : fates_[service.name]) {
    if (fate.kind == Fate::remove) remove_container(*fate.observed, service.name, fate.cause);
  }
  for (const ReplicaFate& fate : fates_[service.name]) {
    ContainerRef container;
    switch (fate.kind) {
      case Fate::remove: continue;
      case Fate::keep: container = keep(service, fate); break;
      case Fate::replace: container = replace(service, fate); break;
      case Fate::replace_removed: container = replace_removed(service, fate); break;
      case Fate::create: {
        std::string name = container_name(desired_.project, service, fate.number);
        Row row{.name = name, .service = service.name, .working = "Creating", .done = "Created"};
        container = create(service, fate, name, std::move(row), prerequisites(service));
        settled_.try_emplace(service.name, container.made_by);
        break;
      }
    }
    bool anew = fate.kind != Fate::keep;
    replicas_[service.name].push_back({.container = std::move(container),
                                       .observed = anew ? nullptr : fate.observed,
                                       .start = !rules_.options.no_start && must_start(service.name, fate)});
  }
  replicas_.try_emplace(service.name);
}

// `up` starts whatever does not run. The keeper starts what was made and never started, or stopped by this plan.
bool UpPlanner::must_start(const std::string& service, const ReplicaFate& fate) const {
  if (fate.kind != Fate::keep) return true;
  const ObservedContainer& container = *fate.observed;
  if (stops_.contains(container.id)) return true;
  if (is_active(container)) return false;
  if (!rules_.keeping || rules_.keep->must_run.contains(service)) return true;
  return container.state == ContainerState::created && container.started_at == WallTime{};
}

std::vector<StepId> UpPlanner::prerequisites(const DesiredService& service) const {
  std::vector<StepId> after;
  auto add = [&after](const std::map<std::string, StepId>& steps, const std::string& name) {
    if (auto found = steps.find(name); found != steps.end()) after.push_back(found->second);
  };
  add(pulls_, service.image);
  for (const std::string& network : service.networks) add(networks_, network);
  for (const auto& [target, volume] : service.volumes) add(volumes_, volume);
  for (const std::string& parent : service.shares) add(settled_, parent);
  return after;
}

engine::ContainerSpec UpPlanner::spec_of(const DesiredService& service, const ReplicaFate& fate,
                                         std::string name) const {
  engine::ContainerSpec spec = service.spec;
  resolve_references(spec, first_name_);
  spec.labels[label::kContainerNumber] = std::to_string(fate.number);
  if (!fate.cause.empty()) spec.annotations[label::kCauseAnnotation] = fate.cause;
  if (auto image = snapshot_.images.find(service.image); image != snapshot_.images.end()) {
    spec.labels[label::kImage] = image->second.id.str();
  }
  if (fate.observed != nullptr) {
    spec.labels[label::kReplace] =
        service.fixed_name.empty() ? service.name + service.separator + std::to_string(fate.number) : service.fixed_name;
    if (!rules_.options.renew_anonymous_volumes) inherit_anonymous_volumes(*fate.observed, spec);
  }
  spec.name = std::move(name);
  return spec;
}

// The data in volumes without a name outlives the container: image VOLUMEs and mounts without a source.
void UpPlanner::inherit_anonymous_volumes(const ObservedContainer& old, engine::ContainerSpec& spec) const {
  for (const auto& [target, name] : old.anonymous_volumes) {
    auto mount = std::find_if(spec.mounts.begin(), spec.mounts.end(),
                              [&target = target](const engine::Mount& m) { return m.target == target; });
    if (mount == spec.mounts.end()) {
      spec.mounts.push_back({.kind = engine::Mount::Kind::volume, .source = name, .target = target});
    } else if (mount->kind == engine::Mount::Kind::volume && mount->source.empty()) {
      mount->source = name;
    }
  }
}

ContainerRef UpPlanner::create(const DesiredService& service, const ReplicaFate& fate, std::string name, Row row,
                               std::vector<StepId> after) {
  std::string final_name = container_name(desired_.project, service, fate.number);
  StepId id = plan_.add({.action = CreateContainer{spec_of(service, fate, std::move(name)), final_name},
                         .cause = fate.cause,
                         .after = std::move(after),
                         .stage = kPrepare,
                         .row = std::move(row),
                         .subject = "services." + service.name});
  return {.name = final_name, .made_by = id};
}

ContainerRef UpPlanner::replace(const DesiredService& service, const ReplicaFate& fate) {
  const ObservedContainer& old = *fate.observed;
  std::string name = container_name(desired_.project, service, fate.number);
  Row row{.name = name, .service = service.name, .working = "Recreate"};
  std::string temporary = temporary_name(old.id, name);
  std::vector<StepId> before_create = prerequisites(service);
  // A replacement that an interrupted attempt left under the temporary name gives way first.
  if (auto left = removals_.find(temporary); left != removals_.end()) before_create.push_back(left->second);
  ContainerRef made = create(service, fate, temporary, row, std::move(before_create));
  std::vector<StepId> before_remove{made.made_by};
  if (is_active(old)) {
    std::vector<StepId> before_stop = stop_dependants(service.name);
    before_stop.insert(before_stop.begin(), made.made_by);
    before_remove.push_back(stop_step(old, std::move(before_stop), {}));
  }
  StepId removed = plan_.add({.action = RemoveContainer{ref_of(old), {.force = true}},
                              .after = std::move(before_remove),
                              .stage = kPrepare,
                              .subject = "services." + service.name});
  Step rename{.action = RenameContainer{made, name},
              .after = {removed},
              .stage = kPrepare,
              .subject = "services." + service.name};
  rename.row = {.name = name, .service = service.name, .done = "Recreated"};
  settled_[service.name] = plan_.add(std::move(rename));
  return made;
}

ContainerRef UpPlanner::replace_removed(const DesiredService& service, const ReplicaFate& fate) {
  std::string name = container_name(desired_.project, service, fate.number);
  Step remove{.action = RemoveContainer{ref_of(*fate.observed), {.force = true}},
              .cause = fate.cause,
              .stage = kPrepare,
              .subject = "services." + service.name};
  remove.row = {.name = name, .service = service.name, .working = "Recreate"};
  std::vector<StepId> after = prerequisites(service);
  if (is_active(*fate.observed)) remove.after.push_back(stop_step(*fate.observed, {}, {}));
  const StepId removed = plan_.add(std::move(remove));
  after.push_back(removed);
  free_volumes_of(*fate.observed, removed);
  Row row{.name = name, .service = service.name, .done = "Recreated"};
  ContainerRef made = create(service, fate, name, std::move(row), std::move(after));
  settled_[service.name] = made.made_by;
  return made;
}

ContainerRef UpPlanner::keep(const DesiredService& service, const ReplicaFate& fate) {
  ContainerRef container = ref_of(*fate.observed);
  std::string name = container_name(desired_.project, service, fate.number);
  if (!is_temporary_name(container.name, name)) return container;
  container.name = name;
  settled_[service.name] = plan_.add({.action = RenameContainer{ref_of(*fate.observed), name},
                                      .cause = "left over from an interrupted replacement",
                                      .stage = kPrepare,
                                      .subject = "services." + service.name});
  return container;
}

StepId UpPlanner::stop_step(const ObservedContainer& container, std::vector<StepId> after, Row row) {
  if (auto known = stops_.find(container.id); known != stops_.end()) return known->second;
  StepId id = plan_.add({.action = StopContainer{ref_of(container), {.timeout = rules_.options.stop_timeout}},
                         .after = std::move(after),
                         .stage = kPrepare,
                         .row = std::move(row),
                         .subject = "services." + label_of(container.labels, label::kService)});
  stops_[container.id] = id;
  return id;
}

// Services that declare `restart: true` on this one stop before it goes and start again after it.
std::vector<StepId> UpPlanner::stop_dependants(const std::string& service) {
  std::vector<StepId> stops;
  for (const auto& [name, needed] : dependencies_) {
    auto dependency = needed.find(service);
    if (dependency == needed.end() || !dependency->second.restart || !is_selected(name)) continue;
    for (const ReplicaFate& fate : fates_[name]) {
      if (fate.observed == nullptr || !is_active(*fate.observed)) continue;
      Row row{.name = fate.observed->name, .service = name, .working = "Stopping", .done = "Stopped"};
      if (fate.kind != Fate::keep) row = {};
      stops.push_back(stop_step(*fate.observed, {}, std::move(row)));
      plan_.step(stops.back()).cause = "depends on " + service + ", which is made anew";
    }
  }
  return stops;
}

// ---- starting

Result<> UpPlanner::add_starts() {
  if (rules_.options.no_start) return {};
  StartPlanner planner(dependencies_, replicas_,
                       {.stage = kStart, .lenient = rules_.keeping, .stop_timeout = rules_.options.stop_timeout,
                        .hooks = &desired_},
                       plan_);
  TRY(planner.add(order_));
  if (rules_.one_off != nullptr && *rules_.one_off && !rules_.options.no_dependencies) {
    TRY(planner.gates_of((*rules_.one_off)->service));
  }
  if (rules_.options.wait) TRY(planner.add_final_waits(order_, kFinish));
  return {};
}

Result<> UpPlanner::add_one_off() {
  if (rules_.one_off == nullptr || !*rules_.one_off) return {};
  const OneOff& one_off = **rules_.one_off;
  engine::ContainerSpec spec = one_off.spec;
  resolve_references(spec, first_name_);
  if (auto image = snapshot_.images.find(spec.image); image != snapshot_.images.end()) {
    spec.labels[label::kImage] = image->second.id.str();
  }
  Step step{.action = CreateContainer{spec, spec.name}, .stage = kFinish, .subject = "services." + one_off.service};
  step.row = {.name = spec.name, .service = one_off.service, .working = "Creating", .done = "Created"};
  plan_.add(std::move(step));
  return {};
}

void UpPlanner::add_running_facts() {
  if (rules_.keeping) return;
  for (const auto& [service, replicas] : replicas_) {
    for (const Replica& replica : replicas) {
      if (replica.observed == nullptr || replica.start || !is_active(*replica.observed)) continue;
      plan_.facts.push_back({.resource = Resource::container,
                             .name = replica.container.name,
                             .service = service,
                             .status = Progress::Status::done,
                             .text = "Running"});
    }
  }
}

Result<Plan> reconcile_up(const Desired& desired, const engine::Snapshot& snapshot, const UpIntent& intent) {
  return UpPlanner(desired, snapshot,
                   {.options = intent.options, .pulled = &intent.pulled, .one_off = &intent.one_off})
      .make();
}

Result<Plan> reconcile_keep(const Desired& desired, const engine::Snapshot& snapshot, const KeepIntent& intent) {
  return UpPlanner(desired, snapshot, {.keeping = true, .keep = &intent}).make();
}

}  // namespace gantry::compose
