// What a container has changed against its image: `docker diff`. Any thread; blocking.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::engine {

struct FileChange {
  enum class Kind { modified, added, deleted };  // the API's numbers
  std::string path;
  Kind kind = Kind::modified;
  friend bool operator==(const FileChange&, const FileChange&) = default;
};

// `upper` in overlay form over `layers` (topmost first). Sorted by path. A directory counts as modified if something
// in it changed. The empty places that the engine makes for its own mounts (/etc/hosts, /proc, …) are no changes.
Result<std::vector<FileChange>> file_changes(const std::filesystem::path& upper,
                                             const std::vector<std::filesystem::path>& layers);

// Removes those empty places from a copy of an upper directory: an image made of it should not have them.
// `layers` as above.
Result<> remove_mount_places(int upper, const std::vector<std::filesystem::path>& layers);

}  // namespace gantry::engine
