// The real network stack: a bridge a network, a veth pair an endpoint, an nftables table a daemon.
// How the pieces fit: links.h and parent_links.h make interfaces, firewall.h lets traffic through and translates it,
// connect_redirect.h shortens the way from the host's own programs, ports.h holds published ports, dns_redirect.h leads to the
// name service.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/change_watch.h"
#include "net/connect_redirect.h"
#include "net/firewall.h"
#include "net/foreign_firewall.h"
#include "net/link_remover.h"
#include "net/links.h"
#include "net/network.h"
#include "net/parent_links.h"
#include "net/ports.h"
#include "net/socket_pool.h"

namespace gantry::net {

// Any thread. Belongs to the network namespace of the threads that call it, which must not change.
//
// From set_up on a thread of its own listens for what others do to our rules and bridges, and puts back what they
// removed: the table with all its elements, a bridge with its addresses and the interfaces that were in it.
class BridgeNetwork final : public NetworkStack {
 public:
  explicit BridgeNetwork(Options options);
  ~BridgeNetwork() override;

  Result<> set_up() override;
  bool translates() const override { return translates_; }
  Result<> tear_down() override;
  Result<> create_bridge(const BridgeConfig& bridge) override;
  Result<> remove_bridge(const BridgeConfig& bridge) override;
  Result<std::unique_ptr<PortReservation>> reserve_ports(const std::vector<PortRequest>& ports,
                                                         const PortOwner& owner) override;
  std::vector<std::optional<Error>> check_ports(const std::vector<PortQuestion>& questions,
                                                const std::set<std::string>& leaving) override;
  Result<> attach(const EndpointConfig& endpoint, const NetnsAccess& netns) override;
  Result<> redirect_dns(const NetnsAccess& netns, uint16_t udp_port, uint16_t tcp_port) override;
  Result<> loopback_up(const NetnsAccess& netns) override;
  Result<> detach(const EndpointConfig& endpoint, const NetnsAccess* netns) override;
  Result<> detach_ended(const EndpointConfig& endpoint) override;
  Result<> publish(const EndpointConfig& endpoint);  // its ports alone
  // For a bridge whose containers may not talk to each other: through published ports they may, whether the bridge shows its
  // packets to the IP rules or not. Before the bridge is made.
  void let_published_through(const std::string& bridge_name);
  Result<> unpublish(const EndpointConfig& endpoint) override;
  Result<bool> is_attached(const EndpointConfig& endpoint) override;
  Result<std::vector<Subnet>> routes_in_use() override;
  Result<> remove_all_but(const std::vector<BridgeConfig>& bridges,
                          const std::vector<EndpointConfig>& endpoints) override;

 private:
  // A bridge's address with the MAC of whoever had it last.
  using UsedAddress = std::pair<std::string, IpAddress>;

  Result<> set_up_rules();
  void do_without_rules(const Error& reason);
  Result<> take_back_leaving();
  Result<> allow_forwarding(bool ipv6);
  Result<> stop_forwarding(bool ipv6);
  Result<> make_bridge(int route, const BridgeConfig& bridge);
  Result<> make_room(int route, int index, const BridgeConfig& bridge);
  Result<> attach_to_parent(const EndpointConfig& endpoint, const NetnsAccess& netns);
  Result<> attach_to_bridge(const EndpointConfig& endpoint, const NetnsAccess& netns);
  // What is to be removed behind it.
  Result<std::vector<std::string>> take_down(const std::string& bridge);
  Result<> make_interfaces(int route, const EndpointConfig& endpoint, const NetnsAccess& netns, int bridge);
  Result<int> ensure_veth(int route, const EndpointConfig& endpoint, const NetnsAccess& netns, int bridge);
  Result<> set_up_inside(const EndpointConfig& endpoint, const NetnsAccess& netns, int index);
  BridgePortFlags port_flags(const EndpointConfig& endpoint);
  Result<> configure_port(int route, const EndpointConfig& endpoint);  // that is in its bridge
  void let_take_big_tcp(int route, const std::string& bridge_name);
  Result<> withdraw(const EndpointConfig& endpoint);
  void remember_interface(const EndpointConfig& endpoint);
  void forget_interface(const std::string& name);
  void repair();
  Result<> repair_bridge(int route, const BridgeConfig& bridge);
  void announce_if_reused(int route, const EndpointConfig& endpoint, int bridge);
  void remember_addresses(const EndpointConfig& endpoint);
  bool isolates_ports(const std::string& bridge_name);
  std::string alias(const BridgeConfig& bridge) const;
  ParentWanted parent_of(const BridgeConfig& network) const;

  const Options options_;
  const uint32_t group_;
  std::atomic<bool> translates_ = true;  // false: nftables cannot be used
  SocketPool route_;
  Firewall firewall_;
  ForeignFirewall foreign_;
  ConnectRedirect redirect_;
  LinkRemover remover_;
  PortTable ports_;

  std::mutex mutex_;
  std::set<std::string> isolated_;  // bridges whose containers may not talk to each other; guarded by mutex_
  std::set<std::string> take_big_tcp_;  // bridges that have been told, if they are ours; guarded by mutex_
  std::set<std::string> let_published_through_;  // guarded by mutex_
  std::set<UsedAddress> used_;      // guarded by mutex_
  // What there should be, for repairs; both guarded by mutex_.
  std::map<std::string, BridgeConfig> bridges_;
  std::map<std::string, std::string> interfaces_;  // host end → bridge
  std::unique_ptr<ChangeWatch> watch_;             // last: it calls repair()
};

}  // namespace gantry::net
