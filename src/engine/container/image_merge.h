// What a container runs with: its spec over its image's config. Pure. Rules: Docker's create (user wins per label and
// variable; a given entrypoint drops the image's command).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/container/health.h"
#include "engine/iface/specs.h"
#include "engine/image/image_store.h"

namespace gantry::engine {

struct EffectiveConfig {
  std::vector<std::string> arguments;    // entrypoint and command
  std::vector<std::string> environment;  // "KEY=value", the user's first; without PATH, HOSTNAME, TERM, HOME
  std::vector<std::string> shell;
  std::string user;
  std::string working_dir;               // "" = "/"
  std::string stop_signal;               // "" = SIGTERM
  Labels labels;
  std::set<ExposedPort> exposed;
  std::set<std::string> volumes;         // targets of anonymous volumes
  std::optional<HealthCheck> health_check;  // merged field by field; none after {"NONE"}
};

// Code::invalid "no command specified" if nothing is left to run.
Result<EffectiveConfig> merge_with_image(const ContainerSpec& spec, const ImageConfig& image);

// The program's whole environment but HOME, which the shim adds: PATH, HOSTNAME, TERM with a tty, then `configured`;
// the same name replaces in place, "KEY" alone removes.
std::vector<std::string> process_environment(const std::vector<std::string>& configured, const std::string& hostname,
                                             bool tty);

}  // namespace gantry::engine
