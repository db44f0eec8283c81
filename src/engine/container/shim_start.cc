#include "engine/container/shim_start.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <mutex>

#include "base/check.h"
#include "base/fault.h"
#include "base/fd.h"
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
  int last_kept;  // above the channel
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
  // From here on with a table of descriptors of its own, which only those up to there were copied to.
  long taken = ::syscall(SYS_close_range, start->last_kept + 1, ~0U, CLOSE_RANGE_UNSHARE);
  if (taken == 0) {
    // By system call: whoever watches dup2() takes the number for one of the daemon's.
    taken = start->channel == shim::kChannelFd ? ::fcntl(start->channel, F_SETFD, 0)
                                               : ::syscall(SYS_dup3, start->channel, shim::kChannelFd, 0);
  }
  if (taken >= 0) ::execve(start->executable, start->arguments, start->environment);
  start->error = errno;
  return 127;
}

// Ends as soon as its child is the shim, which is init's child then.
GANTRY_IN_BORROWED_MEMORY int go_between(void* argument) {
  auto* start = static_cast<ShimStart*>(argument);
  if (clone_process(become_shim, start->stack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, argument) < 0) start->error = errno;
  return 0;
}

// Low numbers of descriptors, one for each start that is under way. A daemon has six descriptors for each container: a shim's table
// would be a copy with all of them, each of which the kernel closes when the shim is executed.
class LowNumbers {
 public:
  static LowNumbers& instance() {
    static LowNumbers all;
    return all;
  }
  // `fd` by a low number too, until give_back(); -1: all are in use.
  int take(int fd) {
    std::lock_guard lock(mutex_);
    for (size_t place = 0; place < numbers_.size(); ++place) {
      if (numbers_[place] < 0 || in_use_.test(place) || ::syscall(SYS_dup3, fd, numbers_[place], O_CLOEXEC) < 0) continue;
      in_use_.set(place);
      return numbers_[place];
    }
    return -1;
  }
  // What it stood for is not kept open by us any more.
  void give_back(int number) {
    std::lock_guard lock(mutex_);
    CHECK(::syscall(SYS_dup3, null_.get(), number, O_CLOEXEC) == number);
    in_use_.reset(static_cast<size_t>(std::ranges::find(numbers_, number) - numbers_.begin()));
  }

 private:
  static constexpr size_t kCount = 16;

  LowNumbers() : null_(::open("/dev/null", O_RDWR | O_CLOEXEC)) {
    for (int& number : numbers_) number = null_ ? ::fcntl(null_.get(), F_DUPFD_CLOEXEC, shim::kChannelFd + 1) : -1;
  }

  const Fd null_;
  std::mutex mutex_;
  std::array<int, kCount> numbers_;
  std::bitset<kCount> in_use_;  // guarded by mutex_
};

}  // namespace

Result<> start_shim(const std::string& executable, int needed, int channel) {
  char name[] = "gantry-shim";
  char* arguments[] = {name, nullptr};
  std::string fault = fault_setting() == nullptr ? "" : std::string("GANTRY_FAULT=") + fault_setting();
  char* environment[] = {fault.empty() ? nullptr : fault.data(), nullptr};
  alignas(16) std::array<std::array<std::byte, kStackSize>, 2> stacks;  // of which a page or two are used
  const int low = LowNumbers::instance().take(channel);
  const int taken = low >= 0 ? low : channel;
  ShimStart start{.executable = executable.c_str(),
                  .channel = taken,
                  .last_kept = std::max({taken, needed, shim::kChannelFd}),
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
  if (low >= 0) LowNumbers::instance().give_back(low);
  if (child < 0) return Error::from_errno(error, "start", executable);
  while (::waitpid(child, nullptr, __WALL) < 0 && errno == EINTR) {
  }
  if (start.error != 0) return Error::from_errno(start.error, "start", executable);
  return {};
}

}  // namespace gantry::engine
