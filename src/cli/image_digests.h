// Images of a project by digest, as their registries have them now.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "cli/session.h"

namespace gantry::cli {

// Image of a service as the files name it → the same with the digest behind it. Those with a digest are left out.
// Errors: of registries.
Result<std::map<std::string, std::string>> resolved_images(Session& session, const compose::Project& project);

// An override file that names the services' images as `images` says.
std::string lock_file(const compose::Project& project, const std::map<std::string, std::string>& images);

}  // namespace gantry::cli
