#include "shim/rootfs.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <utility>

#include "shim/mount_api.h"

namespace gantry::shim {
namespace {

constexpr uint64_t kNoSuid = MOUNT_ATTR_NOSUID;
constexpr uint64_t kNoDev = MOUNT_ATTR_NODEV;
constexpr uint64_t kNoExec = MOUNT_ATTR_NOEXEC;
constexpr uint64_t kReadOnly = MOUNT_ATTR_RDONLY;

// What a container may have mounted over files of procfs: things like lxcfs, nothing that changes the kernel.
constexpr const char* kProcTargets[] = {"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat",
                                        "/proc/swaps",   "/proc/uptime",    "/proc/loadavg", "/proc/slabinfo"};

uint64_t propagation_flag(Propagation propagation) {
  switch (propagation) {
    case Propagation::rshared:
    case Propagation::shared:
      return MS_SHARED;
    case Propagation::rslave:
    case Propagation::slave:
      return MS_SLAVE;
    case Propagation::rprivate:
    case Propagation::priv:
      break;
  }
  return MS_PRIVATE;
}

bool propagates_recursively(Propagation propagation) {
  return propagation == Propagation::rprivate || propagation == Propagation::rshared ||
         propagation == Propagation::rslave;
}

bool is_directory(int fd) {
  struct stat status {};
  check(::fstat(fd, &status) == 0, "fstat");
  return S_ISDIR(status.st_mode);
}

bool is_null_device(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}

struct TmpfsOptions {
  FsOptions options;
  uint64_t attributes = 0;
  bool has_mode = false;
};

struct MountFlag {
  const char* name;
  uint64_t set;
  uint64_t clear;
};
constexpr MountFlag kMountFlags[] = {
    {"ro", kReadOnly, 0},
    {"rw", 0, kReadOnly},
    {"nosuid", kNoSuid, 0},
    {"suid", 0, kNoSuid},
    {"nodev", kNoDev, 0},
    {"dev", 0, kNoDev},
    {"noexec", kNoExec, 0},
    {"exec", 0, kNoExec},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"relatime", 0, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"async", 0, 0},
    {"defaults", 0, 0},
};

// "size=64m,mode=1777,noexec": flags of the mount apart from the file system's own options.
TmpfsOptions parse_tmpfs_options(std::string_view text) {
  TmpfsOptions parsed;
  while (!text.empty()) {
    size_t end = text.find(',');
    std::string_view option = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (option.empty()) continue;
    bool is_flag = false;
    for (const MountFlag& flag : kMountFlags) {
      if (option != flag.name) continue;
      parsed.attributes = (parsed.attributes & ~flag.clear) | flag.set;
      is_flag = true;
    }
    if (is_flag) continue;
    size_t equals = option.find('=');
    std::string key(option.substr(0, equals));
    if (key == "mode") parsed.has_mode = true;
    parsed.options.emplace_back(key,
                                equals == std::string_view::npos ? "" : std::string(option.substr(equals + 1)));
  }
  return parsed;
}

std::string octal(unsigned mode) {
  std::string digits;
  for (int shift = 9; shift >= 0; shift -= 3) digits += static_cast<char>('0' + ((mode >> shift) & 7));
  return digits;
}

[[noreturn]] void fail_mount(const MountEntry& entry, const std::string& reason, int exit_code) {
  fail(exit_code, "error mounting \"" + entry.source + "\" to rootfs at \"" + entry.target + "\": " + reason);
}

int exit_code_for(int error) { return error == ENOENT || error == ENOTDIR ? 127 : 128; }

Fd open_source(const MountEntry& entry) {
  Fd mount;
  if (entry.subpath.empty()) {
    mount = clone_tree(AT_FDCWD, entry.source.c_str(), entry.recursive != 0);
  } else {
    Fd base(::open(entry.source.c_str(), O_PATH | O_CLOEXEC));
    Fd inside = base ? open_in_root(base.get(), entry.subpath) : Fd();
    if (inside) mount = clone_tree(inside.get(), "", entry.recursive != 0);
  }
  if (mount) return mount;
  int error = errno;
  fail_mount(entry, errno_text(error), exit_code_for(error));
}

// What is mounted below the source stays writable only where it was asked for, or where the kernel knows no other way
// (mount_setattr came with Linux 5.12; ours is newer, but a filter around us may take it away).
void make_source_read_only(const MountEntry& entry, int source) {
  bool deep = entry.recursive != 0 && entry.submounts != ReadOnlySubmounts::no;
  set_mount_attributes(source, kReadOnly, deep, entry.target);
}

Fd shm_of_process(int pid) {
  std::string proc = "/proc/" + text_of(pid) + "/ns/mnt";
  Fd own(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  Fd other(::open(proc.c_str(), O_RDONLY | O_CLOEXEC));
  check(own && other, "open", proc);
  // A tree can be cloned only by a member of its mount namespace.
  check(::setns(other.get(), CLONE_NEWNS) == 0, "join the mount namespace of process", text_of(pid));
  Fd shm = clone_tree(AT_FDCWD, "/dev/shm", false);
  check(::setns(own.get(), CLONE_NEWNS) == 0, "return to the own mount namespace");
  return shm;
}

// "lowerdir+" takes one layer a call, so neither a page nor colons limit them. Before Linux 6.5: one text.
Fd new_overlay(const Launch& launch) {
  Fd context(::fsopen("overlay", FSOPEN_CLOEXEC));
  check(static_cast<bool>(context), "fsopen overlay");
  auto set = [&](const char* key, const std::string& value) {
    return ::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0;
  };
  set("source", "overlay");
  bool one_by_one = set("lowerdir+", launch.layers[0]);
  if (one_by_one) {
    for (size_t i = 1; i < launch.layers.size(); ++i) check(set("lowerdir+", launch.layers[i]), "overlay layer");
  } else {
    std::string all;
    for (const std::string& layer : launch.layers) all += (all.empty() ? "" : ":") + layer;
    check(set("lowerdir", all), "overlay layers");
  }
  check(set("upperdir", launch.upper), "overlay upperdir", launch.upper);
  check(set("workdir", launch.work), "overlay workdir", launch.work);
  check(::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0, "mount overlay on", launch.upper);
  Fd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
  check(static_cast<bool>(mount), "fsmount overlay");
  return mount;
}

}  // namespace

bool Rootfs::replaced(const char* target) const {
  for (const MountEntry& entry : launch_.mounts) {
    if (clean_path(entry.target) == target) return true;
  }
  return false;
}

void Rootfs::build() {
  ::umask(0);
  open_sources();
  // What the host mounts later may appear below our binds if they ask for it; nothing of ours appears there.
  check(::mount("", "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0, "make the mounts slaves of the host's");
  mount_overlay();
  mount_proc();
  mount_dev();
  mount_sys();
  mount_cgroup();
  if (dev_) mount_dev_children();
  for (size_t i = 0; i < launch_.mounts.size(); ++i) mount_user(i);
  make_working_directory();
}

// Here and not by the program's user: it belongs to root, and a read-only root is still writable now.
void Rootfs::make_working_directory() {
  const std::string& path = launch_.program.working_dir;
  Fd made = make_in_root(root_.get(), path, NodeKind::directory);
  if (made && is_directory(made.get())) return;
  if (made || errno == ENOTDIR || errno == EEXIST) fail(128, "Cannot mkdir: " + path + " is not a directory");
  fail_errno("mkdir " + path);
}

// Before the host's mounts become slaves: "shared" must stay what it is on the host.
void Rootfs::open_sources() {
  host_null_ = Fd(::open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC));
  check(host_null_ && is_null_device(host_null_.get()), "open /dev/null of the host");
  namespace_ = Fd(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  check(static_cast<bool>(namespace_), "open", "/proc/self/ns/mnt");
  if (launch_.ipc.kind == NamespaceKind::host) host_shm_ = clone_tree(AT_FDCWD, "/dev/shm", false);
  if (launch_.ipc.kind == NamespaceKind::of_process) host_shm_ = shm_of_process(launch_.ipc.pid);
  for (const MountEntry& entry : launch_.mounts) {
    if (entry.kind != MountKind::bind) {
      sources_.emplace_back();
      continue;
    }
    Fd source = open_source(entry);
    set_propagation(source.get(), propagation_flag(entry.propagation), propagates_recursively(entry.propagation),
                    entry.target);
    if (entry.read_only != 0) make_source_read_only(entry, source.get());
    sources_.push_back(std::move(source));
  }
}

void Rootfs::mount_overlay() {
  root_ = new_overlay(launch_);
  // pivot_root wants a mount point in our namespace; the run directory is one that surely exists.
  Fd place(::open(launch_.run_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  check(static_cast<bool>(place), "open", launch_.run_dir);
  attach_mount(root_.get(), place.get(), launch_.run_dir);
}

void Rootfs::mount_proc() {
  Fd proc = new_filesystem("proc", {}, kNoSuid | kNoDev | kNoExec);
  write_sysctls(proc.get());
  if (replaced("/proc")) return;
  attach_mount(proc.get(), top_directory(root_.get(), "proc").get(), "/proc");
}

// Through a procfs that was never visible to the container, so nothing can be redirected (CVE-2025-52881).
void Rootfs::write_sysctls(int proc) {
  for (const Setting& setting : launch_.sysctls) {
    // In sysctl(8)'s way of writing, a "/" stands for a dot in an interface's name.
    std::string path = "sys/";
    for (char c : setting.name) path += c == '.' ? '/' : c == '/' ? '.' : c;
    Fd checked = open_in_root(proc, path, O_NOFOLLOW);
    Fd file(checked ? ::openat(proc, path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC) : -1);
    bool ok = file && is_on_filesystem(file.get(), PROC_SUPER_MAGIC) && write_whole(file.get(), setting.value);
    if (!ok) fail_errno("sysctl " + setting.name + "=" + setting.value);
  }
}

void Rootfs::mount_dev() {
  if (replaced("/dev")) return;
  dev_ = new_filesystem("tmpfs", {{"mode", "755"}, {"size", "65536k"}}, kNoSuid | MOUNT_ATTR_STRICTATIME);
  int dev = dev_.get();
  constexpr struct {
    const char* name;
    unsigned major, minor;
  } kNodes[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
  for (const auto& node : kNodes) {
    check(::mknodat(dev, node.name, S_IFCHR | 0666, makedev(node.major, node.minor)) == 0, "mknod /dev", node.name);
  }
  constexpr const char* kLinks[][2] = {{"pts/ptmx", "ptmx"},
                                       {"/proc/self/fd", "fd"},
                                       {"/proc/self/fd/0", "stdin"},
                                       {"/proc/self/fd/1", "stdout"},
                                       {"/proc/self/fd/2", "stderr"}};
  for (const auto& link : kLinks) check(::symlinkat(link[0], dev, link[1]) == 0, "symlink /dev", link[1]);
  if (::access("/proc/kcore", F_OK) == 0) check(::symlinkat("/proc/kcore", dev, "core") == 0, "symlink /dev/core");
  for (const char* name : {"pts", "mqueue", "shm"}) {
    if (launch_.no_shm != 0 && std::string_view(name) == "shm") continue;
    check(::mkdirat(dev, name, 0755) == 0, "mkdir /dev", name);
  }
  for (const DeviceNode& node : launch_.devices) make_device(dev, node);
  attach_mount(dev, top_directory(root_.get(), "dev").get(), "/dev");
}

void Rootfs::make_device(int dev, const DeviceNode& node) {
  std::vector<std::string> components = path_components(node.path);
  if (components.size() < 2 || components[0] != "dev") {
    fail(128, "device " + node.path + ": the path in the container must be below /dev");
  }
  Fd parent(::fcntl(dev, F_DUPFD_CLOEXEC, 3));
  for (size_t i = 1; i + 1 < components.size(); ++i) {
    const char* name = components[i].c_str();
    check(::mkdirat(parent.get(), name, 0755) == 0 || errno == EEXIST, "mkdir for device", node.path);
    parent = Fd(::openat(parent.get(), name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    check(static_cast<bool>(parent), "open directory of device", node.path);
  }
  const char* name = components.back().c_str();
  if (::mknodat(parent.get(), name, node.mode, makedev(node.major, node.minor)) != 0) {
    if (errno == EEXIST) return;  // one of the standard nodes
    fail_errno("mknod " + node.path);
  }
  check(::fchownat(parent.get(), name, node.uid, node.gid, AT_SYMLINK_NOFOLLOW) == 0, "chown", node.path);
}

void Rootfs::mount_dev_children() {
  auto target = [&](const char* name) {
    Fd fd(::openat(dev_.get(), name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC));
    check(static_cast<bool>(fd), "open /dev", name);
    return fd;
  };
  if (!replaced("/dev/pts")) {
    pts_ = new_filesystem("devpts", {{"ptmxmode", "0666"}, {"mode", "0620"}, {"gid", "5"}}, kNoSuid | kNoExec);
    attach_mount(pts_.get(), target("pts").get(), "/dev/pts");
  }
  if (!replaced("/dev/mqueue")) {
    Fd mqueue = new_filesystem("mqueue", {}, kNoSuid | kNoDev | kNoExec);
    attach_mount(mqueue.get(), target("mqueue").get(), "/dev/mqueue");
  }
  if (!replaced("/dev/shm") && launch_.no_shm == 0) {
    Fd shm = std::move(host_shm_);
    if (!shm) {
      shm = new_filesystem("tmpfs", {{"mode", "1777"}, {"size", text_of(static_cast<int64_t>(launch_.shm_size))}},
                           kNoSuid | kNoDev | kNoExec);
    }
    attach_mount(shm.get(), target("shm").get(), "/dev/shm");
  }
}

void Rootfs::mount_sys() {
  if (replaced("/sys")) return;
  Fd sys = new_filesystem("sysfs", {}, kNoSuid | kNoDev | kNoExec | (launch_.writable_system != 0 ? 0 : kReadOnly));
  attach_mount(sys.get(), top_directory(root_.get(), "sys").get(), "/sys");
}

void Rootfs::mount_cgroup() {
  if (replaced("/sys") || replaced("/sys/fs/cgroup")) return;
  Fd target = open_in_root(root_.get(), "/sys/fs/cgroup", O_DIRECTORY);
  if (!target) return;  // a kernel without cgroups
  uint64_t read_only = launch_.writable_system != 0 ? 0 : kReadOnly;
  uint64_t attributes = kNoSuid | kNoDev | kNoExec;
  if (launch_.cgroup.pure_v2 != 0) {
    attach_mount(new_filesystem("cgroup2", {}, attributes | read_only).get(), target.get(), "/sys/fs/cgroup");
    return;
  }
  Fd directory = new_filesystem("tmpfs", {{"mode", "755"}}, attributes);
  attach_mount(directory.get(), target.get(), "/sys/fs/cgroup");
  for (const CgroupMount& entry : launch_.cgroup.mounts) {
    Fd own = clone_tree(AT_FDCWD, entry.source.c_str(), false);
    check(static_cast<bool>(own), "open cgroup", entry.source);
    set_propagation(own.get(), MS_PRIVATE, false, entry.name);
    set_mount_attributes(own.get(), attributes | read_only, false, entry.name);
    check(::mkdirat(directory.get(), entry.name.c_str(), 0755) == 0, "mkdir cgroup", entry.name);
    Fd place(::openat(directory.get(), entry.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    attach_mount(own.get(), place.get(), entry.name);
  }
  for (const CgroupLink& link : launch_.cgroup.links) {
    check(::symlinkat(link.target.c_str(), directory.get(), link.name.c_str()) == 0, "symlink cgroup", link.name);
  }
  if (read_only != 0) set_mount_attributes(directory.get(), read_only, false, "/sys/fs/cgroup");
}

void Rootfs::mount_user(size_t index) {
  const MountEntry& entry = launch_.mounts[index];
  bool directory = entry.kind == MountKind::tmpfs || is_directory(sources_[index].get());
  Fd existing = open_in_root(root_.get(), entry.target);
  bool existed = static_cast<bool>(existing);
  Fd target = existed ? std::move(existing)
                      : make_in_root(root_.get(), entry.target, directory ? NodeKind::directory : NodeKind::file);
  if (!target) {
    int error = errno;
    fail_mount(entry, errno_text(error), exit_code_for(error));
  }
  if (is_directory(target.get()) != directory) {
    fail_mount(entry,
               "not a directory: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified "
               "host path exists and is the expected type",
               127);
  }
  if (is_on_filesystem(target.get(), PROC_SUPER_MAGIC) && clean_path(entry.target) != "/proc") {
    bool allowed = false;
    for (const char* path : kProcTargets) allowed = allowed || clean_path(entry.target) == path;
    if (!allowed) fail_mount(entry, "it cannot be mounted because it is inside /proc", 128);
  }
  if (entry.kind == MountKind::bind) {
    attach_mount(sources_[index].get(), target.get(), entry.target);
    return;
  }
  TmpfsOptions parsed = parse_tmpfs_options(entry.options);
  if (entry.read_only != 0) parsed.attributes |= kReadOnly;
  struct stat status {};
  if (!parsed.has_mode) {
    // Docker's tmpfs looks like the directory of the image that it hides.
    bool copy = existed && ::fstat(target.get(), &status) == 0;
    parsed.options.emplace_back("mode", octal(copy ? status.st_mode & 07777 : 01777));
  }
  attach_mount(new_filesystem("tmpfs", parsed.options, parsed.attributes).get(), target.get(), entry.target);
}

Fd Rootfs::open_terminal() {
  if (!pts_) fail(128, "a terminal needs the container's own /dev/pts, which a mount replaces");
  Fd master(::openat(pts_.get(), "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
  check(master && is_on_filesystem(master.get(), DEVPTS_SUPER_MAGIC), "open /dev/pts/ptmx");
  int unlock = 0;
  check(::ioctl(master.get(), TIOCSPTLCK, &unlock) == 0, "unlock the terminal");
  // Not by its path, which could be something else by now (CVE-2025-52565).
  Fd slave(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  check(slave && is_on_filesystem(slave.get(), DEVPTS_SUPER_MAGIC), "open the terminal");
  if (launch_.program.rows != 0 || launch_.program.columns != 0) {
    winsize size{launch_.program.rows, launch_.program.columns, 0, 0};
    ::ioctl(master.get(), TIOCSWINSZ, &size);
  }
  int fd = master.get();
  Writer writer;
  writer(ChildMessage::terminal);
  check(send_packet(child_channel(), writer.take(), &fd, 1), "hand over the terminal");
  if (replaced("/dev/console")) return slave;
  check(::mknodat(dev_.get(), "console", S_IFREG | 0600, 0) == 0 || errno == EEXIST, "make /dev/console");
  Fd console(::openat(dev_.get(), "console", O_PATH | O_NOFOLLOW | O_CLOEXEC));
  check(static_cast<bool>(console), "open /dev/console");
  Fd copy = clone_tree(slave.get(), "", false);
  check(static_cast<bool>(copy), "clone the terminal");
  attach_mount(copy.get(), console.get(), "/dev/console");
  return slave;
}

void Rootfs::mask(const std::string& path) {
  Fd target = open_in_root(root_.get(), path);
  if (!target) {
    if (errno == ENOENT || errno == ENOTDIR) return;  // this kernel does not have it
    fail_errno("mask " + path);
  }
  if (!is_directory(target.get())) {
    Fd null = clone_tree(host_null_.get(), "", false);
    check(null && is_null_device(null.get()), "mask", path);
    attach_mount(null.get(), target.get(), path);
    return;
  }
  if (!empty_directory_) {
    empty_directory_ = new_filesystem("tmpfs", {{"size", "4k"}, {"mode", "755"}}, kReadOnly);
    attach_mount(empty_directory_.get(), target.get(), path);
    return;
  }
  Fd copy = clone_tree(empty_directory_.get(), "", false);
  check(static_cast<bool>(copy), "mask", path);
  attach_mount(copy.get(), target.get(), path);
}

void Rootfs::make_read_only(const std::string& path) {
  Fd target = open_in_root(root_.get(), path);
  if (!target) {
    if (errno == ENOENT || errno == ENOTDIR) return;
    fail_errno("make read-only " + path);
  }
  Fd copy = clone_tree(target.get(), "", true);
  check(static_cast<bool>(copy), "make read-only", path);
  set_mount_attributes(copy.get(), kReadOnly, true, path);
  attach_mount(copy.get(), target.get(), path);
}

void Rootfs::enter() {
  for (const std::string& path : launch_.read_only_paths) make_read_only(path);
  for (const std::string& path : launch_.masked_paths) mask(path);
  if (launch_.read_only_root != 0) set_mount_attributes(root_.get(), kReadOnly, false, "/");
  check(::fchdir(root_.get()) == 0, "enter the new root");
  // Both arguments the same: the old root ends up on top of the new one, and no directory for it is needed.
  check(::syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
  check(::umount2(".", MNT_DETACH) == 0, "detach the old root");
  check(::chdir("/") == 0, "enter the new root");
  refuse_foreign_root();
  ::umask(022);
  int fd = root_.get();
  Writer writer;
  writer(ChildMessage::root);
  check(send_packet(child_channel(), writer.take(), &fd, 1), "hand over the root");
}

// In a chroot, pivot_root swaps only the chroot's directory, and the real root stays at the bottom of the namespace: whoever
// enters that (exec, cp) would stand in the files of the host. setns(2) leads to where they would stand.
void Rootfs::refuse_foreign_root() {
  check(::setns(namespace_.get(), CLONE_NEWNS) == 0, "enter the mount namespace");
  struct stat entered {};
  struct stat wanted {};
  check(::stat("/", &entered) == 0 && ::fstat(root_.get(), &wanted) == 0, "look at the new root");
  if (entered.st_dev != wanted.st_dev || entered.st_ino != wanted.st_ino) {
    fail(128, "the daemon runs in a chroot, from which containers would reach the files outside: "
              "make that directory the root of a mount namespace instead (pivot_root)");
  }
}

}  // namespace gantry::shim
