// Runs inside a container: one attack a name, each a system call that a container must not get through with. Prints
// "NAME through" if the kernel let it pass (also if it then found the arguments wrong: the guard was passed), else
// "NAME held ERRNO". Static, so that it needs nothing of the image.
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

long number(const char* text) { return std::strtol(text, nullptr, 10); }

struct Attack {
  const char* name;
  long (*run)(char** arguments);
  int past_guard;  // an errno that only comes behind the guard; 0: none
};

const Attack kAttacks[] = {
    {"mount", [](char**) -> long { return ::mount("x", "/mnt", "tmpfs", 0, nullptr); }, 0},
    {"mount-cgroup", [](char**) -> long { return ::mount("x", "/mnt", "cgroup", 0, "memory"); }, EBUSY},
    {"fsopen", [](char**) -> long { return ::syscall(SYS_fsopen, "tmpfs", 0); }, 0},
    {"umount", [](char**) -> long { return ::umount2("/sys", MNT_DETACH); }, 0},
    {"remount-proc-sys",
     [](char**) -> long { return ::mount("", "/proc/sys", nullptr, MS_REMOUNT | MS_BIND, nullptr); }, 0},
    {"pivot-root", [](char**) -> long { return ::syscall(SYS_pivot_root, "/", "/"); }, EBUSY},
    {"unshare-user", [](char**) -> long { return ::unshare(CLONE_NEWUSER); }, 0},
    {"unshare-mount", [](char**) -> long { return ::unshare(CLONE_NEWNS); }, 0},
    {"clone-user",
     [](char**) -> long {
       const long pid = ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
       if (pid == 0) ::_exit(0);
       if (pid > 0) ::waitpid(static_cast<pid_t>(pid), nullptr, 0);
       return pid;
     },
     0},
    {"clone3", [](char**) -> long { return ::syscall(SYS_clone3, nullptr, 0); }, EINVAL},
    {"setns-init", [](char**) -> long { return ::setns(::open("/proc/1/ns/mnt", O_RDONLY), 0); }, EINVAL},
    {"keyctl", [](char**) -> long { return ::syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -3 /* session */, 0, 0, 0); },
     0},
    {"add-key", [](char**) -> long { return ::syscall(SYS_add_key, "user", "x", "y", 1, -3); }, 0},
    {"bpf", [](char**) -> long { return ::syscall(SYS_bpf, 0, nullptr, 0); }, EINVAL},
    {"perf-event-open", [](char**) -> long { return ::syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0); }, EFAULT},
    {"io-uring", [](char**) -> long { return ::syscall(SYS_io_uring_setup, 0, nullptr); }, EFAULT},
    {"userfaultfd", [](char**) -> long { return ::syscall(SYS_userfaultfd, 0x7fff); }, EINVAL},
    {"init-module", [](char**) -> long { return ::syscall(SYS_init_module, nullptr, 0, ""); }, ENOEXEC},
    {"kexec-load", [](char**) -> long { return ::syscall(SYS_kexec_load, 0, ~0UL, nullptr, 0xffff); }, EINVAL},
    {"reboot", [](char**) -> long { return ::syscall(SYS_reboot, 0, 0, 0, nullptr); }, EINVAL},
    {"iopl", [](char**) -> long { return ::syscall(SYS_iopl, 3); }, 0},
    {"settime", [](char**) -> long { return ::syscall(SYS_settimeofday, nullptr, nullptr); }, 0},
    {"clock-settime", [](char**) -> long { return ::syscall(SYS_clock_settime, 9999, nullptr); }, EINVAL},
    {"swapon", [](char**) -> long { return ::syscall(SYS_swapon, "/nothing", 0); }, ENOENT},
    {"acct", [](char**) -> long { return ::syscall(SYS_acct, "/nothing"); }, ENOENT},
    {"sethostname", [](char**) -> long { return ::sethostname("owned", 5); }, 0},
    {"dmesg", [](char**) -> long { return ::klogctl(10 /* SIZE_BUFFER */, nullptr, 0); }, 0},
    {"personality", [](char**) -> long { return ::personality(ADDR_NO_RANDOMIZE); }, 0},
    {"handle", [](char**) -> long { return ::syscall(SYS_open_by_handle_at, -100, nullptr, 0); }, EFAULT},
    {"socket-vsock", [](char**) -> long { return ::socket(40, SOCK_STREAM, 0); }, EAFNOSUPPORT},
    {"socket-alg", [](char**) -> long { return ::socket(38, SOCK_SEQPACKET, 0); }, EAFNOSUPPORT},
    {"quotactl", [](char**) -> long { return ::syscall(SYS_quotactl, 0x800002 << 8, "/nothing", 0, nullptr); }, ENOENT},
    {"move-pages", [](char**) -> long { return ::syscall(SYS_move_pages, 0, 0, nullptr, nullptr, nullptr, 0); }, 0},
    // A process outside: its pid in the host's namespace is argument 2.
    {"kill-host", [](char** a) -> long { return ::kill(static_cast<pid_t>(number(a[2])), 0); }, 0},
    {"ptrace-host", [](char** a) -> long { return ::ptrace(PTRACE_SEIZE, number(a[2]), nullptr, nullptr); }, 0},
    {"root-of-host",
     [](char** a) -> long { return ::access((std::string("/proc/") + a[2] + "/root/etc/passwd").c_str(), R_OK); }, 0},
    // A node is made, and then opened: "c 10 229".
    {"device",
     [](char** a) -> long {
       const mode_t type = a[2][0] == 'b' ? S_IFBLK : S_IFCHR;
       ::unlink("/tmp/node");
       if (::mknod("/tmp/node", type | 0600, makedev(number(a[3]), number(a[4]))) != 0) return -1;
       return ::open("/tmp/node", O_RDONLY | O_NONBLOCK);
     },
     ENXIO},
    // The classic way out of a chroot.
    {"chroot-escape",
     [](char** a) -> long {
       ::mkdir("/tmp/jail", 0755);
       if (::chroot("/tmp/jail") != 0) return -1;
       for (int i = 0; i < 64; ++i) (void)!::chdir("..");
       if (::chroot(".") != 0) return -1;
       return ::access(a[2], F_OK);  // a file of the host's
     },
     0},
    // Writes to the file at argument 2 what is there already, or argument 3.
    {"write",
     [](char** a) -> long {
       const int fd = ::open(a[2], O_RDWR);
       if (fd < 0) return -1;
       char text[256];
       ssize_t size = ::read(fd, text, sizeof text);
       if (a[3] != nullptr) size = static_cast<ssize_t>(std::strlen(std::strcpy(text, a[3])));
       return ::pwrite(fd, text, static_cast<size_t>(size < 0 ? 0 : size), 0);
     },
     0},
    {"open-write", [](char** a) -> long { return ::open(a[2], O_WRONLY); }, 0},
    {"mkdir", [](char** a) -> long { return ::mkdir(a[2], 0755); }, 0},
    // Whether there is anything to read.
    {"read",
     [](char** a) -> long {
       char byte;
       const int fd = ::open(a[2], O_RDONLY);
       const ssize_t got = fd < 0 ? -1 : ::read(fd, &byte, 1);
       if (got == 0) errno = ENODATA;
       return got > 0 ? 0 : -1;
     },
     0},
    {"list",
     [](char** a) -> long {
       const std::string command = std::string("test -n \"$(ls -A ") + a[2] + " 2>/dev/null)\"";
       if (::system(command.c_str()) == 0) return 0;
       errno = ENODATA;
       return -1;
     },
     0},
    // Descriptors besides 0, 1, 2 that the program was started with.
    {"descriptors",
     [](char**) -> long {
       for (int fd = 3; fd < 4096; ++fd) {
         if (::fcntl(fd, F_GETFD) >= 0) return fd;
       }
       errno = ENOENT;
       return -1;
     },
     0},
    // Has this program become root? For one that is set-uid.
    {"is-root", [](char**) -> long { return ::geteuid() == 0 ? 0 : (errno = EPERM, -1); }, 0},
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return 2;
  // Children must not be the container's init, whom the kernel shields from itself.
  for (const Attack& attack : kAttacks) {
    if (std::strcmp(attack.name, arguments[1]) != 0) continue;
    errno = 0;
    const long result = attack.run(arguments);
    const int error = errno;
    const bool through = result >= 0 || (attack.past_guard != 0 && error == attack.past_guard);
    std::printf("%s %s%s%s\n", attack.name, through ? "through" : "held", through ? "" : " ",
                through ? "" : ::strerrorname_np(error));
    return through ? 0 : 1;
  }
  return 2;
}
