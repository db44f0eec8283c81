// The finished tree → Project: reading only, everything was checked and made canonical before. Pure; any thread.
#pragma once

#include "compose/interpolate.h"
#include "compose/project.h"
#include "compose/report.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {

// `environment` gives secrets and configs with `environment:` their content.
Project bind_project(const Node& tree, const Environment& environment, const Report& report);

}  // namespace gantry::compose
