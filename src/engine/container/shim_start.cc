#include "engine/container/shim_start.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <string>

#include "base/fault.h"
#include "shim/protocol.h"

#ifdef __SANITIZE_THREAD__
// The same function by a name that ThreadSanitizer does not know: it takes each clone() for a fork, and lets no thread start after one.
extern "C" int __clone(int (*)(void*), void*, int, void*, ...);
#endif

namespace gantry::engine {
namespace {

#ifdef __SANITIZE_THREAD__
constexpr auto clone_process = ::__clone;
#else
constexpr auto clone_process = ::clone;
#endif

// Both processes below run in the daemon's memory while its thread waits (CLONE_VM, CLONE_VFORK), so that no page table is
// copied, and no page twice: each on a stack of its own, on which it calls the kernel and no more.
struct ShimStart {
  const char* executable;
  int channel;
  char* const* arguments;
  char* const* environment;
  void* stack = nullptr;  // the end of the shim's
  int error = 0;          // of clone or execve
};
constexpr size_t kStackSize = 16 << 10;

// What they leave on their stacks is not the sanitizers' business.
#define GANTRY_IN_BORROWED_MEMORY __attribute__((no_sanitize("address", "thread", "undefined")))

GANTRY_IN_BORROWED_MEMORY int become_shim(void* argument) {
  auto* start = static_cast<ShimStart*>(argument);
  const bool in_place = start->channel == shim::kChannelFd;
  // By system call: whoever watches dup2() takes the number for one of the daemon's.
  const long taken = in_place ? ::fcntl(start->channel, F_SETFD, 0)
                              : ::syscall(SYS_dup3, start->channel, shim::kChannelFd, 0);
  if (taken >= 0) ::execve(start->executable, start->arguments, start->environment);
  start->error = errno;
  return 127;
}

// Ends as soon as its child is the shim, which is init's child then.
GANTRY_IN_BORROWED_MEMORY int go_between(void* argument) {
  auto* start = static_cast<ShimStart*>(argument);
  if (clone_process(become_shim, start->stack, CLONE_VM | CLONE_VFORK | SIGCHLD, argument) < 0) start->error = errno;
  return 0;
}

}  // namespace

Result<> start_shim(const std::filesystem::path& executable, int channel) {
  char name[] = "gantry-shim";
  char* arguments[] = {name, nullptr};
  std::string fault = fault_setting() == nullptr ? "" : std::string("GANTRY_FAULT=") + fault_setting();
  char* environment[] = {fault.empty() ? nullptr : fault.data(), nullptr};
  alignas(16) std::array<std::array<std::byte, kStackSize>, 2> stacks;  // of which a page or two are used
  ShimStart start{.executable = executable.c_str(),
                  .channel = channel,
                  .arguments = arguments,
                  .environment = environment,
                  .stack = stacks[0].end()};
  // Our handlers must not run in the new processes, which would write what is ours.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  // Its end is awaited here, and sends no signal to anybody.
  const pid_t child = clone_process(go_between, stacks[1].end(), CLONE_VM | CLONE_VFORK | CLONE_FILES, &start);
  const int error = child < 0 ? errno : 0;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (child < 0) return Error::from_errno(error, "start", executable.native());
  while (::waitpid(child, nullptr, __WALL) < 0 && errno == EINTR) {
  }
  if (start.error != 0) return Error::from_errno(start.error, "start", executable.native());
  return {};
}

}  // namespace gantry::engine
