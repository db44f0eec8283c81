// Netlink sockets for many threads: one exchange at a time needs a socket, and a socket is used by one.
#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "net/netlink.h"

namespace gantry::net {

// Any thread. As many sockets as there were callers at once, kept open.
class SocketPool {
 public:
  explicit SocketPool(int protocol) : protocol_(protocol) {}

  class Lease {
   public:
    Lease(SocketPool& pool, Fd fd) : pool_(&pool), fd_(std::move(fd)) {}
    Lease(Lease&& other) noexcept : pool_(other.pool_), fd_(std::move(other.fd_)) {}
    ~Lease() {
      if (fd_) pool_->give_back(std::move(fd_));
    }
    int get() const { return fd_.get(); }

   private:
    SocketPool* pool_;
    Fd fd_;
  };

  Result<Lease> take() {
    {
      std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        Fd fd = std::move(idle_.back());
        idle_.pop_back();
        return Lease(*this, std::move(fd));
      }
    }
    return Lease(*this, TRY(open_netlink(protocol_)));
  }

 private:
  void give_back(Fd fd) {
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(fd));
  }

  const int protocol_;
  std::mutex mutex_;
  std::vector<Fd> idle_;  // guarded by mutex_
};

}  // namespace gantry::net
