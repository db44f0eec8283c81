#include "daemon/hang_up.h"

#include <sys/epoll.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "base/fd.h"
#include "daemon/waiting.h"

namespace gantry::daemon {

struct HangUpWatcher::State {
  Fd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  Bell stop;
  std::mutex mutex;                                   // held while a callback runs, so that ~Watch waits for it
  uint64_t next = 1;                                  // guarded by mutex; 0 is the stop bell
  std::map<uint64_t, std::function<void()>> watches;  // by number, because sockets' are used again; guarded by mutex
  std::thread thread;

  void run() {
    for (;;) {
      epoll_event events[16];
      const int count = ::epoll_wait(epoll.get(), events, 16, -1);
      if (count < 0 && errno != EINTR) return;
      for (int i = 0; i < count; ++i) {
        if (events[i].data.u64 == 0) return;
        const std::lock_guard lock(mutex);
        const auto at = watches.find(events[i].data.u64);  // its Watch may have ended since epoll_wait returned
        if (at != watches.end() && at->second) std::exchange(at->second, nullptr)();
      }
    }
  }
};

HangUpWatcher::HangUpWatcher() : state_(std::make_unique<State>()) {
  CHECK(static_cast<bool>(state_->epoll));
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  CHECK(::epoll_ctl(state_->epoll.get(), EPOLL_CTL_ADD, state_->stop.fd(), &event) == 0);
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

HangUpWatcher::~HangUpWatcher() {
  state_->stop.ring();
  state_->thread.join();
}

HangUpWatcher::Watch::Watch(HangUpWatcher& watcher, int socket, std::function<void()> gone)
    : watcher_(watcher), socket_(socket) {
  const std::lock_guard lock(watcher.state_->mutex);
  number_ = watcher.state_->next++;
  watcher.state_->watches[number_] = std::move(gone);
  epoll_event event{.events = EPOLLRDHUP | EPOLLONESHOT, .data = {.u64 = number_}};
  CHECK(::epoll_ctl(watcher.state_->epoll.get(), EPOLL_CTL_ADD, socket, &event) == 0);
}

HangUpWatcher::Watch::~Watch() {
  const std::lock_guard lock(watcher_.state_->mutex);
  watcher_.state_->watches.erase(number_);
  ::epoll_ctl(watcher_.state_->epoll.get(), EPOLL_CTL_DEL, socket_, nullptr);
}

}  // namespace gantry::daemon
