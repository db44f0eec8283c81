// A line of `compose ps`, for templates and as JSON. Pure.
#pragma once

#include "cli/api_types.h"
#include "cli/template.h"

namespace gantry::cli {

// `whole`: ids and commands are not cut. `now`: seconds since the epoch.
Value ps_row(const ContainerRow& row, bool whole, int64_t now);

}  // namespace gantry::cli
