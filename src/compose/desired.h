// What a project wants of the engine: every network, volume and service in the engine's terms, before looking at what
// is there. Pure; any thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "compose/command_runner.h"
#include "compose/graph.h"
#include "compose/project.h"
#include "engine/iface/specs.h"

namespace gantry::compose {

// What was wanted before, for the reasons of a plan: an element made from `hash` differs by `text`.
struct EarlierVersion {
  std::string hash;
  std::string text;  // "environment.URL changed (compose.yaml:7, was "a", now "b")"
};

struct DesiredNetwork {
  std::string key;
  engine::NetworkSpec spec;
  bool external = false;
  std::string hash;   // com.docker.compose.config-hash
  std::string where;  // mark_line() of it
  EarlierVersion earlier;
};

struct DesiredVolume {
  std::string key;
  engine::VolumeSpec spec;
  bool external = false;
  bool used = false;  // by a service of the project
  std::string hash;
  std::string where;
};

struct DesiredService {
  std::string name;
  int replicas = 1;
  std::string hash;
  std::string image;        // reference
  std::string pull_policy;  // "", "always", "missing", "never", "build"
  std::string platform;
  bool has_build = false;
  bool attached = true;           // `attach:` of the file
  std::string fixed_name;         // container_name
  EarlierVersion earlier;
  std::string separator = "-";    // between the parts of a container's name
  // One replica's container, but for name, number and digest of the image. Other services' containers are written
  // "service:NAME" until the plan knows which container that is (resolve_references).
  engine::ContainerSpec spec;
  std::map<std::string, Dependency> depends_on;  // services of this Desired only
  std::vector<std::string> networks;             // names in the engine
  std::map<std::string, std::string> volumes;    // target → name in the engine, named volumes only
  std::vector<CommandSpec> post_start;   // hooks
  std::vector<CommandSpec> pre_stop;
  std::vector<std::string> shares;               // services whose namespaces or volumes it uses
};

struct Desired {
  std::string project;
  std::map<std::string, DesiredNetwork> networks;  // by key
  std::map<std::string, DesiredVolume> volumes;
  std::map<std::string, DesiredService> services;
  std::set<std::string> disabled;  // known services that are not active: no orphans
  std::vector<std::string> warnings;
};

// `scale` wins over the file. Errors are Code::invalid or Code::unsupported with the mark of the attribute.
Result<Desired> desire(const Project& project, const std::map<std::string, int>& scale = {});

// The reference under which a service's image is known: `image`, else PROJECT-SERVICE.
std::string image_of(const Project& project, const Service& service);
std::string container_name(const std::string& project, const DesiredService& service, int number);
// "web-1" of "shop-web-1": what people say. A fixed name stays as it is.
std::string display_name(const std::string& project, const std::string& container);

ServiceDependencies dependencies_of(const Desired& desired);

// Replaces "service:NAME" in `spec` by the names that `name_of` has for the services. Unknown ones stay.
void resolve_references(engine::ContainerSpec& spec, const std::map<std::string, std::string>& name_of);

}  // namespace gantry::compose
