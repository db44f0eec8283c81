// Where the programs of one installation lie.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace gantry {

// The file of this very process.
Result<std::filesystem::path> own_executable();

// Another program of this installation, e.g. "gantry-shim": beside this one (a build tree) or in ../libexec/gantry (an
// installation). not_found names both places.
Result<std::filesystem::path> find_program(std::string_view name);

}  // namespace gantry
