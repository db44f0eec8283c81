// The files that a build may use, as one tar stream: a directory without what its .dockerignore leaves out.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/result.h"
#include "cli/tar_stream.h"

namespace gantry::cli {

struct ContextOptions {
  std::filesystem::path directory;  // empty: no files but `extra`
  std::string url = {};             // instead of it: the daemon fetches the files
  // The Dockerfile and the ignore file are sent whatever the ignore file says: the builder reads them.
  std::filesystem::path dockerfile;  // as found on disk; empty: given in `extra`
  // Files that are not in the directory: path in the archive → content.
  std::map<std::string, std::string> extra;
};

// Gives the archive piece by piece. Blocking; one thread.
class BuildContext {
 public:
  // Walks the directory. Errors: it cannot be read, the ignore file is wrong, a file is neither a regular one nor a
  // directory nor a symbolic link.
  static Result<BuildContext> open(const ContextOptions& options);

  // The next piece; "" at the end. Errors: a file cannot be read, or shrank since the walk.
  Result<std::string> next() { return stream_.next(); }
  size_t files() const { return stream_.size(); }

 private:
  TarStream stream_;
};

}  // namespace gantry::cli
