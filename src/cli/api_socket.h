// `use_api_socket: true`: the engine's socket in the container, and the user's registry credentials beside it.
#pragma once

#include "base/result.h"
#include "cli/session.h"
#include "compose/project.h"

namespace gantry::cli {

// Gives every service that wants it the socket at /var/run/docker.sock and the credentials as
// /run/secrets/docker/config.json, where DOCKER_CONFIG finds them unless the service says otherwise.
// Errors: unsupported, when the daemon is not reached by a socket of this machine.
Result<> mount_api_socket(const Session& session, compose::Project& project);

}  // namespace gantry::cli
