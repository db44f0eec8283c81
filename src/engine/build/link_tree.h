// A layer's directory once more, for another place in the store: files are hard links, so that nothing is copied.
// Layers never change, which is what makes that right.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace gantry::engine {

// Everything below `from`, with directories of the same mode, owner, times and attributes, into the empty directory
// `to` on the same file system. The root's own attributes are left alone.
Result<> link_tree(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace gantry::engine
