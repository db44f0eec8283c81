// Removing a directory with everything in it.
#pragma once

#include <string>

#include "base/result.h"

namespace gantry {

// Follows no symlink; what is not there is no error, and a file is removed, too. However deep it is, a hundred descriptors do.
// Any thread. Errors: the first that stopped it, with the path below which it happened; what had gone before has gone.
Result<> remove_tree(const std::string& path);

}  // namespace gantry
