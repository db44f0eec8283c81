// What was found: the engine's state as plain values, as one consistent snapshot.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "engine/iface/specs.h"

namespace gantry::engine {

enum class ContainerState { created, running, paused, restarting, removing, exited, dead };
// Docker's words: "created", "running", …
const char* to_string(ContainerState state);

enum class HealthState { none, starting, healthy, unhealthy };
const char* to_string(HealthState state);

struct ObservedContainer {
  ContainerId id;
  std::string name;
  Labels labels;
  std::string image;  // as it was asked for
  ImageId image_id;
  ContainerState state = ContainerState::created;
  HealthState health = HealthState::none;
  bool has_health_check = false;
  int exit_code = 0;             // of the last run; meaningful in exited and dead
  std::string error;             // why the last start failed, else empty
  bool oom_killed = false;
  bool stopped_by_user = false;  // its last end was asked for: do not start it again unasked
  WallTime created_at{};
  WallTime started_at{};         // zero: never
  WallTime finished_at{};
  int restart_count = 0;
  std::vector<NetworkId> networks;            // that it is configured for
  std::map<std::string, std::string> volumes; // target → name of the volume mounted there
  std::map<std::string, std::string> anonymous_volumes;  // target → name
  friend bool operator==(const ObservedContainer&, const ObservedContainer&) = default;
};

struct ObservedNetwork {
  NetworkId id;
  std::string name;
  Labels labels;
  std::vector<ContainerId> containers;  // configured for it, running or not
  friend bool operator==(const ObservedNetwork&, const ObservedNetwork&) = default;
};

struct ObservedVolume {
  std::string name;
  Labels labels;
  friend bool operator==(const ObservedVolume&, const ObservedVolume&) = default;
};

struct ObservedImage {
  ImageId id;
  std::vector<std::string> anonymous_volume_targets;
  Labels labels;
  friend bool operator==(const ObservedImage&, const ObservedImage&) = default;
};

// Everything that belongs to one project (by label com.docker.compose.project), and what else was asked about.
struct Snapshot {
  std::vector<ObservedContainer> containers;  // sorted by name; one-offs included
  std::vector<ObservedNetwork> networks;      // sorted by name
  std::vector<ObservedVolume> volumes;        // sorted by name
  std::map<std::string, ObservedImage> images;              // reference asked about → image; absent: not here
  std::map<std::string, ObservedNetwork> named_networks;    // asked about by name, whoever owns them
  std::map<std::string, ObservedVolume> named_volumes;
};

struct ObserveRequest {
  std::string project;
  std::vector<std::string> images;    // references that the caller wants to know of
  std::vector<std::string> networks;  // names, e.g. external ones
  std::vector<std::string> volumes;
};

}  // namespace gantry::engine
