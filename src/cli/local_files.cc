#include "cli/local_files.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/scope_exit.h"

namespace gantry::cli {

namespace fs = std::filesystem;

Result<std::vector<std::string>> names_in(const fs::path& directory, const char* doing) {
  DIR* stream = ::opendir(directory.c_str());
  if (stream == nullptr) return Error::from_errno(errno, doing, directory.string());
  ScopeExit close([stream] { ::closedir(stream); });
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::string> link_target(const fs::path& path) {
  std::string target(4096, '\0');
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  if (length < 0) return Error::from_errno(errno, "readlink", path.string());
  target.resize(static_cast<size_t>(length));
  return target;
}

}  // namespace gantry::cli
