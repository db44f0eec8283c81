// Writing anew a file that is mostly there already, with about as much in it.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace gantry {

// In place, and made if it is not there. It keeps its blocks: a filesystem that discards waits for the disk when they are given
// back, which opening with O_TRUNC does. Errors: of open, write and truncate; the file may be half written then.
Result<> overwrite_file(const std::filesystem::path& path, std::string_view data, mode_t mode);

}  // namespace gantry
