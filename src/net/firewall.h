// The host's packet filter and address translation for our networks: one nftables table a daemon with a fixed set of
// rules over sets and maps (firewall_rules.h). Making a network, joining one and publishing a port only add elements,
// at a cost that does not depend on how many there are.
//
// Blocking, any thread (locks inside).
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "net/firewall_elements.h"
#include "net/network.h"
#include "net/nft_batch.h"

namespace gantry::net {

// Interface groups whose top byte is this belong to a Gantry daemon; the rest tells which one. So rules can tell
// every Gantry's bridges from other interfaces, and a daemon finds its own interfaces after a crash.
inline constexpr uint32_t kGroupMask = 0xff000000;
inline constexpr uint32_t kGroupOfGantry = 0x47000000;
// Of one that is about to be removed.
inline constexpr uint32_t kGroupOfLeaving = 0x46000000;

class Firewall {
 public:
  explicit Firewall(std::string table) : table_(std::move(table)) {}

  // From now on everything succeeds and does nothing: the kernel has no nftables, or not for us.
  void do_without() { without_ = true; }

  // Leaves a table that is as it should be alone, with all its elements: running containers notice nothing. A table that
  // was lost or changed is made anew with the elements that this object has put into it.
  Result<> set_up();
  Result<> tear_down();

  Result<> add_bridge(const BridgeConfig& bridge, bool existed);
  Result<> remove_bridge(const BridgeConfig& bridge);
  Result<> publish(const EndpointConfig& endpoint);
  Result<> withdraw(const EndpointConfig& endpoint);
  // Makes these the only elements, in one transaction.
  Result<> replace_all(const std::vector<BridgeConfig>& bridges, const std::vector<EndpointConfig>& endpoints);

  // For when we turned the host's forwarding on: packets between interfaces that belong to no Gantry are dropped,
  // because the host was no router before.
  Result<> forbid_foreign_forwarding(bool ipv6);
  // Was it called, in this daemon's life or an earlier one, or by another Gantry daemon on this host?
  Result<bool> forbids_foreign_forwarding(bool ipv6);
  // Interfaces of keep_router_advertisements(), of this or an earlier life or another daemon.
  Result<> note_listening(const std::vector<std::string>& interfaces);
  Result<std::vector<std::string>> listening();
  // Other daemons' tables on this host.
  Result<bool> is_only_gantry();

 private:
  Result<> add(const std::vector<SetElement>& changes);
  Result<> replace(const std::vector<SetElement>& changes);
  Result<> remove(const std::vector<SetElement>& changes);
  Result<> remove_unwanted(const BridgeConfig& bridge);
  Result<> open_socket();
  Result<> rebuild(const std::string& fingerprint);
  Result<bool> is_intact(const std::string& fingerprint);
  void forget_datagram_flows(const std::vector<PortForward>& ports);

  // What should be in the table, for the day somebody empties it.
  using Remembered = std::map<const NftSet*, std::map<std::string, NftElement>>;
  void remember(const std::vector<SetElement>& changes);
  void forget(const std::vector<SetElement>& changes);

  const std::string table_;
  std::atomic<bool> without_ = false;
  std::mutex mutex_;  // one exchange on the socket at a time
  Fd socket_;
  Remembered remembered_;  // by key
};

}  // namespace gantry::net
