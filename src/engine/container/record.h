// What the store keeps of a container. Plain values; JSON in record_json.h.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "engine/iface/observed.h"
#include "engine/iface/specs.h"
#include "engine/image/image_store.h"
#include "net/network.h"

namespace gantry::engine {

// One mount as resolved at create: volume names are decided, volumes_from and the image's volumes are in.
struct ContainerMount {
  Mount mount;             // kind volume: `source` is the volume's name, never empty
  bool anonymous = false;  // the volume was made for this container and goes with its last user
  friend bool operator==(const ContainerMount&, const ContainerMount&) = default;
};

// Decided at create, never changed.
struct ContainerRecord {
  ImageId image_id;
  ImageConfig image_config;
  WallTime created_at{};
  std::vector<ContainerMount> mounts;  // parents before children
};

// One endpoint while the container runs.
struct EndpointState {
  NetworkId network;
  std::string endpoint_id;          // 64 hex
  std::string host_interface;       // "veth" + 7 hex
  std::string container_interface;  // "eth0"
  std::string mac;
  std::string address4;  // empty: none in that family
  std::string address6;
  bool gateway4 = false;  // gives the default route, and the published ports
  bool gateway6 = false;
  friend bool operator==(const EndpointState&, const EndpointState&) = default;
};

// Changes with every start and end.
struct ContainerStatus {
  ContainerState state = ContainerState::created;
  int exit_code = 0;
  std::string error;
  bool oom_killed = false;
  bool stopped_by_user = false;
  bool regrouped = false;  // an update put this run into cgroups that its shim does not know of
  WallTime started_at{};
  WallTime finished_at{};
  int restart_count = 0;
  HealthState health = HealthState::none;
  std::vector<EndpointState> endpoints;
  std::vector<net::PortForward> published;
  std::map<std::string, std::string> mounted_volumes;  // volumes with a filesystem of their own, held by this run
};

}  // namespace gantry::engine
