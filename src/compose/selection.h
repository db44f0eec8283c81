// Which services take part: profiles, services named on the command line, and what of the rest they need
// (compose-file.md section 5.4). Pure; any thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "compose/report.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {

bool is_active(const Node& service, const std::vector<std::string>& profiles);

// Names of the services that take part, from those named (globs allowed; none: all active ones) and, with
// `with_dependencies`, what they depend on. Errors: "no such service: x".
std::set<std::string> select_services(const Node& services, const std::vector<std::string>& named,
                                      std::vector<std::string> profiles, bool with_dependencies, Report& report);

// Section ("networks", "volumes", …) → names of those that some service uses, active or not.
// Views into `project`.
using UsedResources = std::map<std::string, std::unordered_set<std::string_view>>;
UsedResources used_resources(const Node& project);

// Removes networks, volumes, secrets, configs and models that no service uses.
void drop_unused_resources(Node& project);

// Removes dependencies on services that are not there.
void drop_absent_dependencies(Node& project);

}  // namespace gantry::compose
