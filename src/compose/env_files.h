// env_file and label_file of a service, read and folded into `environment` and `labels` (compose-file.md sections 3.2
// and 3.4). Reads files.
#pragma once

#include "compose/interpolate.h"
#include "compose/report.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {

void read_service_files(Node& service, const Environment& environment, const Path& path, Report& report);

}  // namespace gantry::compose
