#include "compose/reconcile_up.h"

#include <algorithm>

#include "base/strings.h"
#include "compose/labels.h"

namespace gantry::compose {
namespace {

using engine::ContainerState;
using engine::ObservedContainer;
using Fate = ReplicaFate::Kind;
using Resource = Progress::Resource;

constexpr int kPrepare = 0;
constexpr int kStart = 1;
constexpr int kFinish = 2;

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

  void add_orphans();
  void remove_container(const ObservedContainer& container, const std::string& service, const std::string& cause);

  void add_containers(const DesiredService& service);
  ContainerRef create(const DesiredService& service, const ReplicaFate& fate, std::string name, Row row,
                      std::vector<StepId> after);
  ContainerRef replace(const DesiredService& service, const ReplicaFate& fate);
  ContainerRef replace_dead(const DesiredService& service, const ReplicaFate& fate);
  ContainerRef keep(const DesiredService& service, const ReplicaFate& fate);
  std::vector<StepId> prerequisites(const DesiredService& service) const;
  engine::ContainerSpec spec_of(const DesiredService& service, const ReplicaFate& fate, std::string name) const;
  void inherit_anonymous_volumes(const ObservedContainer& old, engine::ContainerSpec& spec) const;
  StepId stop_step(const ObservedContainer& container, std::vector<StepId> after, Row row);
  std::vector<StepId> stop_dependants(const std::string& service);
  bool must_start(const ReplicaFate& fate) const;

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
  std::map<ContainerId, StepId> stops_;
  std::map<std::string, StepId> settled_;  // service → the step after which its first container has its name
  std::map<std::string, std::string> first_name_;
  Replicas replicas_;
  struct Reconnect {
    std::string network;
    const ObservedContainer* container;
  };
  std::vector<Reconnect> reconnects_;
};

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
    fates = decisions_.decide(desired_.services.at(name), observed_.of(name), rules, made_anew);
    bool anew = std::any_of(fates.begin(), fates.end(), [](const ReplicaFate& fate) {
      return fate.kind == Fate::replace || fate.kind == Fate::replace_dead || fate.kind == Fate::create;
    });
    if (anew) made_anew.insert(name);
    for (const ReplicaFate& fate : fates) {
      if (fate.kind == Fate::remove) continue;
      first_name_.try_emplace(name, container_name(desired_.project, desired_.services.at(name), fate.number));
    }
  }
  for (const auto& [name, service] : desired_.services) {
    const Containers& found = observed_.of(name);
    first_name_.try_emplace(name, found.empty() ? container_name(desired_.project, service, 1) : found.front()->name);
  }
}

// ---- images

bool UpPlanner::needs_image(const std::string& service) const {
  const auto& fates = fates_.at(service);
  return std::any_of(fates.begin(), fates.end(), [](const ReplicaFate& fate) {
    return fate.kind != Fate::keep && fate.kind != Fate::remove;
  });
}

Result<> UpPlanner::add_pulls() {
  for (const std::string& service : order_) TRY(add_pull(desired_.services.at(service)));
  if (rules_.one_off != nullptr && *rules_.one_off) TRY(add_pull(desired_.services.at((*rules_.one_off)->service)));
  return {};
}

Result<> UpPlanner::add_pull(const DesiredService& service) {
  bool one_off = rules_.one_off != nullptr && *rules_.one_off && (*rules_.one_off)->service == service.name;
  if (service.replicas == 0 && !one_off) return {};
  const std::string& policy = rules_.options.pull.empty() ? service.pull_policy : rules_.options.pull;
  bool present = snapshot_.images.contains(service.image);
  bool needed = one_off || needs_image(service.name);
  bool fetched = rules_.pulled != nullptr && rules_.pulled->contains(service.image);
  bool refresh = policy == "always" && !service.has_build && !fetched && !rules_.keeping;
  if (!refresh && (present || !needed)) return {};
  if (service.has_build) {
    return not_found("image " + service.image + " is not built: run compose build " + service.name +
                     " or compose up --build");
  }
  if (policy == "never" || policy == "build") {
    return not_found("image " + service.image + " of service " + service.name + " is not here, and pull_policy is " +
                     policy + ": run compose pull " + service.name);
  }
  if (pulls_.contains(service.image)) return {};
  Step step{.action = PullImage{.reference = service.image, .platform = service.platform},
            .cause = present ? "pull_policy is always" : "",
            .stage = kPrepare,
            .subject = "services." + service.name + ".image"};
  step.row = {.resource = Resource::image,
              .name = service.image,
              .service = service.name,
              .working = "Pulling",
              .done = "Pulled"};
  pulls_[service.image] = plan_.add(std::move(step));
  return {};
}

// ---- networks and volumes

std::set<std::string> UpPlanner::used_networks() const {
  std::set<std::string> names;
  for (const std::string& service : order_) {
    const DesiredService& wanted = desired_.services.at(service);
    if (wanted.replicas > 0) names.insert(wanted.networks.begin(), wanted.networks.end());
  }
  if (rules_.one_off != nullptr && *rules_.one_off) {
    for (const engine::EndpointSpec& endpoint : (*rules_.one_off)->spec.endpoints) names.insert(endpoint.network);
  }
  return names;
}

std::set<std::string> UpPlanner::used_volumes() const {
  std::set<std::string> names;
  auto add = [&names](const engine::ContainerSpec& spec) {
    for (const engine::Mount& mount : spec.mounts) {
      if (mount.kind == engine::Mount::Kind::volume && !mount.source.empty()) names.insert(mount.source);
    }
  };
  for (const std::string& service : order_) {
    if (desired_.services.at(service).replicas > 0) add(desired_.services.at(service).spec);
  }
  if (rules_.one_off != nullptr && *rules_.one_off) add((*rules_.one_off)->spec);
  return names;
}

Result<> UpPlanner::add_networks() {
  std::set<std::string> used = used_networks();
  for (const auto& [key, network] : desired_.networks) {
    const std::string& name = network.spec.name;
    if (!used.contains(name)) continue;
    if (network.external) {
      if (decisions_.network_id(name) != nullptr) continue;
      return not_found("network " + name + " declared as external, but could not be found" + network.where);
    }
    auto own = std::find_if(snapshot_.networks.begin(), snapshot_.networks.end(),
                            [&name](const engine::ObservedNetwork& n) { return n.name == name; });
    if (own != snapshot_.networks.end()) {
      std::string hash = label_of(own->labels, label::kConfigHash);
      if (!rules_.keeping && !hash.empty() && hash != network.hash) recreate_network(network, *own);
    } else if (snapshot_.named_networks.contains(name)) {
      if (rules_.keeping) continue;
      plan_.warnings.push_back("a network with name " + name + " exists but was not created for project " +
                               gantry::quoted(desired_.project) +
                               ".\nSet `external: true` to use an existing network");
    } else {
      create_network(network, "", {});
    }
  }
  return {};
}

void UpPlanner::create_network(const DesiredNetwork& network, const std::string& cause, std::vector<StepId> after) {
  Step step{.action = CreateNetwork{network.spec},
            .cause = cause,
            .after = std::move(after),
            .stage = kPrepare,
            .subject = "networks." + network.key};
  step.row = {
      .resource = Resource::network, .name = network.spec.name, .working = "Creating", .done = "Created"};
  networks_[network.spec.name] = plan_.add(std::move(step));
}

// The containers in it keep their identity: stopped, taken out, put into the new one, started again.
void UpPlanner::recreate_network(const DesiredNetwork& network, const engine::ObservedNetwork& found) {
  std::vector<StepId> detached;
  NetworkRef old{.name = found.name, .id = found.id};
  std::set<ContainerId> attached(found.containers.begin(), found.containers.end());
  for (const ObservedContainer& container : snapshot_.containers) {
    if (!attached.contains(container.id)) continue;
    std::string service = label_of(container.labels, label::kService);
    if (!is_selected(service) && desired_.services.contains(service)) {
      plan_.warnings.push_back("network " + found.name + " has changed, but " + container.name +
                               " is in it: bring the whole project up to apply the change");
      return;
    }
  }
  for (const ObservedContainer& container : snapshot_.containers) {
    if (!attached.contains(container.id)) continue;
    Step leave{.action = DisconnectNetwork{old, ref_of(container)}, .stage = kPrepare};
    if (is_active(container)) leave.after.push_back(stop_step(container, {}, {}));
    detached.push_back(plan_.add(std::move(leave)));
    reconnects_.push_back({found.name, &container});
  }
  Step remove{.action = RemoveNetwork{old},
              .cause = "configuration changed",
              .after = std::move(detached),
              .stage = kPrepare,
              .subject = "networks." + network.key};
  remove.row = {.resource = Resource::network, .name = found.name, .working = "Recreate"};
  StepId removed = plan_.add(std::move(remove));
  create_network(network, "configuration changed", {removed});
  plan_.steps.back().row.working.clear();
  plan_.steps.back().row.done = "Recreated";
}

void UpPlanner::add_reconnects() {
  for (const Reconnect& reconnect : reconnects_) {
    const ObservedContainer& container = *reconnect.container;
    std::string service = label_of(container.labels, label::kService);
    auto fates = fates_.find(service);
    if (fates == fates_.end()) continue;
    bool stays = std::any_of(fates->second.begin(), fates->second.end(), [&](const ReplicaFate& fate) {
      return fate.observed == &container && fate.kind == Fate::keep;
    });
    if (!stays) continue;
    for (engine::EndpointSpec endpoint : desired_.services.at(service).spec.endpoints) {
      if (endpoint.network != reconnect.network) continue;
      StepId made_by = networks_.at(reconnect.network);
      plan_.add({.action = ConnectNetwork{.network = {.name = reconnect.network, .made_by = made_by},
                                          .container = ref_of(container),
                                          .endpoint = std::move(endpoint)},
                 .cause = "network configuration changed",
                 .after = {made_by},
                 .stage = kPrepare,
                 .subject = "services." + service + ".networks"});
    }
  }
}

// `name:` of a network changed: its containers are in the new one by now. Somebody else may still be in the old one.
void UpPlanner::remove_renamed_networks() {
  if (rules_.keeping) return;
  for (const engine::ObservedNetwork& network : snapshot_.networks) {
    auto wanted = desired_.networks.find(label_of(network.labels, label::kNetwork));
    if (wanted == desired_.networks.end() || wanted->second.spec.name == network.name) continue;
    if (!networks_.contains(wanted->second.spec.name)) continue;
    Step step{.action = RemoveNetwork{{.name = network.name, .id = network.id}},
              .cause = "renamed to " + wanted->second.spec.name,
              .stage = kStart,
              .best_effort = true};
    step.row = {.resource = Resource::network, .name = network.name, .working = "Removing", .done = "Removed"};
    plan_.add(std::move(step));
  }
}

Result<> UpPlanner::add_volumes() {
  std::set<std::string> used = used_volumes();
  for (const auto& [key, volume] : desired_.volumes) {
    const std::string& name = volume.spec.name;
    if (!used.contains(name)) continue;
    auto own = std::find_if(snapshot_.volumes.begin(), snapshot_.volumes.end(),
                            [&name](const engine::ObservedVolume& v) { return v.name == name; });
    bool is_own = own != snapshot_.volumes.end();
    bool exists = is_own || snapshot_.named_volumes.contains(name);
    if (volume.external) {
      if (exists) continue;
      return not_found("external volume " + gantry::quoted(name) + " not found" + volume.where);
    }
    if (!exists) {
      Step step{.action = CreateVolume{volume.spec}, .stage = kPrepare, .subject = "volumes." + key};
      step.row = {.resource = Resource::volume, .name = name, .working = "Creating", .done = "Created"};
      volumes_[name] = plan_.add(std::move(step));
      continue;
    }
    if (rules_.keeping) continue;
    std::string hash = is_own ? label_of(own->labels, label::kConfigHash) : "";
    if (!is_own) {
      plan_.warnings.push_back("volume " + gantry::quoted(name) + " already exists but was not created for project " +
                               gantry::quoted(desired_.project) +
                               ". Use `external: true` to use an existing volume");
    } else if (!hash.empty() && hash != volume.hash) {
      plan_.warnings.push_back("Volume " + gantry::quoted(name) +
                               " exists but doesn't match configuration in compose file: it stays as it is. Remove it "
                               "to have it made anew; its data will be lost");
    }
  }
  return {};
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
  plan_.add(std::move(remove));
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
  if (orphans.empty()) return;
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
    ContainerRef container;
    switch (fate.kind) {
      case Fate::remove: remove_container(*fate.observed, service.name, fate.cause); continue;
      case Fate::keep: container = keep(service, fate); break;
      case Fate::replace: container = replace(service, fate); break;
      case Fate::replace_dead: container = replace_dead(service, fate); break;
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
                                       .start = !rules_.options.no_start && must_start(fate)});
  }
  replicas_.try_emplace(service.name);
}

// `up` starts whatever does not run. The keeper starts what was made and never started, or stopped by this plan.
bool UpPlanner::must_start(const ReplicaFate& fate) const {
  if (fate.kind != Fate::keep) return true;
  const ObservedContainer& container = *fate.observed;
  if (stops_.contains(container.id)) return true;
  if (is_active(container)) return false;
  if (!rules_.keeping) return true;
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
  std::sort(after.begin(), after.end());
  after.erase(std::unique(after.begin(), after.end()), after.end());
  return after;
}

engine::ContainerSpec UpPlanner::spec_of(const DesiredService& service, const ReplicaFate& fate,
                                         std::string name) const {
  engine::ContainerSpec spec = service.spec;
  resolve_references(spec, first_name_);
  spec.labels[label::kContainerNumber] = std::to_string(fate.number);
  if (auto image = snapshot_.images.find(service.image); image != snapshot_.images.end()) {
    spec.labels[label::kImage] = image->second.id.str();
  }
  if (fate.observed != nullptr) {
    spec.labels[label::kReplace] =
        service.fixed_name.empty() ? service.name + "-" + std::to_string(fate.number) : service.fixed_name;
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
  // A replacement that an earlier, interrupted attempt left under its temporary name gives way first.
  std::string temporary = temporary_name(old.id, name);
  ContainerRef made = create(service, fate, temporary, row, prerequisites(service));
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

ContainerRef UpPlanner::replace_dead(const DesiredService& service, const ReplicaFate& fate) {
  std::string name = container_name(desired_.project, service, fate.number);
  Step remove{.action = RemoveContainer{ref_of(*fate.observed), {.force = true}},
              .cause = fate.cause,
              .stage = kPrepare,
              .subject = "services." + service.name};
  remove.row = {.name = name, .service = service.name, .working = "Recreate"};
  std::vector<StepId> after = prerequisites(service);
  after.push_back(plan_.add(std::move(remove)));
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
                       {.stage = kStart, .lenient = rules_.keeping, .stop_timeout = rules_.options.stop_timeout},
                       plan_);
  TRY(planner.add(order_));
  if (rules_.one_off != nullptr && *rules_.one_off && !rules_.options.no_dependencies) {
    TRY(planner.gates_of((*rules_.one_off)->service));
  }
  if (rules_.options.wait) planner.add_final_waits(order_, kFinish);
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

}  // namespace

Result<Plan> reconcile_up(const Desired& desired, const engine::Snapshot& snapshot, const UpIntent& intent) {
  return UpPlanner(desired, snapshot,
                   {.options = intent.options, .pulled = &intent.pulled, .one_off = &intent.one_off})
      .make();
}

Result<Plan> reconcile_keep(const Desired& desired, const engine::Snapshot& snapshot, const KeepIntent& intent) {
  return UpPlanner(desired, snapshot, {.keeping = true, .keep = &intent}).make();
}

}  // namespace gantry::compose
