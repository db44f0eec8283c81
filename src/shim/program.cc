#include "shim/program.h"

#include <cerrno>
#include <climits>
#include <csignal>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "shim/identity.h"
#include "shim/reaper.h"

namespace gantry::shim {
namespace {

constexpr size_t kAccountFileLimit = 16 << 20;
constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr int kLastCapability = 63;

// A container's file: may be anything, a FIFO that never ends too.
std::string read_account_file(const char* path) {
  std::string text;
  Fd fd(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return text;
  if (!read_whole(fd.get(), text, kAccountFileLimit)) fail(128, std::string(path) + ": " + errno_text(errno));
  return text;
}

Identity identity_of(const Program& program) {
  Identity identity;
  std::string error;
  if (!resolve_identity(read_account_file("/etc/passwd"), read_account_file("/etc/group"), program.user,
                        program.groups, identity, error)) {
    fail(128, error);
  }
  return identity;
}

const char* value_of(const std::vector<std::string>& environment, std::string_view name) {
  for (const std::string& entry : environment) {
    if (entry.size() > name.size() && entry[name.size()] == '=' && entry.compare(0, name.size(), name) == 0) {
      return entry.c_str() + name.size() + 1;
    }
  }
  return nullptr;
}

// HOME comes last, and an empty one counts as none.
std::vector<std::string> complete_environment(const Program& program, const std::string& home) {
  std::vector<std::string> environment;
  for (const std::string& entry : program.environment) {
    if (entry != "HOME=") environment.push_back(entry);
  }
  if (value_of(environment, "HOME") == nullptr) environment.push_back("HOME=" + home);
  return environment;
}

void set_limits(const Privileges& privileges) {
  for (const Rlimit& limit : privileges.rlimits) {
    rlimit wanted{.rlim_cur = limit.soft, .rlim_max = limit.hard};
    auto resource = static_cast<__rlimit_resource>(limit.resource);
    if (::setrlimit(resource, &wanted) == 0) continue;
    int error = errno;
    rlimit now{};
    if (error != EPERM || ::getrlimit(resource, &now) != 0) {
      fail(128, "ulimit " + limit.name + ": " + errno_text(error));
    }
    // Raising needs CAP_SYS_RESOURCE. Without it: as much as there is, and the user hears of it.
    wanted.rlim_max = wanted.rlim_max < now.rlim_max ? wanted.rlim_max : now.rlim_max;
    wanted.rlim_cur = wanted.rlim_cur < wanted.rlim_max ? wanted.rlim_cur : wanted.rlim_max;
    ::setrlimit(resource, &wanted);
    warn("ulimit " + limit.name + " stays at " + text_of(static_cast<int64_t>(wanted.rlim_max)) +
         ": raising it needs CAP_SYS_RESOURCE, which the daemon does not have");
  }
}

void load_seccomp(const std::string& program) {
  if (program.empty()) return;
  sock_fprog filter{};
  filter.len = static_cast<unsigned short>(program.size() / sizeof(sock_filter));
  filter.filter = reinterpret_cast<sock_filter*>(const_cast<char*>(program.data()));
  check(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0, "load the seccomp profile");
}

void drop_bounding_set(uint64_t kept) {
  for (int capability = 0; capability <= kLastCapability; ++capability) {
    if ((kept >> capability & 1) != 0) continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) return;  // past the kernel's last one
    check(false, "drop capabilities");
  }
}

void set_capabilities(uint64_t wanted) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2]{};
  // Of a user other than root execve takes them away again.
  data[0].permitted = data[0].effective = static_cast<uint32_t>(wanted);
  data[1].permitted = data[1].effective = static_cast<uint32_t>(wanted >> 32);
  check(::syscall(SYS_capset, &header, data) == 0, "set capabilities");
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

[[noreturn]] void fail_chdir(const std::string& path, int error) {
  fail(error == ENOENT ? 127 : 126, "chdir to cwd (\"" + path + "\") set in config.json failed: " + errno_text(error));
}

// The bare calls. The C library's have every thread that it knows do the same: it would find the supervisor's log thread in the
// memory that we share, and wait for it.
bool set_groups(const std::vector<uint32_t>& groups) { return ::syscall(SYS_setgroups, groups.size(), groups.data()) == 0; }
bool set_group(uint32_t id) { return ::syscall(SYS_setresgid, id, id, id) == 0; }
bool set_user(uint32_t id) { return ::syscall(SYS_setresuid, id, id, id) == 0; }

void drop_privileges(const Program& program, const Privileges& privileges, const Identity& identity) {
  drop_bounding_set(privileges.capabilities);
  check(::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0, "prctl PR_SET_KEEPCAPS");
  check(set_groups(identity.groups), "setgroups");
  check(set_group(identity.gid), "setgid");
  bool inside = ::chdir(program.working_dir.c_str()) == 0;
  if (!inside && errno != EACCES) fail_chdir(program.working_dir, errno);
  check(set_user(identity.uid), "setuid");
  check(::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) == 0, "prctl PR_SET_KEEPCAPS");
  set_capabilities(privileges.capabilities);
  // Root without DAC_OVERRIDE may be shut out of what only its user may enter, as on NFS.
  if (!inside && ::chdir(program.working_dir.c_str()) != 0) fail_chdir(program.working_dir, errno);
  // A directory outside of the root shows as "(unreachable)" (CVE-2024-21626). The bare call: libc hides that.
  char path[PATH_MAX];
  check(::syscall(SYS_getcwd, path, sizeof path) > 0, "getcwd");
  if (path[0] != '/') fail(128, "the working directory is outside of the container");
}

// 0: it can be run.
int try_executable(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return errno;
  if (S_ISDIR(status.st_mode)) return EISDIR;
  return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : EACCES;
}

// The texts are Go's, since that is what people and programs know from Docker.
std::string find_program(const std::string& name, const std::vector<std::string>& environment) {
  std::string quoted = "exec: \"" + name + "\": ";
  if (name.find('/') != std::string::npos) {
    int error = try_executable(name);
    if (error == 0) return name;
    if (error == EACCES || error == EISDIR) fail(126, quoted + errno_text(error));
    fail(error == ENOENT || error == ENOTDIR ? 127 : 126, quoted + "stat " + name + ": " + errno_text(error));
  }
  const char* path = value_of(environment, "PATH");
  std::string_view rest = path != nullptr ? path : kDefaultPath;
  bool denied = false;
  while (!name.empty() && !rest.empty()) {
    size_t end = rest.find(':');
    std::string directory(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    std::string candidate = (directory.empty() ? "." : directory) + "/" + name;
    int error = try_executable(candidate);
    if (error == 0) return candidate;
    denied = denied || error == EACCES;
  }
  if (denied) fail(126, quoted + "permission denied");
  fail(127, quoted + "executable file not found in $PATH");
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

void reset_signals() {
  for (int number : kIgnoredSignals) ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void say_prepared() {
  Writer writer;
  writer(ChildMessage::prepared);
  check(send_packet(child_channel(), writer.take()), "report to the shim");
}

void wait_for_go() {
  char go = 0;
  ssize_t n;
  do {
    n = ::read(child_channel(), &go, 1);
  } while (n < 0 && errno == EINTR);
  if (n != 1) _exit(128);  // the shim is gone, or has given up
}

[[noreturn]] void execute(const std::string& path, const Program& program,
                          const std::vector<std::string>& environment) {
  std::vector<char*> arguments = pointers(program.arguments);
  std::vector<char*> variables = pointers(environment);
  ::execve(path.c_str(), arguments.data(), variables.data());
  int error = errno;
  fail(error == ENOENT ? 127 : 126, "exec " + path + ": " + errno_text(error));
}

}  // namespace

void adopt_pipes(ChildStreams streams) {
  auto place = [](Fd& from, int to, int flags) {
    if (!from) {
      from = Fd(::open("/dev/null", flags | O_CLOEXEC | O_NOFOLLOW));
      struct stat status {};
      bool ok = from && ::fstat(from.get(), &status) == 0 && S_ISCHR(status.st_mode) &&
                status.st_rdev == makedev(1, 3);
      if (!ok) fail(128, "/dev/null of the container is not the null device");
    }
    check(::dup2(from.get(), to) == to, "dup2");
  };
  place(streams.in, 0, O_RDONLY);
  place(streams.out, 1, O_WRONLY);
  place(streams.err, 2, O_WRONLY);
}

void adopt_terminal(Fd slave) {
  check(::ioctl(slave.get(), TIOCSCTTY, 0) == 0, "set the controlling terminal");
  for (int fd = 0; fd < 3; ++fd) check(::dup2(slave.get(), fd) == fd, "dup2");
}

void become(const Program& program, const Privileges& privileges, Role role) {
  if (program.arguments.empty()) fail(127, "no command specified");
  Identity identity = identity_of(program);
  std::vector<std::string> environment = complete_environment(program, identity.home);
  set_limits(privileges);
  ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
  // "/dev/stdout" is opened anew by many programs, as their own user.
  for (int fd = 0; fd < 3; ++fd) {
    struct stat status {};
    bool ours = ::fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || ::isatty(fd) == 1);
    if (ours) (void)!::fchown(fd, identity.uid, static_cast<gid_t>(-1));
  }
  if (privileges.no_new_privileges != 0) {
    check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "prctl PR_SET_NO_NEW_PRIVS");
  } else {
    load_seccomp(privileges.seccomp);  // needs CAP_SYS_ADMIN, which is about to go
  }
  drop_privileges(program, privileges, identity);
  std::string path = find_program(program.arguments[0], environment);
  // After setuid, which clears it. If the shim dies, so does its container: nobody could look after it.
  check(::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0, "prctl PR_SET_PDEATHSIG");
  if (role != Role::exec) say_prepared();
  wait_for_go();
  reset_signals();
  ::syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
  if (role == Role::reaper && start_reaper() == ReaperRole::init) {
    Fd(child_channel()).reset();
    run_reaper();
  }
  if (privileges.no_new_privileges != 0) load_seccomp(privileges.seccomp);
  execute(path, program, environment);
}

}  // namespace gantry::shim
