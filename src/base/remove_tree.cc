#include "base/remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/fd.h"

namespace gantry {
namespace {

bool is_dot(const char* name) { return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0; }

bool remove_entry(int parent, const char* name, unsigned char type);

// What is in it. A directory that loses entries while it is read may hide others: it is read again until it is empty.
bool empty_directory(int directory) {
  alignas(dirent64) char entries[2048];
  for (;;) {
    const long size = ::syscall(SYS_getdents64, directory, entries, sizeof entries);
    if (size <= 0) return size == 0;
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
      at += entry->d_reclen;
      if (!is_dot(entry->d_name) && !remove_entry(directory, entry->d_name, entry->d_type)) return false;
    }
  }
}

// Many directories are empty: it is tried before one is opened to see.
bool remove_directory(int parent, const char* name) {
  while (::unlinkat(parent, name, AT_REMOVEDIR) != 0) {
    if (errno == ENOENT) return true;
    if (errno != ENOTEMPTY && errno != EEXIST) return false;
    const Fd directory(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory || !empty_directory(directory.get())) return false;
  }
  return true;
}

bool remove_entry(int parent, const char* name, unsigned char type) {
  if (type == DT_DIR) return remove_directory(parent, name);
  if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return true;
  if (errno != EISDIR) return false;
  return remove_directory(parent, name);  // a filesystem that does not tell types
}

}  // namespace

Result<> remove_tree(const std::string& path) {
  if (remove_entry(AT_FDCWD, path.c_str(), DT_DIR)) return {};
  if (errno == ENOTDIR && remove_entry(AT_FDCWD, path.c_str(), DT_UNKNOWN)) return {};
  return Error::from_errno(errno, "remove", path);
}

}  // namespace gantry
