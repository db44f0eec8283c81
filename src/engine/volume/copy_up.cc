#include "engine/volume/copy_up.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>
#include <map>

#include "base/fault.h"
#include "base/fd.h"
#include "base/remove_tree.h"
#include "base/scope_exit.h"

namespace gantry::engine {
namespace {

constexpr int kMaximumDepth = 256;  // of nested directories: each costs a descriptor and a stack frame

Result<Fd> open_in_root(int root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const long fd = syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
  if (fd < 0) return Error::from_errno(errno, "openat2", path);
  return Fd(static_cast<int>(fd));
}

// The image's merged tree as a mount that hangs nowhere: it goes when the descriptor is closed.
Result<Fd> open_merged(const std::vector<std::filesystem::path>& layers) {
  // Overlay wants two lower directories if there is no upper one; a lone layer is its own merged tree.
  if (layers.size() == 1) return open_file(layers[0], O_PATH | O_DIRECTORY);
  Fd context(static_cast<int>(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)));
  if (!context) return Error::from_errno(errno, "fsopen", "overlay");
  for (const std::filesystem::path& layer : layers) {
    if (syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_STRING, "lowerdir+", layer.c_str(), 0) != 0) {
      return Error::from_errno(errno, "fsconfig lowerdir+", layer.string());
    }
  }
  if (syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return Error::from_errno(errno, "fsconfig", "overlay of the image's layers");
  }
  Fd mount(static_cast<int>(syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY)));
  if (!mount) return Error::from_errno(errno, "fsmount", "overlay");
  return mount;
}

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};
using OpenDirectory = std::unique_ptr<DIR, CloseDirectory>;

Result<OpenDirectory> list_directory(int fd) {
  const int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);  // its own position in the listing
  if (own < 0) return Error::from_errno(errno, "openat");
  DIR* directory = fdopendir(own);
  if (directory == nullptr) {
    const int code = errno;
    close(own);
    return Error::from_errno(code, "fdopendir");
  }
  return OpenDirectory(directory);
}

bool is_dot(const char* name) { return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0; }

Result<bool> is_empty(int fd) {
  OpenDirectory directory = TRY(list_directory(fd));
  while (const dirent* entry = readdir(directory.get())) {
    if (!is_dot(entry->d_name)) return false;
  }
  return true;
}

class TreeCopy {
 public:
  Result<> directory(int from, int to, int depth);

 private:
  Result<> entry(int from, int to, const char* name, int depth);
  Result<> file(int from, int to, const char* name, const struct stat& status);
  Result<> attributes(int from, int to, const char* name, const struct stat& status);

  std::map<std::pair<dev_t, ino_t>, Fd> linked_;  // files with several names, by their copy
};

Result<> copy_xattrs(int from, int to, const char* name) {
  // Extended attributes of the entry itself, without following it: through /proc/self/fd of its directory.
  const std::string source = "/proc/self/fd/" + std::to_string(from) + "/" + name;
  const std::string target = "/proc/self/fd/" + std::to_string(to) + "/" + name;
  std::string names(65536, '\0');
  const ssize_t size = llistxattr(source.c_str(), names.data(), names.size());
  if (size <= 0) return {};  // none, or not supported here
  std::string value(65536, '\0');
  for (const char* at = names.data(); at < names.data() + size; at += std::strlen(at) + 1) {
    if (std::strncmp(at, "trusted.overlay.", 16) == 0) continue;
    const ssize_t length = lgetxattr(source.c_str(), at, value.data(), value.size());
    if (length < 0) continue;
    if (lsetxattr(target.c_str(), at, value.data(), static_cast<size_t>(length), 0) != 0 && errno != EOPNOTSUPP) {
      return Error::from_errno(errno, "setxattr " + std::string(at), name);
    }
  }
  return {};
}

Result<> TreeCopy::attributes(int from, int to, const char* name, const struct stat& status) {
  if (fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return Error::from_errno(errno, "chown", name);
  }
  // After chown, which clears set-user-id bits.
  if (!S_ISLNK(status.st_mode) && fchmodat(to, name, status.st_mode & 07777, 0) != 0) {
    return Error::from_errno(errno, "chmod", name);
  }
  TRY(copy_xattrs(from, to, name));
  const timespec times[2] = {status.st_atim, status.st_mtim};
  if (utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) != 0) return Error::from_errno(errno, "utimensat", name);
  return {};
}

Result<> TreeCopy::file(int from, int to, const char* name, const struct stat& status) {
  Fd source = TRY(open_at(from, name, O_RDONLY | O_NOFOLLOW));
  Fd target = TRY(open_at(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  // Shares the blocks where the filesystem can; else the kernel copies.
  if (ioctl(target.get(), FICLONE, source.get()) == 0) return {};
  off_t left = status.st_size;
  while (left > 0) {
    const ssize_t copied =
        copy_file_range(source.get(), nullptr, target.get(), nullptr, static_cast<size_t>(left), 0);
    if (copied == 0) break;
    if (copied < 0) {
      if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS) {
        return Error::from_errno(errno, "copy", name);
      }
      const std::string rest = TRY(read_all(source.get(), SIZE_MAX));
      return write_all(target.get(), rest).within(name);
    }
    left -= copied;
  }
  return {};
}

Result<> TreeCopy::entry(int from, int to, const char* name, int depth) {
  struct stat status {};
  if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return Error::from_errno(errno, "stat", name);
  if (S_ISDIR(status.st_mode)) {
    if (mkdirat(to, name, 0700) != 0) return Error::from_errno(errno, "mkdir", name);
    Fd inner_from = TRY(open_at(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    Fd inner_to = TRY(open_at(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY(directory(inner_from.get(), inner_to.get(), depth + 1));
    return attributes(from, to, name, status);  // last, because the content changes its time
  }
  const bool has_names = status.st_nlink > 1;
  const auto key = std::pair(status.st_dev, status.st_ino);
  if (auto known = linked_.find(key); has_names && known != linked_.end()) {
    const std::string existing = "/proc/self/fd/" + std::to_string(known->second.get());
    if (linkat(AT_FDCWD, existing.c_str(), to, name, AT_SYMLINK_FOLLOW) != 0) {
      return Error::from_errno(errno, "link", name);
    }
    return {};
  }
  if (S_ISREG(status.st_mode)) {
    TRY(file(from, to, name, status));
  } else if (S_ISLNK(status.st_mode)) {
    std::string text(PATH_MAX, '\0');
    const ssize_t length = readlinkat(from, name, text.data(), text.size() - 1);
    if (length < 0) return Error::from_errno(errno, "readlink", name);
    text.resize(static_cast<size_t>(length));
    if (symlinkat(text.c_str(), to, name) != 0) return Error::from_errno(errno, "symlink", name);
  } else if (!S_ISSOCK(status.st_mode)) {  // a socket means nothing without its program
    if (S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0)) return {};  // a whiteout in a lone layer
    if (mknodat(to, name, status.st_mode, status.st_rdev) != 0) return Error::from_errno(errno, "mknod", name);
  } else {
    return {};
  }
  if (has_names) linked_[key] = TRY(open_at(to, name, O_PATH | O_NOFOLLOW));
  return attributes(from, to, name, status);
}

Result<> TreeCopy::directory(int from, int to, int depth) {
  if (depth > kMaximumDepth) return internal_error("directories nested more than 256 deep");
  OpenDirectory listing = TRY(list_directory(from));
  while (const dirent* item = readdir(listing.get())) {
    if (!is_dot(item->d_name)) TRY(entry(from, to, item->d_name, depth));
  }
  return {};
}

Result<> take_owner_and_mode(int from, int to) {
  struct stat status {};
  if (fstat(from, &status) != 0) return Error::from_errno(errno, "fstat");
  if (fchown(to, status.st_uid, status.st_gid) != 0) return Error::from_errno(errno, "fchown");
  if (fchmod(to, status.st_mode & 07777) != 0) return Error::from_errno(errno, "fchmod");
  return {};
}

}  // namespace

Result<> copy_up(const std::vector<std::filesystem::path>& layers, const std::string& target,
                 const std::filesystem::path& data) {
  const Fd merged = TRY(open_merged(layers));
  const auto directory = open_in_root(merged.get(), target, O_RDONLY | O_DIRECTORY);
  if (!directory.ok()) {
    const int code = directory.error().errno_value();
    if (code == ENOENT || code == ENOTDIR || code == ELOOP) return {};
    return Error(directory.error());
  }
  const Fd own = TRY(open_file(data, O_RDONLY | O_DIRECTORY));
  if (!TRY(is_empty(own.get()))) return {};

  const std::filesystem::path fresh = data.string() + ".new";
  TRY(remove_tree(fresh));
  if (TRY(is_empty(directory->get()))) return take_owner_and_mode(directory->get(), own.get());

  if (mkdir(fresh.c_str(), 0700) != 0) return Error::from_errno(errno, "mkdir", fresh.string());
  ScopeExit undo([&] { (void)remove_tree(fresh).ok(); });
  const Fd copy = TRY(open_file(fresh, O_RDONLY | O_DIRECTORY));
  TRY(TreeCopy().directory(directory->get(), copy.get(), 0).within("copying " + target + " of the image to a volume"));
  TRY(take_owner_and_mode(directory->get(), copy.get()));
  fault_point("volume copied");
  if (rename(fresh.c_str(), data.c_str()) != 0) return Error::from_errno(errno, "rename", fresh.string());
  undo.release();
  return {};
}

}  // namespace gantry::engine
