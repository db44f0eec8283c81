#include "daemon/waiting.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace gantry::daemon {

Bell::Bell() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), failure_(event_ ? 0 : errno) {}

Result<> Bell::check() const {
  if (!event_) return Error::from_errno(failure_, "eventfd");
  return {};
}

void Bell::ring() const {
  const uint64_t one = 1;
  (void)!::write(event_.get(), &one, sizeof one);  // fails only when it is rung 2^64 times already
}

void Bell::hear() const {
  uint64_t rings = 0;
  (void)!::read(event_.get(), &rings, sizeof rings);
}

bool wait_for(const Bell& bell, int client_socket, Gone gone) {
  // POLLHUP comes unasked once both directions are closed; POLLRDHUP as soon as the client's is.
  const auto interest = static_cast<short>(gone == Gone::half_closed ? POLLRDHUP : 0);
  pollfd waits[2] = {{.fd = bell.fd(), .events = POLLIN, .revents = 0},
                     {.fd = client_socket, .events = interest, .revents = 0}};
  for (;;) {
    if (::poll(waits, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    if (waits[0].revents != 0) {
      bell.hear();
      return true;
    }
    if (waits[1].revents != 0) return false;
  }
}

void LineQueue::push(std::string line, bool droppable) {
  add(std::move(line), droppable);
  tell();
}

void LineQueue::add(std::string line, bool droppable) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  if (droppable && text_.size() + line.size() > limit_) {
    overflowed_ = true;
    return;
  }
  text_ += line;
}

void LineQueue::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  bell_.ring();
}

std::string LineQueue::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(text_, {});
}

bool LineQueue::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_ && text_.empty();
}

bool LineQueue::overflowed() const {
  const std::lock_guard lock(mutex_);
  return overflowed_;
}

bool pump(Exchange& exchange, LineQueue& queue) {
  for (;;) {
    const std::string text = queue.take();
    if (!text.empty() && !exchange.write(text).ok()) return false;
    if (queue.closed()) return true;
    if (!wait_for(queue.bell(), exchange.socket(), Gone::half_closed)) return false;
  }
}

}  // namespace gantry::daemon
