// The credentials that `docker login` has kept in config.json, for the registry of an image.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "cli/session.h"

namespace gantry::cli {

// "ghcr.io/a/b:c" → "ghcr.io"; "nginx" → "docker.io".
std::string registry_of(std::string_view image);

// The header fields to send with a pull or push of `image`: X-Registry-Auth, or none when nothing is known.
// Errors: config.json is there and cannot be read.
Result<std::map<std::string, std::string>> registry_headers(const Session& session, std::string_view image);

}  // namespace gantry::cli
