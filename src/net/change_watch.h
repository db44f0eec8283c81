// Notices when another program takes our rules or interfaces away: `nft flush ruleset`, a firewall that is reloaded,
// `ip link delete`. The kernel tells (netlink multicast); nothing is looked at from time to time.
#pragma once

#include <cstdint>
#include <string>
#include <thread>

#include "base/fd.h"
#include "base/function.h"

namespace gantry::net {

class ChangeWatch {
 public:
  struct Options {
    std::string table;   // our nftables table; empty: rules are not watched
    uint32_t group = 0;  // of our interfaces
  };
  // In the network namespace of the caller's thread. `changed` runs on a thread of the watch's own, once for changes
  // that come close together, but at once when rules of ours went; it may be for a change that was ours. Where the
  // kernel refuses to tell, it never runs.
  ChangeWatch(Options options, Function<void()> changed);
  ~ChangeWatch();  // waits for `changed`
  ChangeWatch(const ChangeWatch&) = delete;

 private:
  void listen();
  enum class Seen { nothing, something, ours_removed };
  // Read what has come: does any of it concern us?
  Seen read_rules();
  bool read_links();

  const Options options_;
  Function<void()> changed_;
  Fd rules_;
  Fd links_;
  Fd stop_;
  std::thread thread_;
};

}  // namespace gantry::net
