// gantry-shim: one process a container, which is its parent, holds its streams and outlives the daemon. Started by
// the daemon with one end of a socket pair as descriptor 3; takes no arguments.
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <exception>

#include "shim/supervisor.h"

// The library's own handler prints the exception's name, for which it brings a demangler along.
namespace __cxxabiv1 {
extern std::terminate_handler __terminate_handler;
std::terminate_handler __terminate_handler = std::abort;
}  // namespace __cxxabiv1

namespace {

// Nothing of the daemon's may stay with us, nor anything of its terminal or group reach us.
void leave_the_daemon() {
  ::close_range(gantry::shim::kChannelFd + 1, ~0U, 0);
  int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; null >= 0 && fd < 3; ++fd) ::dup2(null, fd);
  if (null > 2) ::close(null);
  ::fcntl(gantry::shim::kChannelFd, F_SETFD, FD_CLOEXEC);
  ::setsid();
  for (int number : gantry::shim::kIgnoredSignals) ::signal(number, SIG_IGN);
  // All were blocked until here.
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::umask(022);
  (void)!::chdir("/");
}

}  // namespace

int main() {
  struct stat status {};
  if (::fstat(gantry::shim::kChannelFd, &status) != 0 || !S_ISSOCK(status.st_mode)) {
    constexpr char text[] = "gantry-shim is started by the gantry daemon, not by hand.\n";
    (void)!::write(2, text, sizeof text - 1);
    return 2;
  }
  leave_the_daemon();
  ::prctl(PR_SET_NAME, "gantry-shim", 0, 0, 0);
  // Its memory and descriptors are not for a container that shares our pid namespace.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  auto* supervisor = new gantry::shim::Supervisor(gantry::shim::Fd(gantry::shim::kChannelFd));
  // The kernel takes everything back at once; to do it one by one, a page of code here and there, is what the end of many
  // containers waited for.
  ::_exit(supervisor->run());
}
