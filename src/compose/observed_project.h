// The engine's snapshot, sorted the way a project looks at it. Pure; any thread. Points into the snapshot, which must
// outlive it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "compose/desired.h"
#include "compose/graph.h"
#include "compose/plan.h"
#include "engine/iface/observed.h"

namespace gantry::compose {

using Containers = std::vector<const engine::ObservedContainer*>;

struct ObservedProject {
  std::map<std::string, Containers> services;  // replicas by number, then name
  Containers one_offs;

  explicit ObservedProject(const engine::Snapshot& snapshot);
  const Containers& of(const std::string& service) const;
};

// Wants a stop before it can be removed.
bool is_active(const engine::ObservedContainer& container);
int number_of(const engine::ObservedContainer& container);  // 0: no replica's number
ContainerRef ref_of(const engine::ObservedContainer& container);
std::string label_of(const engine::Labels& labels, const char* name);  // "" if it has none

// `<12 hex digits>_<name>`: a replacement that has not taken over yet.
std::string temporary_name(const ContainerId& old_container, const std::string& final_name);
bool is_temporary_name(const std::string& name, const std::string& final_name);

// What the labels alone tell of a project whose files are not at hand: services and their order, networks, volumes.
Desired desired_from_labels(const std::string& project, const engine::Snapshot& snapshot);

// Services, each after those that it depends on; what is in a cycle (labels are anybody's) at the end.
std::vector<std::string> in_order(const ServiceDependencies& dependencies);

}  // namespace gantry::compose
