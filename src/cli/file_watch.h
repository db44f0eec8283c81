// Directory trees under inotify: says which files have changed, in batches. Directories made later are watched as well,
// and what was put into them before that is told, too. One thread.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace gantry::cli {

class FileWatch {
 public:
  // A directory for which `skip` is true is not looked into.
  using Skip = std::function<bool(const std::filesystem::path& directory)>;
  // Errors: a path that does not exist, or more directories than fs.inotify.max_user_watches allows.
  static Result<FileWatch> open(const std::vector<std::filesystem::path>& paths, Skip skip);

  int fd() const { return inotify_.get(); }  // readable when something happened
  // Takes in what has happened and does not wait.
  Result<> read();
  // What changed since the last call: made, written, removed or renamed, each path once.
  std::set<std::filesystem::path> take() { return std::exchange(changed_, {}); }
  size_t pending() const { return changed_.size(); }

 private:
  Result<> add(const std::filesystem::path& directory, bool tell_content);
  Result<> rescan();

  Fd inotify_;
  Skip skip_;
  std::vector<std::filesystem::path> roots_;       // as given
  std::map<int, std::filesystem::path> directories_;  // by watch descriptor
  std::set<std::filesystem::path> changed_;
};

}  // namespace gantry::cli
