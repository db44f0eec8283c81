#include "shim/block_writer.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "shim/system.h"

namespace gantry::shim {
namespace {

constexpr size_t kStack = 64 << 10;

// The kernel makes no threads for whose children are to be in another pid namespace than itself (clone(2), EINVAL): for a
// moment they are to be in its own.
class ChildrenHere {
 public:
  ChildrenHere()
      : own_(::open("/proc/thread-self/ns/pid", O_RDONLY | O_CLOEXEC)),
        before_(::open("/proc/thread-self/ns/pid_for_children", O_RDONLY | O_CLOEXEC)) {
    // Before the first child there is no other namespace to come back to.
    is_set_ = own_ && before_ && ::setns(own_.get(), CLONE_NEWPID) == 0;
  }
  ~ChildrenHere() {
    if (is_set_) ::setns(before_.get(), CLONE_NEWPID);
  }
  ChildrenHere(const ChildrenHere&) = delete;

 private:
  Fd own_;
  Fd before_;
  bool is_set_ = false;
};

}  // namespace

bool BlockWriter::start() {
  if (started_ || failed_) return started_;
  const ChildrenHere here;
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, kStack);
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for the thread that waits for them
  pthread_t thread;
  started_ = ::pthread_create(&thread, &attributes, &BlockWriter::run, this) == 0;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_attr_destroy(&attributes);
  failed_ = !started_;
  return started_;
}

void BlockWriter::begin(int fd, std::string_view bytes) {
  fd_ = fd;
  bytes_ = bytes;
  set(busy);
}

size_t BlockWriter::wait() {
  wait_while(busy);
  return written_;
}

void BlockWriter::set(State state) {
  state_.store(state, std::memory_order_release);
  ::syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

void BlockWriter::wait_while(State state) {
  while (state_.load(std::memory_order_acquire) == state) {
    ::syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, state, nullptr, nullptr, 0);
  }
}

void* BlockWriter::run(void* self) {
  auto& writer = *static_cast<BlockWriter*>(self);
  for (;;) {
    writer.wait_while(idle);
    writer.written_ = write_as_possible(writer.fd_, writer.bytes_);
    writer.set(idle);
  }
}

}  // namespace gantry::shim
