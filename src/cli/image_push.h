// Pushes images through POST /images/NAME/push and turns its stream into progress rows.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/progress_view.h"
#include "cli/session.h"

namespace gantry::cli {

// Many side by side (as many as --parallel allows). → the failures by reference; the others are pushed.
// Under --dry-run the rows are drawn, and nothing is sent.
Result<std::map<std::string, Error>> push_images(Session& session, const std::vector<std::string>& references,
                                                 ProgressView& view);

}  // namespace gantry::cli
