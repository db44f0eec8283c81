// A copy of a project that can run beside the original and beside other copies: own names, own ports. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/api_types.h"
#include "compose/project.h"

namespace gantry::cli {

// Gives the project, and everything in it that has a name of its own, the new name; ports are published on free ports
// of the loopback interface. External networks and volumes stay what they are: they belong to others.
void isolate(compose::Project& project, const std::string& name);

// WEB_8080_URL=http://127.0.0.1:32768, WEB_8080_HOST and WEB_8080_PORT for every published port of the first replica of
// each service.
std::map<std::string, std::string> port_variables(const std::vector<ContainerRow>& containers);

}  // namespace gantry::cli
