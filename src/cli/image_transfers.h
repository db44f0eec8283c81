// The same transfer for many images, side by side on connections of their own (as many as --parallel allows), each with
// the user's credentials for its registry.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/session.h"

namespace gantry::cli {

using ImageTransfer =
    std::function<Result<>(client::ApiClient& api, const std::string& image, const std::string& auth)>;

// → the failures by image. `transfer` is called on several threads. Blocking.
Result<std::map<std::string, Error>> transfer_images(Session& session, const std::vector<std::string>& images,
                                                     const ImageTransfer& transfer);

}  // namespace gantry::cli
