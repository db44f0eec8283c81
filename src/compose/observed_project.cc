#include "compose/observed_project.h"

#include <algorithm>

#include "base/strings.h"
#include "compose/labels.h"

namespace gantry::compose {
namespace {

using engine::ContainerState;
using engine::ObservedContainer;

bool by_number(const ObservedContainer* a, const ObservedContainer* b) {
  int left = number_of(*a);
  int right = number_of(*b);
  return left != right ? left < right : a->name < b->name;
}

}  // namespace

std::string label_of(const engine::Labels& labels, const char* name) {
  auto found = labels.find(name);
  return found == labels.end() ? "" : found->second;
}

// Containers without a config hash were not made from a project, whatever else they claim.
ObservedProject::ObservedProject(const engine::Snapshot& snapshot) {
  for (const ObservedContainer& container : snapshot.containers) {
    if (!container.labels.contains(label::kConfigHash)) continue;
    if (equals_ignoring_case(label_of(container.labels, label::kOneOff), "true")) {
      one_offs.push_back(&container);
    } else {
      services[label_of(container.labels, label::kService)].push_back(&container);
    }
  }
  for (auto& [name, containers] : services) std::sort(containers.begin(), containers.end(), by_number);
}

const Containers& ObservedProject::of(const std::string& service) const {
  static const Containers kNone;
  auto found = services.find(service);
  return found == services.end() ? kNone : found->second;
}

bool is_active(const ObservedContainer& container) {
  return container.state == ContainerState::running || container.state == ContainerState::paused ||
         container.state == ContainerState::restarting;
}

int number_of(const ObservedContainer& container) {
  auto number = parse_unsigned(label_of(container.labels, label::kContainerNumber));
  return number && *number <= 1'000'000 ? static_cast<int>(*number) : 0;
}

ContainerRef ref_of(const ObservedContainer& container) { return {.name = container.name, .id = container.id}; }

std::string temporary_name(const ContainerId& old_container, const std::string& final_name) {
  return old_container.short_form() + "_" + final_name;
}

bool is_temporary_name(const std::string& name, const std::string& final_name) {
  constexpr size_t kIdLength = 12;
  return name.size() == kIdLength + 1 + final_name.size() && name[kIdLength] == '_' && name.ends_with(final_name) &&
         name.find_first_not_of("0123456789abcdef") == kIdLength;
}

Desired desired_from_labels(const std::string& project, const engine::Snapshot& snapshot) {
  Desired desired{.project = project};
  ObservedProject observed(snapshot);
  for (const auto& [name, containers] : observed.services) {
    DesiredService& service = desired.services[name];
    service.name = name;
    service.replicas = static_cast<int>(containers.size());
    service.image = containers.front()->image;
    service.depends_on = parse_depends_on_label(label_of(containers.front()->labels, label::kDependsOn));
  }
  for (const engine::ObservedNetwork& network : snapshot.networks) {
    std::string key = label_of(network.labels, label::kNetwork);
    desired.networks[key.empty() ? network.name : key] = {.key = key, .spec = {.name = network.name}};
  }
  for (const engine::ObservedVolume& volume : snapshot.volumes) {
    std::string key = label_of(volume.labels, label::kVolume);
    desired.volumes[key.empty() ? volume.name : key] = {.key = key, .spec = {.name = volume.name}, .used = true};
  }
  return desired;
}

std::vector<std::string> in_order(const ServiceDependencies& dependencies) {
  Graph graph;
  for (const auto& [name, needed] : dependencies) graph.add({GraphNode::Kind::service, name});
  for (const auto& [name, needed] : dependencies) {
    for (const auto& [other, dependency] : needed) {
      if (!dependencies.contains(other)) continue;
      graph.connect(*graph.find({GraphNode::Kind::service, name}), *graph.find({GraphNode::Kind::service, other}));
    }
  }
  std::vector<std::string> order;
  std::set<std::string> seen;
  for (const auto& level : graph.levels()) {
    for (Graph::Index index : level) order.push_back(graph.node(index).name);
  }
  seen.insert(order.begin(), order.end());
  for (const auto& [name, needed] : dependencies) {
    if (!seen.contains(name)) order.push_back(name);
  }
  return order;
}

}  // namespace gantry::compose
