#include "cli/file_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "base/strings.h"

namespace gantry::cli {

namespace fs = std::filesystem;

namespace {

// A file is of interest when its writer has closed it; IN_ATTRIB is for `touch` and chmod.
constexpr uint32_t kWatchedEvents = IN_CREATE | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |
                             IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK;
constexpr uint32_t kBegins = IN_CREATE | IN_MOVED_TO;
constexpr uint32_t kEnds = IN_DELETE | IN_MOVED_FROM;  // git renames the lock to the index
constexpr char kLock[] = "index.lock";
constexpr size_t kMaxGitFile = 4096;

// The directory in which git keeps the index of the work tree that `path` is in; empty: none. In a linked work tree .git
// is a file: "gitdir: /where".
fs::path repository_of(fs::path path) {
  std::error_code problem;
  for (;; path = path.parent_path()) {
    const fs::path git = path / ".git";
    if (fs::is_directory(git, problem)) return git;
    if (fs::is_regular_file(git, problem)) {
      constexpr std::string_view kPrefix = "gitdir: ";
      const auto text = read_file(git, kMaxGitFile);
      if (!text.ok() || !text->starts_with(kPrefix)) return {};
      return path / std::string(trim(text->substr(kPrefix.size())));
    }
    if (path == path.parent_path()) return {};
  }
}

}  // namespace

Result<FileWatch> FileWatch::open(const std::vector<fs::path>& paths, Skip skip) {
  FileWatch watch;
  watch.inotify_ = Fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (watch.inotify_.get() < 0) return Error::from_errno(errno, "inotify_init1");
  watch.skip_ = std::move(skip);
  for (const fs::path& path : paths) {
    std::error_code problem;
    const bool directory = fs::is_directory(path, problem);
    if (!directory && !fs::exists(path, problem)) return not_found("cannot watch " + path.string() + ": it does not exist");
    watch.roots_.push_back(path);
    // A single file is watched through its directory: editors replace files by renaming.
    TRY(watch.add(directory ? path : path.parent_path(), false));
    TRY(watch.watch_repository(path));
  }
  watch.changed_.clear();
  return watch;
}

Result<> FileWatch::add(const fs::path& directory, bool tell_content) {
  const int descriptor = ::inotify_add_watch(inotify_.get(), directory.c_str(), kWatchedEvents);
  if (descriptor < 0) {
    if (errno == ENOENT || errno == ENOTDIR || errno == EACCES) return {};
    if (errno == ENOSPC) {
      return Error(Code::exhausted, "too many directories to watch: raise fs.inotify.max_user_watches (sysctl)");
    }
    return Error::from_errno(errno, "inotify_add_watch", directory.string());
  }
  directories_[descriptor] = directory;
  const bool is_root = std::find(roots_.begin(), roots_.end(), directory) != roots_.end();
  const bool within = is_root || std::any_of(roots_.begin(), roots_.end(), [&](const fs::path& root) {
    const std::string relative = directory.lexically_relative(root).string();
    return !relative.empty() && !relative.starts_with("..");
  });
  if (!within) return {};  // the directory of a single file
  std::error_code problem;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, problem)) {
    if (tell_content) changed_.insert(entry.path());
    const bool is_directory = entry.is_directory(problem) && !entry.is_symlink(problem);
    if (is_directory && !skip_(entry.path())) TRY(add(entry.path(), tell_content));
  }
  return {};
}

Result<> FileWatch::watch_repository(const fs::path& path) {
  const fs::path repository = repository_of(path);
  if (repository.empty()) return {};
  const int descriptor = ::inotify_add_watch(inotify_.get(), repository.c_str(), kBegins | kEnds | IN_MASK_ADD | IN_ONLYDIR);
  if (descriptor < 0) return {};  // without it batches end when nothing happens for a while
  repositories_[descriptor] = repository;
  return {};
}

void FileWatch::take_in_lock(const fs::path& repository, uint32_t mask) {
  if ((mask & kBegins) != 0) locked_.insert(repository);
  if ((mask & kEnds) != 0) locked_.erase(repository);
}

// The kernel's queue overflowed: nobody knows what happened, so everything may have.
Result<> FileWatch::rescan() {
  const auto roots = roots_;
  std::erase_if(locked_, [](const fs::path& repository) { return !fs::exists(repository / kLock); });
  for (const fs::path& root : roots) {
    changed_.insert(root);
    if (fs::is_directory(root)) TRY(add(root, true));
  }
  return {};
}

Result<> FileWatch::read() {
  alignas(inotify_event) std::array<char, size_t{64} << 10> buffer;
  for (;;) {
    const ssize_t got = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return {};
    if (got < 0) return Error::from_errno(errno, "read", "inotify");
    for (size_t at = 0; at < static_cast<size_t>(got);) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += sizeof(inotify_event) + event->len;
      if ((event->mask & IN_Q_OVERFLOW) != 0) {
        TRY(rescan());
        continue;
      }
      if (const auto repository = repositories_.find(event->wd); repository != repositories_.end()) {
        if (event->len > 0 && std::string_view(event->name) == kLock) take_in_lock(repository->second, event->mask);
      }
      const auto directory = directories_.find(event->wd);
      if (directory == directories_.end()) continue;
      if ((event->mask & IN_IGNORED) != 0) {
        directories_.erase(directory);
        continue;
      }
      if (event->len == 0) continue;
      const fs::path path = directory->second / event->name;
      const bool is_directory = (event->mask & IN_ISDIR) != 0;
      if (is_directory && (event->mask & IN_ATTRIB) != 0) continue;
      changed_.insert(path);
      if (is_directory && (event->mask & (IN_CREATE | IN_MOVED_TO)) != 0 && !skip_(path)) TRY(add(path, true));
    }
  }
}

}  // namespace gantry::cli
