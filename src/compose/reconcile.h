// What differs between what is desired and what is there, as a plan. Pure: no I/O, no clock, no randomness; the same
// input gives the same plan. This is where it is decided that a container must be made anew, and why.
#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "compose/controller.h"
#include "compose/desired.h"
#include "compose/plan.h"
#include "engine/iface/observed.h"

namespace gantry::compose {

// A container beside the replicas, made when the dependencies of its service are as they must be.
struct OneOff {
  std::string service;
  engine::ContainerSpec spec;
};

// Make it so.
struct UpIntent {
  UpOptions options;
  std::set<std::string> pulled;   // references that were fetched for this very operation
  std::optional<OneOff> one_off;  // `options.services` are its dependencies then
};
// Repair what was running, of these services only: remake containers that were removed or are dead, start those that
// never were. Whatever ended by itself or by a user stays as it is, and nothing is recreated for being outdated.
struct KeepIntent {
  std::set<std::string> services;
  std::set<std::string> must_run;  // of these: an earlier repair stopped them and did not come to an end
};
struct DownIntent {
  std::vector<std::string> services;  // empty: all
  bool volumes = false;
  bool remove_orphans = false;
  std::string remove_images;  // "", "local", "all"
  std::optional<std::chrono::seconds> timeout;
  bool from_labels = false;   // `desired` was made by desired_from_labels()
};
struct StopIntent { std::vector<std::string> services; std::optional<std::chrono::seconds> timeout; };
struct StartIntent { std::vector<std::string> services; bool no_dependencies = false; bool wait = false; };
struct RestartIntent {
  std::vector<std::string> services;
  std::optional<std::chrono::seconds> timeout;
  bool no_dependencies = false;
};
struct KillIntent {
  std::vector<std::string> services;
  std::string signal;
  bool orphans = true;  // without named services: those of services that are not in the file, too
};
struct RemoveIntent {
  std::vector<std::string> services;
  bool anonymous_volumes = false;
  bool stop_first = false;
  std::optional<std::chrono::seconds> timeout;
};

using Intent =
    std::variant<UpIntent, KeepIntent, DownIntent, StopIntent, StartIntent, RestartIntent, KillIntent, RemoveIntent>;

// Errors: what the project needs and is not there (external network, image that is not to be pulled), an unknown
// service. Their texts are complete, mark included.
Result<Plan> reconcile(const Desired& desired, const engine::Snapshot& snapshot, const Intent& intent);

// What reconcile() wants to see in the snapshot.
engine::ObserveRequest observe_request(const Desired& desired);

}  // namespace gantry::compose
