// Warnings about what is allowed and yet seldom meant: a host port that is published twice, top-level entries that
// nothing uses, a dependency that a profile hides. Works on the finished tree. Pure; any thread.
#pragma once

#include <set>
#include <string>

#include "compose/report.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {

// `active`: the services that take part.
void warn_of_traps(const Node& project, const std::set<std::string>& active, Report& report);

}  // namespace gantry::compose
