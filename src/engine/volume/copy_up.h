// Fills an empty volume with what the image has at the place where the volume is to be mounted. Any thread; blocking.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::engine {

// Copies the directory `target` of the image (its `layers`, topmost first; symlinks resolved as in the container) with
// owners, modes, times, extended attributes and hard links into `data`, and gives `data` itself the directory's owner
// and mode. Does nothing if the image has no directory there, or `data` is not empty.
//
// Crash-safe: the copy grows beside `data` (in "_data.new") and replaces it by one rename; what an earlier crash left
// there is removed first.
Result<> copy_up(const std::vector<std::filesystem::path>& layers, const std::string& target,
                 const std::filesystem::path& data);

}  // namespace gantry::engine
