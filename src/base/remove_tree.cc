#include "base/remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/fd.h"

namespace gantry {
namespace {

bool is_dot(const char* name) { return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0; }

// Directories of a container may be nested deeper than we have descriptors and stack for.
constexpr int kDeepest = 64;

class Removal {
 public:
  bool remove_entry(int parent, const char* name, unsigned char type, int depth) {
    if (type == DT_DIR) return remove_directory(parent, name, depth);
    if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR) return false;
    return remove_directory(parent, name, depth);  // a filesystem that does not tell types
  }

 private:
  // Many directories are empty: it is tried before one is opened to see. What was moved to the top is found there in the end.
  bool remove_directory(int parent, const char* name, int depth) {
    while (::unlinkat(parent, name, AT_REMOVEDIR) != 0) {
      if (errno == ENOENT) return true;
      if (errno != ENOTEMPTY && errno != EEXIST) return false;
      if (depth == kDeepest) return move_to_top(parent, name);
      const Fd directory(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (depth == 0) top_ = directory.get();
      if (!directory || !empty(directory.get(), depth)) return false;
    }
    return true;
  }

  // A directory that loses entries while it is read may hide others: it is read again until it is empty.
  bool empty(int directory, int depth) {
    alignas(dirent64) char entries[2048];
    for (;;) {
      const long size = ::syscall(SYS_getdents64, directory, entries, sizeof entries);
      if (size <= 0) return size == 0;
      for (long at = 0; at < size;) {
        const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
        at += entry->d_reclen;
        if (!is_dot(entry->d_name) && !remove_entry(directory, entry->d_name, entry->d_type, depth + 1)) return false;
      }
    }
  }

  bool move_to_top(int parent, const char* name) {
    for (;;) {
      const std::string free_name = "removed-" + std::to_string(moved_++);
      if (::renameat2(parent, name, top_, free_name.c_str(), RENAME_NOREPLACE) == 0) return true;
      if (errno != EEXIST) return false;
    }
  }

  int top_ = -1;
  unsigned moved_ = 0;
};

}  // namespace

Result<> remove_tree(const std::string& path) {
  Removal removal;
  if (removal.remove_entry(AT_FDCWD, path.c_str(), DT_DIR, 0)) return {};
  if (errno == ENOTDIR && removal.remove_entry(AT_FDCWD, path.c_str(), DT_UNKNOWN, 0)) return {};
  return Error::from_errno(errno, "remove", path);
}

}  // namespace gantry
