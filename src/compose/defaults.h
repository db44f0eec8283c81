// What a canonical tree says without saying it: default network, implied dependencies, names of resources, the
// project's own name (compose-file.md sections 1 steps 14 and 19, 5.5). Pure; any thread.
#pragma once

#include <string>

#include "compose/yaml_tree.h"

namespace gantry::compose {

void normalize(Node& project, const std::string& project_name);

// The service that `service:NAME` names; "" = it names none.
std::string service_reference(std::string_view text);

}  // namespace gantry::compose
