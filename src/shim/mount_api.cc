#include "shim/mount_api.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace gantry::shim {
namespace {

// The kernel explains a refused option in the context's own message queue.
std::string context_messages(int context) {
  char text[512];
  std::string all;
  for (int i = 0; i < 4; ++i) {
    ssize_t n = ::read(context, text, sizeof text);
    if (n <= 0) break;
    all += " (" + std::string(text, static_cast<size_t>(n)) + ")";
  }
  return all;
}

int open_resolved(int directory, const std::string& path, uint64_t flags, uint64_t resolve) {
  struct open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = resolve;
  for (int attempt = 0; attempt < 128; ++attempt) {
    int fd = static_cast<int>(::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how));
    // EAGAIN: something was renamed during the walk, so that the kernel cannot vouch for "..".
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return fd;
  }
  return -1;
}

std::string relative(const std::string& path) {
  size_t at = path.find_first_not_of('/');
  return at == std::string::npos ? "." : path.substr(at);
}

}  // namespace

Fd new_filesystem(const char* type, const FsOptions& options, uint64_t attributes) {
  Fd context(::fsopen(type, FSOPEN_CLOEXEC));
  check(static_cast<bool>(context), "fsopen", type);
  // Only a name, for /proc/mounts: programs look for it there.
  ::fsconfig(context.get(), FSCONFIG_SET_STRING, "source", type, 0);
  for (const auto& [key, value] : options) {
    int result = value.empty() ? ::fsconfig(context.get(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
                               : ::fsconfig(context.get(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0);
    if (result != 0) {
      std::string reason = errno_text(errno);
      fail(128, "mount " + std::string(type) + ": option " + key + (value.empty() ? "" : "=" + value) + ": " + reason +
                    context_messages(context.get()));
    }
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    std::string reason = errno_text(errno);
    fail(128, "mount " + std::string(type) + ": " + reason + context_messages(context.get()));
  }
  Fd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
  check(static_cast<bool>(mount), "fsmount", type);
  return mount;
}

Fd clone_tree(int directory, const char* path, bool recursive) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
  if (*path == 0) flags |= AT_EMPTY_PATH;
  return Fd(::open_tree(directory, path, flags));
}

void set_mount_attributes(int mount, uint64_t set, bool recursive, const std::string& what) {
  mount_attr attributes{};
  attributes.attr_set = set;
  unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  check(::mount_setattr(mount, "", flags, &attributes, sizeof attributes) == 0, "mount_setattr", what);
}

void set_propagation(int mount, uint64_t propagation, bool recursive, const std::string& what) {
  mount_attr attributes{};
  attributes.propagation = propagation;
  unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  check(::mount_setattr(mount, "", flags, &attributes, sizeof attributes) == 0, "mount_setattr", what);
}

void attach_mount(int mount, int target, const std::string& what) {
  check(::move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0, "mount on", what);
}

Fd open_in_root(int root, const std::string& path, uint64_t flags) {
  return Fd(open_resolved(root, relative(path), flags | O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS));
}

Fd make_in_root(int root, const std::string& path, NodeKind kind) {
  Fd found = open_in_root(root, path);
  if (found || errno != ENOENT) return found;
  std::vector<std::string> components = path_components(path);
  std::string walked;
  Fd parent(::fcntl(root, F_DUPFD_CLOEXEC, 3));
  for (size_t i = 0; i < components.size(); ++i) {
    walked += "/" + components[i];
    Fd next = open_in_root(root, walked);
    if (!next) {
      if (errno != ENOENT) return {};
      bool last = i + 1 == components.size();
      const char* name = components[i].c_str();
      if (last && kind == NodeKind::file) {
        Fd made(::openat(parent.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755));
        if (!made && errno != EEXIST) return {};
      } else if (::mkdirat(parent.get(), name, 0755) != 0 && errno != EEXIST) {
        return {};
      }
      // Opened where it was made, without following: a dangling symlink of that name is an error, not a way out.
      next = Fd(open_resolved(parent.get(), name, O_PATH | O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS));
      if (!next) return {};
    }
    parent = std::move(next);
  }
  return parent;
}

Fd top_directory(int root, const char* name) {
  check(::mkdirat(root, name, 0755) == 0 || errno == EEXIST, "mkdir", std::string("/") + name);
  Fd fd(::openat(root, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC));
  check(static_cast<bool>(fd), "open", std::string("/") + name);
  return fd;
}

std::vector<std::string> path_components(std::string_view path) {
  std::vector<std::string> components;
  while (!path.empty()) {
    size_t end = path.find('/');
    std::string_view piece = path.substr(0, end);
    path = end == std::string_view::npos ? std::string_view() : path.substr(end + 1);
    if (piece.empty() || piece == ".") continue;
    if (piece != "..") {
      components.emplace_back(piece);
    } else if (!components.empty()) {
      components.pop_back();
    }
  }
  return components;
}

std::string clean_path(std::string_view path) {
  std::string clean;
  for (const std::string& component : path_components(path)) clean += "/" + component;
  return clean.empty() ? "/" : clean;
}

bool is_on_filesystem(int fd, long magic) {
  struct statfs status {};
  return ::fstatfs(fd, &status) == 0 && static_cast<long>(status.f_type) == magic;
}

}  // namespace gantry::shim
