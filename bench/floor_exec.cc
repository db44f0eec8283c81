// The kernel's floor of an exec: joins a process's namespaces, forks, runs a program there with two pipes as its output, and
// ends with its exit code.
//
//   bench_floor_exec PID PROGRAM [ARGS...]      (as root)
//
// One static program, which does no more than the kernel asks for: no daemon, no limits, no seccomp filter, no user looked up.
#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace {

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(125);
}

void read_to_end(int fd) {
  char piece[4096];
  while (::read(fd, piece, sizeof piece) > 0) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: bench_floor_exec PID PROGRAM [ARGS...]\n");
    return 2;
  }
  const auto target = static_cast<int>(::syscall(SYS_pidfd_open, std::atoi(argv[1]), 0));
  if (target < 0) fail("pidfd_open");
  if (::setns(target, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID) != 0) fail("setns");
  int out[2];
  int err[2];
  if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) fail("pipe2");
  const pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    ::dup2(out[1], 1);
    ::dup2(err[1], 2);
    if (::chdir("/") != 0) ::_exit(126);
    ::execv(argv[2], argv + 2);
    ::_exit(127);
  }
  ::close(out[1]);
  ::close(err[1]);
  read_to_end(out[0]);
  read_to_end(err[0]);
  int status = 0;
  if (::waitpid(child, &status, 0) != child) fail("waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}
