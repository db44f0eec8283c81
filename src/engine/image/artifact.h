// Files in a registry that are no image: an OCI manifest with an artifact type, and a blob for each file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/image/registry_settings.h"

namespace gantry::engine {

struct ArtifactFile {
  std::string media_type;
  std::string content;
  std::map<std::string, std::string> annotations;
};

struct Artifact {
  std::string type;             // "application/vnd.docker.compose.project"
  bool has_type_member = true;  // OCI 1.1; false: 1.0, where the config's media type tells it
  std::vector<ArtifactFile> files;
};

// The manifest and its config, as the registry gets them.
struct ArtifactManifest {
  std::string text;
  std::string media_type;
  std::string config;
};
ArtifactManifest manifest_of(const Artifact& artifact);  // pure

// Puts it into a registry. Blocking; any thread. `auth`: as of Registry::open. → the manifest's digest
Result<std::string> push_artifact(const std::string& reference, const Artifact& artifact, const std::string& auth,
                                  const RegistrySettings& settings);

}  // namespace gantry::engine
