// Wakes those who follow a container's log when something happens in its directory. One inotify instance for the whole
// process, because the kernel gives a user only 128 of them (fs.inotify.max_user_instances), and one thread that reads it.
// Any thread may use it.
#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"

namespace gantry::engine {

class LogWatch {
 public:
  virtual ~LogWatch() = default;  // no wake-up comes afterwards
  // Writes to `wake` (an eventfd, which must outlive the watch) after every change in `directory`: a file was written
  // to, made, or moved there. A directory that does not exist is never woken for.
  static Result<std::unique_ptr<LogWatch>> start(const std::filesystem::path& directory, int wake);
};

}  // namespace gantry::engine
