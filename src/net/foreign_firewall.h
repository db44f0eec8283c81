// Other programs' packet filters that would drop our traffic. A drop in any chain is final, whatever our own table
// says, so where `ip filter` (iptables as nftables) drops forwarded packets by default, or Docker keeps a chain for
// the user's rules there, accepts for our bridges are put in, marked as ours.
// Rules of the older iptables ("legacy", xtables) cannot be seen or changed this way.
#pragma once

#include <mutex>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "net/nft_batch.h"

namespace gantry::net {

// Blocking, any thread.
class ForeignFirewall {
 public:
  // `owner` marks our rules: the name of our own table.
  explicit ForeignFirewall(std::string owner) : owner_(std::move(owner)) {}

  // Nothing to do if no such filter is there, or the rules are.
  Result<> let_through(const std::string& bridge);
  Result<> forget(const std::string& bridge);

 private:
  Result<> open_socket();
  std::string mark(const std::string& bridge) const { return owner_ + " " + bridge; }

  const std::string owner_;
  std::mutex mutex_;
  Fd socket_;
};

}  // namespace gantry::net
