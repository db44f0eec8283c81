// Pulls images through POST /images/create and turns its stream into progress rows.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "cli/progress_view.h"
#include "cli/session.h"

namespace gantry::cli {

// One image, on this thread. Errors: the daemon's.
Result<> pull_image(client::ApiClient& api, const std::string& image, const std::string& platform, ProgressView& view);

// Many side by side (as many as --parallel allows). `images`: reference → platform, "" = the daemon's.
// → the failures by reference; the others are there.
// Under --dry-run the rows are drawn, and nothing is asked for.
Result<std::map<std::string, Error>> pull_images(Session& session, const std::map<std::string, std::string>& images,
                                                 ProgressView& view);

}  // namespace gantry::cli
