// What the makers of archives ask of this machine's directories.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::cli {

// Sorted, so that the same directory gives the same archive; without "." and "..". `doing`: for the message of an error.
Result<std::vector<std::string>> names_in(const std::filesystem::path& directory, const char* doing);
// As it is written in the link.
Result<std::string> link_target(const std::filesystem::path& path);

}  // namespace gantry::cli
