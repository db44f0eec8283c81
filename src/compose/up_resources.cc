// The part of `up` before containers: images, networks, volumes.
#include <algorithm>

#include "compose/labels.h"
#include "compose/up_planner.h"

namespace gantry::compose {

using engine::ObservedContainer;
using Fate = ReplicaFate::Kind;
using Resource = Progress::Resource;

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
  const auto& to_build = rules_.options.to_build;
  if (std::find(to_build.begin(), to_build.end(), service.name) != to_build.end()) return {};
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
  const bool known = label_of(found.labels, label::kConfigHash) == network.earlier.hash && !network.earlier.text.empty();
  const std::string cause = known ? network.earlier.text : "configuration changed";
  Step remove{.action = RemoveNetwork{old},
              .cause = cause,
              .after = std::move(detached),
              .stage = kPrepare,
              .subject = "networks." + network.key};
  remove.row = {.resource = Resource::network, .name = found.name, .working = "Recreate"};
  StepId removed = plan_.add(std::move(remove));
  create_network(network, cause, {removed});
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

// Its definition changed, and the user lets the data go.
bool UpPlanner::is_recreated(const std::string& name) const {
  const auto& asked = rules_.options.recreate_volumes;
  if (rules_.keeping || std::find(asked.begin(), asked.end(), name) == asked.end()) return false;
  const auto own = std::find_if(snapshot_.volumes.begin(), snapshot_.volumes.end(),
                                [&name](const engine::ObservedVolume& v) { return v.name == name; });
  if (own == snapshot_.volumes.end()) return false;
  const std::string hash = label_of(own->labels, label::kConfigHash);
  return std::any_of(desired_.volumes.begin(), desired_.volumes.end(), [&](const auto& entry) {
    return entry.second.spec.name == name && !entry.second.external && !hash.empty() && hash != entry.second.hash;
  });
}

// The removals of its containers are put before it when they are planned.
void UpPlanner::recreate_volume(const DesiredVolume& volume) {
  const std::string& name = volume.spec.name;
  Step remove{.action = RemoveVolume{name},
              .cause = "configuration changed",
              .stage = kPrepare,
              .subject = "volumes." + volume.key};
  remove.row = {.resource = Resource::volume, .name = name, .working = "Recreate"};
  volume_removals_[name] = plan_.add(std::move(remove));
  Step create{.action = CreateVolume{volume.spec},
              .cause = "configuration changed",
              .after = {volume_removals_[name]},
              .stage = kPrepare,
              .subject = "volumes." + volume.key};
  create.row = {.resource = Resource::volume, .name = name, .done = "Recreated"};
  volumes_[name] = plan_.add(std::move(create));
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
    } else if (is_recreated(name)) {
      recreate_volume(volume);
    } else if (!hash.empty() && hash != volume.hash) {
      plan_.warnings.push_back("Volume " + gantry::quoted(name) +
                               " exists but doesn't match configuration in compose file: it stays as it is. Remove it "
                               "to have it made anew; its data will be lost");
    }
  }
  return {};
}

}  // namespace gantry::compose
