// What a well-formed project may still not say (compose-file.md sections 4.3 to 4.9 "checks", 5.4, 5.5). Works on the
// canonical, normalized tree; errors point at the entry that refers to what is not there. Pure; any thread.
#pragma once

#include <set>
#include <string>

#include "compose/report.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {

// Resources and services alone, active or not: external with other attributes, secrets without a source, ….
void check_semantics(const Node& project, Report& report);

// References between elements, of the `active` services; then cycles.
void check_consistency(const Node& project, const std::set<std::string>& active, Report& report);

}  // namespace gantry::compose
