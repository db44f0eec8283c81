// All routes of the daemon, behind one function that serves any request.
#pragma once

#include <functional>

#include "daemon/http_server.h"
#include "daemon/world.h"
#include "engine/image/registry_settings.h"

namespace gantry::daemon {

// `world` must outlive every call of the returned function.
HttpServer::Handler make_api_handler(World& world, engine::RegistrySettings registries = {});

}  // namespace gantry::daemon
