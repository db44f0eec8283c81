// A line of `compose ps`, for templates and as JSON. Pure.
#pragma once

#include "cli/api_types.h"
#include "cli/template.h"

namespace gantry::cli {

// `whole`: ids and commands are not cut. `now`: seconds since the epoch.
Value ps_row(const ContainerRow& row, bool whole, int64_t now);
// The cells of the default table: NAME, IMAGE, COMMAND, SERVICE, CREATED, STATUS, PORTS.
std::vector<std::string> ps_cells(const ContainerRow& row, bool whole, int64_t now);

}  // namespace gantry::cli
