// A build context that came as a tar.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace gantry::engine {

// Unpacks a tar, compressed or not, from a descriptor into an existing directory, never outside it.
// Blocking. Errors: "build context: …"; the directory may be half-filled then.
Result<> extract_context(int archive, const std::filesystem::path& directory);

}  // namespace gantry::engine
