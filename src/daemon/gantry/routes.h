// The routes of /gantry/v1 (schemas/gantry-api.yaml).
#pragma once

#include "daemon/router.h"
#include "daemon/world.h"
#include "engine/image/registry_settings.h"

namespace gantry::daemon::api {

void add_project_routes(Router& router, World& world);
void add_past_log_routes(Router& router, World& world);
void add_artifact_routes(Router& router, engine::RegistrySettings registries);
void add_exec_route(Router& router, World& world);
void add_metrics_routes(Router& router, World& world);  // health, metrics

}  // namespace gantry::daemon::api
