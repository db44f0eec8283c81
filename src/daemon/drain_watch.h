// Tells when the other side of a unix socket has read everything that was sent to it. Some clients (docker-py) take the
// head of an answer through a buffer and the stream behind it from the socket itself: bytes of the stream that arrive
// together with the head are lost to them, so the stream must not begin before the head has been read.
#pragma once

#include <chrono>

#include "base/fd.h"

namespace gantry::daemon {

// One thread. The socket stays the caller's.
class DrainWatch {
 public:
  explicit DrainWatch(int socket) : socket_(socket) {}

  // Whether everything has been read by now. Costs one system call when it has. The reader may still be about to return
  // from the call that read it, and would take more: the kernel tells no later moment, so that is made unlikely only.
  bool drained();
  // To poll for reading: ready whenever drained() may have changed. Only after drained() was false; -1: the kernel
  // gives no such thing, and only time can tell.
  int fd() const { return epoll_.get(); }
  // Blocks until it is so, the client has gone, or the time is over.
  void wait(std::chrono::milliseconds limit);

 private:
  int socket_;
  Fd epoll_;
};

// For how long a stream waits for a client that does not read the head of its answer; one that never does finds both.
inline constexpr std::chrono::seconds kDrainLimit{5};

}  // namespace gantry::daemon
