// A compose file made from containers that exist. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::cli {

// `containers`: answers of GET /containers/ID/json. Only what differs from an image's own settings and from defaults
// is written, as far as the answers tell.
Result<std::string> compose_file_of(const std::vector<std::string>& containers, const std::string& project, bool json);

}  // namespace gantry::cli
