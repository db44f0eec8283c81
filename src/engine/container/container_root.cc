#include "engine/container/container_root.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "base/beneath.h"
#include "base/strings.h"

namespace gantry::engine {
namespace {

// Runs `work` on a thread of its own: one that has changed its namespaces is of no use for anything else.
template <class T, class Work>
Result<T> on_own_thread(Work work) {
  Result<T> result = internal_error("no thread to work on");
  std::thread([&] { result = work(); }).join();
  return result;
}

Result<Fd> as_directory(int mount) {
  const int fd = ::openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Error::from_errno(errno, "open", "the container's root");
  return Fd(fd);
}

Result<Fd> clone_tree(int directory, const std::string& path, bool recursive) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (path.empty() ? AT_EMPTY_PATH : 0);
  if (recursive) flags |= AT_RECURSIVE;
  const int fd = ::open_tree(directory, path.c_str(), flags);
  if (fd < 0) return Error::from_errno(errno, "open_tree", path);
  return Fd(fd);
}

// The process's directory in /proc, if it is one of the container: numbers of processes are used again.
Result<Fd> open_process(const RootSource& source) {
  Fd process = TRY(open_file("/proc/" + std::to_string(source.pid), O_PATH | O_DIRECTORY));
  const Fd file = TRY(open_at(process.get(), "cgroup", O_RDONLY));
  const std::string groups = TRY(read_all(file.get(), 1 << 20));
  const bool known = groups.find(source.id.str()) != std::string::npos;
  // Without cgroups nothing tells; then the engine's word has to do.
  const bool untold = groups.find("gantry-") == std::string::npos;
  if (!known && !untold) return conflict("container " + source.id.str() + " is not running");
  return process;
}

Result<Fd> overlay(const RootSource& source) {
  Fd context(::fsopen("overlay", FSOPEN_CLOEXEC));
  if (!context) return Error::from_errno(errno, "fsopen", "overlay");
  const auto set = [&](const char* key, const std::string& value) {
    return ::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0;
  };
  const auto failed = [](const std::string& what) { return Error::from_errno(errno, "overlay", what); };
  (void)set("source", "overlay");
  // One layer a call where the kernel can (6.5): then neither a page nor colons limit them.
  if (set("lowerdir+", source.layers.front().native())) {
    for (size_t i = 1; i < source.layers.size(); ++i) {
      if (!set("lowerdir+", source.layers[i].native())) return failed(source.layers[i].native());
    }
  } else {
    std::string all;
    for (const std::filesystem::path& layer : source.layers) all += (all.empty() ? "" : ":") + layer.native();
    if (!set("lowerdir", all)) return failed("layers");
  }
  if (!set("upperdir", source.upper().native())) return failed(source.upper().native());
  if (!set("workdir", (source.directory / "work").native())) return failed("workdir");
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return failed(source.id.str());
  Fd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
  if (!mount) return Error::from_errno(errno, "fsmount", "overlay");
  return mount;
}

Result<> attach(int mount, int target, const std::string& what) {
  if (::move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0) return {};
  return Error::from_errno(errno, "mount", what);
}

Result<bool> is_directory(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Error::from_errno(errno, "fstat");
  return S_ISDIR(status.st_mode);
}

// The place of a mount, made where it is missing, one name at a time below descriptors.
Result<Fd> open_target(int root, const std::string& target, bool directory) {
  Result<Fd> found = open_in_root(root, target, O_PATH);
  if (found.ok() || found.error().errno_value() != ENOENT) return found;
  std::string path = "/";
  const std::vector<std::string> parts = split(target, '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].empty()) continue;
    const Fd parent = TRY(open_in_root(root, path, O_PATH | O_DIRECTORY));
    path += "/" + parts[i];
    const bool last = i + 1 == parts.size();
    const char* name = parts[i].c_str();
    const int made = directory || !last ? ::mkdirat(parent.get(), name, 0755) : ::mknodat(parent.get(), name, S_IFREG | 0644, 0);
    if (made != 0 && errno != EEXIST) return Error::from_errno(errno, "make the mount point", target);
  }
  return open_in_root(root, target, O_PATH);
}

Result<Fd> open_bind(const RootSource::Bind& bind) {
  if (bind.volume.own_filesystem) TRY(mount_volume(bind.volume));
  Fd tree;
  if (bind.subpath.empty()) {
    tree = TRY(clone_tree(AT_FDCWD, bind.source.native(), bind.recursive));
  } else {
    const Fd base = TRY(open_file(bind.source, O_PATH | O_DIRECTORY));
    const Fd inside = TRY(open_in_root(base.get(), bind.subpath, O_PATH));
    tree = TRY(clone_tree(inside.get(), "", bind.recursive));
  }
  if (bind.read_only) {
    struct mount_attr attributes {};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    const unsigned flags = AT_EMPTY_PATH | (bind.recursive ? AT_RECURSIVE : 0);
    if (::mount_setattr(tree.get(), "", flags, &attributes, sizeof attributes) != 0) {
      return Error::from_errno(errno, "mount_setattr", bind.target);
    }
  }
  return tree;
}

struct Assembled {
  Fd space;
  Fd root;
};

// In a new mount namespace: the overlay over the container's own directory (a place that surely exists), and the
// binds in it.
Result<Assembled> assemble(const RootSource& source) {
  if (::unshare(CLONE_NEWNS) != 0) return Error::from_errno(errno, "unshare", "mount namespace");
  if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return Error::from_errno(errno, "mount", "/");
  std::vector<std::pair<const RootSource::Bind*, Fd>> trees;
  for (const RootSource::Bind& bind : source.binds) {
    Result<Fd> tree = open_bind(bind);
    // A source that is gone keeps nobody from the rest; the start will say so.
    if (!tree.ok() && tree.error().errno_value() == ENOENT) continue;
    if (!tree.ok()) return std::move(tree).error();
    trees.emplace_back(&bind, *std::move(tree));
  }
  const Fd mount = TRY(overlay(source));
  const Fd place = TRY(open_file(source.directory, O_PATH | O_DIRECTORY));
  TRY(attach(mount.get(), place.get(), source.directory.native()));
  // Every container has these files; the sandbox makes their places at the first start.
  for (const char* name : {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}) {
    (void)open_target(mount.get(), name, false).ok();  // an image whose /etc is a file has none
  }
  for (const auto& [bind, tree] : trees) {
    const bool directory = TRY(is_directory(tree.get()));
    const Fd target = TRY(open_target(mount.get(), bind->target, directory));
    TRY(attach(tree.get(), target.get(), bind->target));
  }
  Assembled made;
  made.root = TRY(as_directory(mount.get()));
  made.space = TRY(open_file("/proc/thread-self/ns/mnt", O_RDONLY));
  return made;
}

// The running container's root mount without what is mounted on it: only a member of its namespace may copy it.
Result<Fd> bare_root_of(int process) {
  const Fd space = TRY(open_at(process, "ns/mnt", O_RDONLY));
  if (::unshare(CLONE_FS) != 0) return Error::from_errno(errno, "unshare", "file system attributes");
  if (::setns(space.get(), CLONE_NEWNS) != 0) return Error::from_errno(errno, "setns", "the container's mounts");
  return clone_tree(AT_FDCWD, "/", false);
}

}  // namespace

Result<ContainerRoot> ContainerRoot::open(const RootSource& source) {
  ContainerRoot opened;
  if (source.pid != 0) {
    const Fd process = TRY(open_process(source));
    opened.root_ = TRY(open_at(process.get(), "root", O_RDONLY | O_DIRECTORY));
    return opened;
  }
  Assembled made = TRY(on_own_thread<Assembled>([&] { return assemble(source); }));
  opened.namespace_ = std::move(made.space);
  opened.root_ = std::move(made.root);
  return opened;
}

Result<ContainerRoot> ContainerRoot::open_without_mounts(const RootSource& source) {
  ContainerRoot opened;
  if (source.pid != 0) {
    const Fd process = TRY(open_process(source));
    const Fd mount = TRY(on_own_thread<Fd>([&] { return bare_root_of(process.get()); }));
    opened.root_ = TRY(as_directory(mount.get()));
    return opened;
  }
  const Fd mount = TRY(overlay(source));
  opened.root_ = TRY(as_directory(mount.get()));
  return opened;
}

}  // namespace gantry::engine
