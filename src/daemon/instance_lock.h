// One daemon a data root.
#pragma once

#include <filesystem>

#include "base/fd.h"
#include "base/result.h"

namespace gantry::daemon {

// Holds the lock until the descriptor is closed, i.e. at the latest when the process ends. A predecessor that is about
// to end is waited for, up to ten seconds; then Code::conflict, naming its process.
Result<Fd> lock_instance(const std::filesystem::path& data_root);

}  // namespace gantry::daemon
