// One TCP port carried by this process: each connection is joined to one of its own to the target, and what arrives on
// either goes out of the other without being copied to user space (splice(2)). An end closes its direction alone.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "base/fd.h"
#include "base/loop.h"
#include "net/address.h"

namespace gantry::net {

// Loop thread only.
class StreamForward {
 public:
  struct Target {
    IpAddress address;
    uint16_t port = 0;
  };
  // `listening` is made non-blocking. Connections above `most_connections` wait in its queue.
  StreamForward(EventLoop& loop, Fd listening, Target target, size_t most_connections = 1024);
  ~StreamForward();

  // For connections that come from now on.
  void set_target(Target target) { target_ = target; }

 private:
  struct Connection;
  void accept_all();
  void add(Fd client);
  void on_ready(uint64_t number);
  void remove(uint64_t number);

  EventLoop& loop_;
  Fd listening_;
  Target target_;
  const size_t most_connections_;
  uint64_t next_ = 1;
  std::map<uint64_t, std::unique_ptr<Connection>> connections_;
  std::unique_ptr<FdWatcher> watcher_;
};

}  // namespace gantry::net
