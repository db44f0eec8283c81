// What Gantry knows beyond the format, written as extensions so that other tools pass over it:
//
//   x-healthcheck  a health check that the engine makes itself: http, tcp or log
//   x-stop         "patient": a stop waits out its grace even where PID 1 cannot hear the signal
//
// Pure; any thread.
#pragma once

#include "compose/project.h"
#include "compose/report.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {

// Reports what is wrong with the extensions of one service.
void check_extensions(const Node& service, const Path& path, Report& report);
// Puts them into the service: the check as its `healthcheck`, the rest as labels. They count for its hash: they are
// appended to canonical_json, which has to be there already.
void bind_extensions(const Node& service, Service& out);

}  // namespace gantry::compose
