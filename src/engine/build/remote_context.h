// A build context that the daemon fetches itself: a Git repository, an archive or a Dockerfile by URL.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "engine/image/image_store.h"

namespace gantry::engine {

// Fills an existing, empty directory and returns where the context begins: in it, or (Git, "#REF:DIRECTORY") below.
// What is no archive is a Dockerfile without files. Blocking. Errors name the URL.
Result<std::filesystem::path> fetch_context(const std::string& url, const std::filesystem::path& directory,
                                            const CancelCheck& cancelled);

}  // namespace gantry::engine
