// `--mount type=bind,source=…,target=…` as an entry of HostConfig.Mounts. Pure, but for the current directory.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::cli {

// A line of comma-separated fields; one in double quotes may hold commas, "" in it is a quote.
std::vector<std::string> csv_fields(const std::string& text);

// Errors: invalid, in Docker's words.
Result<nlohmann::ordered_json> mount_json(const std::string& text);

}  // namespace gantry::cli
