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
  // Git is changing the work tree of one of the paths: it took the lock of its index after the watch was opened and has
  // not let it go. When it does, fd() becomes readable. A git that was killed leaves the lock, so do not trust it for ever.
  bool is_git_at_work() const { return !locked_.empty(); }

 private:
  Result<> add(const std::filesystem::path& directory, bool tell_content);
  Result<> rescan();
  Result<> watch_repository(const std::filesystem::path& path);
  void take_in_lock(const std::filesystem::path& repository, uint32_t mask);

  Fd inotify_;
  Skip skip_;
  std::vector<std::filesystem::path> roots_;       // as given
  std::map<int, std::filesystem::path> directories_;  // by watch descriptor
  std::map<int, std::filesystem::path> repositories_;  // .git directories, likewise
  std::set<std::filesystem::path> locked_;             // of these
  std::set<std::filesystem::path> changed_;
};

}  // namespace gantry::cli
