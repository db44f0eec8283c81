// Other programs' packet filters that would drop our traffic. A drop in any chain is final, whatever our own table
// says, so accepts for our bridges, marked as ours, are put in front of every chain that drops or rejects forwarded
// packets by default: iptables' (as nftables) FORWARD, where Docker's chain for the user's rules takes its place,
// firewalld's filter_FORWARD, and anybody's chain with a policy of drop. What they closed stays closed: what gets into
// our bridges is decided by our own table. Rules of the older iptables ("legacy", xtables) cannot be seen or changed
// this way.
#pragma once

#include <atomic>
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

  // As Firewall::do_without.
  void do_without() { without_ = true; }

  // Nothing to do if no such filter is there, or the rules are.
  Result<> let_through(const std::string& bridge);
  Result<> forget(const std::string& bridge);

 private:
  Result<> open_socket();
  std::string mark(const std::string& bridge) const { return owner_ + " " + bridge; }

  const std::string owner_;
  std::atomic<bool> without_ = false;
  std::mutex mutex_;
  Fd socket_;
};

}  // namespace gantry::net
