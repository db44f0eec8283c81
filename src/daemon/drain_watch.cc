#include "daemon/drain_watch.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <cerrno>

namespace gantry::daemon {
namespace {

// What unix(7) sockets count here is the memory of messages that were not read to their end. The kernel reports a
// message's end (sock_wfree) while one byte of it is still counted, and no message takes so little.
bool is_empty(int socket) {
  int unread = 0;
  return ::ioctl(socket, SIOCOUTQ, &unread) != 0 || unread <= 1;
}

}  // namespace

bool DrainWatch::drained() {
  if (is_empty(socket_)) return true;
  if (!epoll_) {
    // Every message that is read to its end makes an edge, even if the socket was writable all the while.
    epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{.events = EPOLLOUT | EPOLLET, .data = {}};
    if (epoll_ && ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket_, &event) != 0) epoll_.reset();
  }
  epoll_event event;
  if (epoll_) (void)::epoll_wait(epoll_.get(), &event, 1, 0);
  if (!is_empty(socket_)) return false;  // after the edge was taken: a later one is seen by whoever polls
  ::sched_yield();                       // the reader woke us from within its call: on our processor it goes first
  return true;
}

void DrainWatch::wait(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!drained()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return;
    pollfd waits[2] = {{.fd = fd(), .events = POLLIN, .revents = 0}, {.fd = socket_, .events = 0, .revents = 0}};
    if (::poll(waits, 2, static_cast<int>(left.count())) < 0 && errno != EINTR) return;
    if (waits[1].revents != 0) return;
  }
}

}  // namespace gantry::daemon
