// How a connection's thread waits for the loop: for one answer, or for lines that come as things happen, and in both
// cases for its client to go away at the same time.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/fd.h"
#include "base/loop.h"
#include "base/result.h"
#include "daemon/http_server.h"

namespace gantry::daemon {

// Rung by any thread, heard by one that polls. Stays rung until heard.
class Bell {
 public:
  Bell();
  // Code::exhausted if there was no descriptor for it: then it is never heard. To be asked before anything is begun
  // that ends with a ring.
  Result<> check() const;
  void ring() const;
  void hear() const;  // forgets the rings so far
  int fd() const { return event_.get(); }

 private:
  Fd event_;
  int failure_ = 0;  // why there is none
};

enum class Gone {
  hung_up,      // both directions are closed: for answers that the client awaits
  half_closed,  // its sending side is: for streams, whose clients have nothing more to send
};
// Waits until the bell is rung (true; heard) or the client has gone in that sense (false).
bool wait_for(const Bell& bell, int client_socket, Gone gone);

// Text for one reader, from any thread. Holds at most `limit` bytes: a reader that is slower than that loses what
// may be dropped, never what must arrive.
class LineQueue {
 public:
  explicit LineQueue(size_t limit) : limit_(limit) {}
  void push(std::string line, bool droppable);
  // The reader is told of it by tell() or close() only, once for many lines.
  void add(std::string line, bool droppable);
  void tell() const { bell_.ring(); }
  void close();  // no more lines
  // Everything that has come, in order.
  std::string take();
  bool closed() const;      // and nothing left
  bool overflowed() const;  // something was dropped
  const Bell& bell() const { return bell_; }

 private:
  const size_t limit_;
  mutable std::mutex mutex_;
  std::string text_;  // guarded by mutex_, as all below
  bool closed_ = false;
  bool overflowed_ = false;
  Bell bell_;
};

// Writes what comes into the queue to the answer (already begun) until the queue is closed: true. False: the client
// has gone first.
bool pump(Exchange& exchange, LineQueue& queue);

template <class T>
class Pending {
 public:
  void answer(Result<T> result) {
    {
      const std::lock_guard lock(mutex_);
      if (result_) return;
      result_.emplace(std::move(result));
    }
    bell_.ring();
  }
  std::optional<Result<T>> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(result_, std::nullopt);
  }
  const Bell& bell() const { return bell_; }

 private:
  std::mutex mutex_;
  std::optional<Result<T>> result_;
  Bell bell_;
};

// The callable that is handed out as a Reply<T>. Dropped without a call, it answers for itself.
template <class T>
class PendingReply {
 public:
  explicit PendingReply(std::shared_ptr<Pending<T>> pending) : pending_(std::move(pending)) {}
  PendingReply(PendingReply&&) = default;
  ~PendingReply() {
    if (pending_) pending_->answer(Error(Code::unavailable, "the daemon is shutting down"));
  }
  void operator()(Result<T> result) { std::exchange(pending_, nullptr)->answer(std::move(result)); }

 private:
  std::shared_ptr<Pending<T>> pending_;
};

// Waits for an answer that is on its way. If the client hangs up first, the operation goes on without it: Code::cancelled.
// Connection threads only.
template <class T>
Result<T> await(Exchange& exchange, Pending<T>& pending) {
  if (!wait_for(pending.bell(), exchange.socket(), Gone::hung_up)) {
    return Error(Code::cancelled, "the client has closed the connection");
  }
  return *pending.take();
}

// Runs `start(reply)` on the loop thread and waits for the reply, as above.
template <class T, class Start>
Result<T> await(Exchange& exchange, EventLoop& loop, Start start) {
  auto pending = std::make_shared<Pending<T>>();
  TRY(pending->bell().check());
  loop.post([start = std::move(start), reply = PendingReply<T>(pending)]() mutable { start(std::move(reply)); });
  return await(exchange, *pending);
}

}  // namespace gantry::daemon
