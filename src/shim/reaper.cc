#include "shim/reaper.h"

#include <csignal>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim/system.h"

namespace gantry::shim {
namespace {

pid_t program = -1;
sigset_t everything;

// Ends when the program has ended.
void reap() {
  for (;;) {
    int status = 0;
    pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    if (pid != program) continue;
    _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
  }
}

}  // namespace

ReaperRole start_reaper() {
  ::sigfillset(&everything);
  ::sigprocmask(SIG_SETMASK, &everything, nullptr);
  bool terminal = ::isatty(0) == 1;
  // The bare call: the C library's needs more of its thread than a child has (child_memory.cc).
  program = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  if (program < 0) fail_errno("fork");
  if (program > 0) return ReaperRole::init;
  // The program gets a group of its own and the terminal's foreground, so that ^C reaches it and not its init.
  ::setpgid(0, 0);
  if (terminal) {
    pid_t group = ::getpid();
    ::ioctl(0, TIOCSPGRP, &group);  // from the background: SIGTTOU is blocked
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  return ReaperRole::program;
}

void run_reaper() {
  ::prctl(PR_SET_NAME, "gantry-init", 0, 0, 0);
  // It must hold nothing open: whoever waits for the end of the program's output or input waits for that alone.
  int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; null >= 0 && fd < 3; ++fd) ::dup2(null, fd);
  ::close_range(3, ~0U, 0);
  for (;;) {
    siginfo_t info{};
    int number = ::sigwaitinfo(&everything, &info);
    if (number < 0) continue;
    if (number == SIGCHLD) {
      reap();
    } else {
      ::kill(program, number);
    }
  }
}

}  // namespace gantry::shim
