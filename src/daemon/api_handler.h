// All routes of the daemon, behind one function that serves any request.
#pragma once

#include <functional>

#include "daemon/http_server.h"
#include "daemon/world.h"

namespace gantry::daemon {

// `world` must outlive every call of the returned function.
HttpServer::Handler make_api_handler(World& world);

}  // namespace gantry::daemon
