#include "engine/image/file_copy.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "base/remove_tree.h"
#include "engine/image/byte_source.h"

namespace gantry::engine {
namespace {

constexpr off_t kSmall = 64 * 1024;  // cheaper to read and write than to have the kernel copy

// Runs `create` and, when the name is taken, once more after removing it.
template <class Create>
Result<> replacing(int directory, const std::string& name, const char* call, Create create) {
  if (create() == 0) return {};
  if (errno == EEXIST) {
    TRY(remove_at(directory, name));
    if (create() == 0) return {};
  }
  return Error::from_errno(errno, call, name);
}

// A file that one buffer holds; or more, if it has grown meanwhile.
Result<uint64_t> copy_small(int from, int to) {
  char buffer[kSmall + 1];
  uint64_t copied = 0;
  for (size_t got = sizeof buffer; got == sizeof buffer;) {
    got = TRY(FdSource(from).read(buffer));
    TRY(write_all(to, std::string_view(buffer, got)));
    copied += got;
  }
  return copied;
}

Result<> set_xattrs(int fd, const std::string& name, const Xattrs& xattrs) {
  for (const auto& [key, value] : xattrs) {
    if (!is_kept_xattr(key)) continue;
    if (fsetxattr(fd, key.c_str(), value.data(), value.size(), 0) == 0) continue;
    const int error = errno;
    if (error != ENOTSUP) return Error::from_errno(error, "setxattr " + key, name);
  }
  return {};
}

}  // namespace

bool is_kept_xattr(std::string_view name) { return name.starts_with("user.") || name == "security.capability"; }

FileAttributes FileAttributes::without_xattrs(const struct stat& status) {
  return {.mode = status.st_mode & 07777,
          .uid = status.st_uid,
          .gid = status.st_gid,
          .modified = status.st_mtim,
          .xattrs = {}};
}

Result<FileAttributes> FileAttributes::of(const LayerView::Node& node) {
  FileAttributes attributes = without_xattrs(node.status());
  attributes.xattrs = TRY(LayerView::xattrs(node));
  return attributes;
}

Result<> remove_at(int directory, const std::string& name) {
  if (unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return Error::from_errno(errno, "unlinkat", name);
  return remove_tree(fd_path(directory) + "/" + name);
}

Result<Fd> create_file_at(int directory, const std::string& name) {
  Fd file;
  TRY(replacing(directory, name, "openat", [&] {
    file = Fd(openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    return file ? 0 : -1;
  }));
  return file;
}

Result<> create_symlink_at(int directory, const std::string& name, const std::string& target) {
  return replacing(directory, name, "symlinkat", [&] { return symlinkat(target.c_str(), directory, name.c_str()); });
}

Result<> create_node_at(int directory, const std::string& name, mode_t type, dev_t device) {
  return replacing(directory, name, "mknodat", [&] { return mknodat(directory, name.c_str(), type | 0600, device); });
}

Result<> set_attributes(int fd, const std::string& path, const FileAttributes& attributes) {
  if (fchown(fd, attributes.uid, attributes.gid) != 0) return Error::from_errno(errno, "fchown", path);
  if (fchmod(fd, attributes.mode) != 0) return Error::from_errno(errno, "fchmod", path);
  TRY(set_xattrs(fd, path, attributes.xattrs));
  const timespec times[2] = {attributes.modified, attributes.modified};
  if (futimens(fd, times) != 0) return Error::from_errno(errno, "futimens", path);
  return {};
}

Result<> set_attributes_at(int directory, const std::string& name, const FileAttributes& attributes) {
  struct stat status {};
  if (fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return Error::from_errno(errno, "fstatat", name);
  }
  if (fchownat(directory, name.c_str(), attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return Error::from_errno(errno, "fchownat", name);
  }
  // A name just made by us, no symlink: nobody else writes here.
  if (!S_ISLNK(status.st_mode) && fchmodat(directory, name.c_str(), attributes.mode, 0) != 0) {
    return Error::from_errno(errno, "fchmodat", name);
  }
  const timespec times[2] = {attributes.modified, attributes.modified};
  if (utimensat(directory, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return Error::from_errno(errno, "utimensat", name);
  }
  return {};
}

Result<uint64_t> copy_content(int from, int to) {
  struct stat status {};
  if (fstat(from, &status) != 0) return Error::from_errno(errno, "fstat");
  if (status.st_size <= kSmall) return copy_small(from, to);
  if (ioctl(to, FICLONE, from) == 0) return static_cast<uint64_t>(status.st_size);
  uint64_t copied = 0;
  while (true) {
    const ssize_t got = copy_file_range(from, nullptr, to, nullptr, size_t{1} << 30, 0);
    if (got == 0) break;
    if (got > 0) {
      copied += static_cast<uint64_t>(got);
    } else if (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS) {
      FdSource source(from);  // goes on where the kernel stopped
      return copied + TRY(copy_to_fd(source, to));
    } else if (errno != EINTR) {
      return Error::from_errno(errno, "copy_file_range");
    }
  }
  return copied;
}

Result<uint64_t> copy_node(const LayerView& view, const LayerView::Node& node, int directory, const std::string& name,
                           const FileAttributes& attributes) {
  if (node.is_symlink()) {
    TRY(create_symlink_at(directory, name, TRY(view.read_link(node))));
  } else if (node.is_file()) {
    const Fd from = TRY(view.open_file(node));
    const Fd to = TRY(create_file_at(directory, name));
    const uint64_t bytes = TRY(copy_content(from.get(), to.get()).within(node.path()));
    TRY(set_attributes(to.get(), name, attributes));
    return bytes;
  } else {
    TRY(create_node_at(directory, name, node.status().st_mode & S_IFMT, node.status().st_rdev));
  }
  TRY(set_attributes_at(directory, name, attributes));
  return uint64_t{0};
}

}  // namespace gantry::engine
