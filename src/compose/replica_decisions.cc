#include <algorithm>

#include "compose/labels.h"
#include "compose/reconcile_up.h"

namespace gantry::compose {
namespace {

using engine::ContainerState;
using engine::ObservedContainer;
using FateKind = ReplicaFate::Kind;

// "sha256:0123456789ab…" → its first twelve digits.
std::string short_digest(const std::string& digest) {
  const size_t colon = digest.find(':');
  return digest.substr(colon == std::string::npos ? 0 : colon + 1, 12);
}

// Two containers with one number: the daemon died while a replacement was under way. The one that has the name stays;
// the replacement was never started.
void drop_duplicates(const std::string& project, const DesiredService& service, std::vector<ReplicaFate>& fates) {
  std::map<int, ReplicaFate*> best;
  for (ReplicaFate& fate : fates) {
    auto [place, first] = best.try_emplace(fate.number, &fate);
    if (first) continue;
    bool is_final = fate.observed->name == container_name(project, service, fate.number);
    ReplicaFate* loser = is_final ? std::exchange(place->second, &fate) : &fate;
    loser->kind = FateKind::remove;
    loser->cause = "left over from an interrupted replacement";
  }
}

// Outdated replicas go first, then those with the highest numbers.
void drop_surplus(const DesiredService& service, std::vector<ReplicaFate>& fates) {
  std::vector<ReplicaFate*> staying;
  for (ReplicaFate& fate : fates) {
    if (fate.kind != FateKind::remove) staying.push_back(&fate);
  }
  std::stable_sort(staying.begin(), staying.end(), [](const ReplicaFate* a, const ReplicaFate* b) {
    bool a_current = a->kind == FateKind::keep;
    bool b_current = b->kind == FateKind::keep;
    return a_current != b_current ? a_current : a->number < b->number;
  });
  for (size_t i = static_cast<size_t>(service.replicas); i < staying.size(); ++i) {
    staying[i]->kind = FateKind::remove;
    staying[i]->cause = "scaled to " + std::to_string(service.replicas);
  }
}

}  // namespace

ReplicaDecisions::ReplicaDecisions(const Desired& desired, const engine::Snapshot& snapshot)
    : desired_(desired), snapshot_(snapshot) {
  for (const auto& [name, network] : snapshot.named_networks) network_ids_[name] = network.id;
  for (const engine::ObservedNetwork& network : snapshot.networks) network_ids_[network.name] = network.id;
}

const NetworkId* ReplicaDecisions::network_id(const std::string& name) const {
  auto found = network_ids_.find(name);
  return found == network_ids_.end() ? nullptr : &found->second;
}

// A container that lives in another's namespaces or volumes is tied to that very container. One that is older than the
// other's is tied to something gone, even if nothing in this plan did it.
std::string ReplicaDecisions::sharing_cause(const DesiredService& service, const ObservedProject& observed,
                                            const ObservedContainer& container,
                                            const std::set<std::string>& replaced) const {
  for (const std::string& parent : service.shares) {
    const Containers& others = observed.of(parent);
    bool newer = !others.empty() && others.front()->created_at > container.created_at;
    if (replaced.contains(parent) || newer) return "shares with " + parent + ", which is made anew";
  }
  return "";
}

std::vector<ReplicaFate> ReplicaDecisions::decide(const DesiredService& service, const ObservedProject& observed,
                                                  const Rules& rules, const std::set<std::string>& replaced) const {
  std::vector<ReplicaFate> fates;
  for (const ObservedContainer* container : observed.of(service.name)) {
    std::string inherited_cause = sharing_cause(service, observed, *container, replaced);
    ReplicaFate fate{.number = number_of(*container), .observed = container};
    std::string cause = divergence(service, *container);
    if (container->state == ContainerState::removing) {
      fate.kind = FateKind::replace_removed;
      fate.cause = "it is being removed";
    } else if (container->state == ContainerState::dead) {
      fate.kind = FateKind::replace;
      fate.cause = "it is dead";
    } else if (rules.recreate == RecreatePolicy::force) {
      fate.kind = FateKind::replace;
      fate.cause = cause.empty() ? "recreation was asked for" : cause;
    } else if (!inherited_cause.empty()) {
      fate.kind = FateKind::replace;
      fate.cause = inherited_cause;
    } else if (!cause.empty() && rules.recreate == RecreatePolicy::diverged) {
      fate.kind = FateKind::replace;
      fate.cause = cause;
    }
    fates.push_back(std::move(fate));
  }
  drop_duplicates(desired_.project, service, fates);
  if (rules.surplus) drop_surplus(service, fates);
  add_missing(service, rules.fill_gaps, fates);
  std::stable_sort(fates.begin(), fates.end(),
                   [](const ReplicaFate& a, const ReplicaFate& b) { return a.number < b.number; });
  return fates;
}

void ReplicaDecisions::add_missing(const DesiredService& service, bool fill_gaps,
                                   std::vector<ReplicaFate>& fates) const {
  std::set<int> taken;
  for (const ReplicaFate& fate : fates) {
    if (fate.kind != FateKind::remove) taken.insert(fate.number);
  }
  int missing = service.replicas - static_cast<int>(taken.size());
  int next = fill_gaps || taken.empty() ? 1 : *taken.rbegin() + 1;
  for (; missing > 0; ++next) {
    if (taken.contains(next)) continue;
    fates.push_back({.kind = FateKind::create, .number = next});
    --missing;
  }
}

std::string ReplicaDecisions::divergence(const DesiredService& service, const ObservedContainer& container) const {
  if (const std::string made_from = label_of(container.labels, label::kConfigHash); made_from != service.hash) {
    const bool known = made_from == service.earlier.hash && !service.earlier.text.empty();
    return known ? service.earlier.text : "configuration changed";
  }
  if (auto image = snapshot_.images.find(service.image); image != snapshot_.images.end()) {
    std::string used = label_of(container.labels, label::kImage);
    if (used.empty()) used = container.image_id.str();
    if (!used.empty() && used != image->second.id.str()) {
      return "image changed: " + service.image + " was " + short_digest(used) + ", now " +
             short_digest(image->second.id.str());
    }
  }
  std::string cause = network_divergence(service, container);
  return cause.empty() ? volume_divergence(service, container) : cause;
}

// A network of the same name and another id is a new network: the container would not find it.
std::string ReplicaDecisions::network_divergence(const DesiredService& service,
                                                 const ObservedContainer& container) const {
  for (const std::string& name : service.networks) {
    const NetworkId* id = network_id(name);
    if (id == nullptr) return "network " + name + " is new";
    if (std::find(container.networks.begin(), container.networks.end(), *id) == container.networks.end()) {
      return "not attached to network " + name;
    }
  }
  return "";
}

std::string ReplicaDecisions::volume_divergence(const DesiredService& service,
                                                const ObservedContainer& container) const {
  for (const auto& [target, name] : service.volumes) {
    auto mounted = container.volumes.find(target);
    if (mounted == container.volumes.end() || mounted->second != name) {
      return "volume " + name + " is not mounted on " + target;
    }
  }
  return "";
}

}  // namespace gantry::compose
