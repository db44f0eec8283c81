// The routes of Docker's API, a file each. They are added once, at start.
#pragma once

#include "daemon/router.h"
#include "daemon/world.h"

namespace gantry::daemon::docker {

void add_system_routes(Router& router, World& world);
void add_event_routes(Router& router, World& world);
void add_container_routes(Router& router, World& world);
void add_container_stream_routes(Router& router, World& world);  // logs, attach, wait
void add_container_file_routes(Router& router, World& world);   // archive, export, changes
void add_container_usage_routes(Router& router, World& world);  // stats, top
void add_container_commit_routes(Router& router, World& world);
void add_disk_usage_routes(Router& router, World& world);
void add_exec_routes(Router& router, World& world);
void add_image_routes(Router& router, World& world);
void add_image_transfer_routes(Router& router, World& world);  // pull, import, load
void add_distribution_routes(Router& router, World& world);      // what is asked of registries
void add_build_routes(Router& router, World& world);
void add_network_routes(Router& router, World& world);
void add_volume_routes(Router& router, World& world);
void add_absent_routes(Router& router);  // swarm, plug-ins, checkpoints

}  // namespace gantry::daemon::docker
