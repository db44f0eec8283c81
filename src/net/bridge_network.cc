#include "net/bridge_network.h"

#include <linux/netlink.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"
#include "net/announce.h"
#include "net/dns_redirect.h"
#include "net/forwarding.h"

namespace gantry::net {
namespace {

// Interfaces that are about to be removed; the low bits tell the daemon, as in kGroupOfGantry.
constexpr uint32_t kGroupOfLeaving = 0x46000000;
constexpr uint32_t kDaemonMask = ~kGroupMask;

// The daemon's part of its interface group, from its table's name: equal names, equal groups.
uint32_t daemon_number(const std::string& table_name) {
  return static_cast<uint32_t>(std::stoul(sha256_hex(table_name).substr(0, 6), nullptr, 16));
}

// br_netfilter's switch: are packets inside a bridge shown to the IP rules? Missing: the module is not loaded.
bool bridges_call_iptables() {
  auto value = read_file("/proc/sys/net/bridge/bridge-nf-call-iptables");
  return value.ok() && trim(*value) == "1";
}

std::vector<AddressOnLink> addresses_of(const BridgeConfig& bridge) {
  std::vector<AddressOnLink> list;
  if (bridge.gateway4 && bridge.subnet4) list.push_back({*bridge.gateway4, bridge.subnet4->prefix()});
  if (bridge.gateway6 && bridge.subnet6) list.push_back({*bridge.gateway6, bridge.subnet6->prefix()});
  return list;
}

std::vector<AddressOnLink> addresses_of(const EndpointConfig& endpoint) {
  std::vector<AddressOnLink> list;
  if (endpoint.address4) list.push_back({*endpoint.address4, endpoint.subnet4 ? endpoint.subnet4->prefix() : 32});
  if (endpoint.address6) list.push_back({*endpoint.address6, endpoint.subnet6 ? endpoint.subnet6->prefix() : 128});
  return list;
}

Result<int> index_of_bridge(const std::string& name) {
  unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) return not_found("bridge " + name + " is missing: was it removed by another program?");
  return static_cast<int>(index);
}

std::vector<Subnet> host_nameservers() {
  std::vector<Subnet> found;
  auto text = read_file("/etc/resolv.conf", 65536);
  if (!text.ok()) return found;
  for (const std::string& line : split(*text, '\n')) {
    std::string_view rest = trim(line);
    if (!rest.starts_with("nameserver")) continue;
    auto address = IpAddress::parse(trim(rest.substr(10)));
    if (address.ok()) found.emplace_back(*address, static_cast<unsigned>(address->size() * 8));
  }
  return found;
}

}  // namespace

std::unique_ptr<NetworkStack> make_network_stack(NetworkStack::Options options) {
  return std::make_unique<BridgeNetwork>(std::move(options));
}

BridgeNetwork::BridgeNetwork(Options options)
    : options_(std::move(options)),
      group_(kGroupOfGantry | daemon_number(options_.table_name)),
      route_(NETLINK_ROUTE),
      firewall_(options_.table_name),
      foreign_(options_.table_name),
      remover_(route_, kGroupOfLeaving | daemon_number(options_.table_name)) {}

Result<> BridgeNetwork::set_up() {
  // Before the table is made anew: it holds what was decided when forwarding was turned on.
  bool closed4 = TRY(firewall_.forbids_foreign_forwarding(false));
  bool closed6 = TRY(firewall_.forbids_foreign_forwarding(true));
  TRY(firewall_.set_up());
  if (closed4) TRY(firewall_.forbid_foreign_forwarding(false));
  if (closed6) TRY(firewall_.forbid_foreign_forwarding(true));
  auto allowed = allow_forwarding(false);
  // In a container without a writable /proc/sys; containers there can still talk to each other.
  if (!allowed.ok()) {
    log_warning("containers will not reach other networks: " + allowed.error().message() +
                "; set net.ipv4.ip_forward=1");
  }
  return {};
}

Result<> BridgeNetwork::allow_forwarding(bool ipv6) {
  if (TRY(is_forwarding(ipv6))) return {};
  TRY(firewall_.forbid_foreign_forwarding(ipv6));
  TRY(set_forwarding(ipv6, true));
  log_info(std::string(ipv6 ? "IPv6" : "IPv4") +
           " forwarding was off and is on now; what is forwarded between interfaces that are not Gantry's is dropped");
  return {};
}

// Forwarding that we turned on ends with the last Gantry, unless another program's bridges may have come to need it.
Result<> BridgeNetwork::stop_forwarding(bool ipv6) {
  if (!TRY(firewall_.forbids_foreign_forwarding(ipv6)) || !TRY(firewall_.is_only_gantry())) return {};
  auto route = TRY(route_.take());
  for (const Link& link : TRY(list_links(route.get()))) {
    if (link.kind == "bridge" && link.group != group_) return {};
  }
  return set_forwarding(ipv6, false);
}

Result<> BridgeNetwork::tear_down() {
  TRY(stop_forwarding(false));
  TRY(stop_forwarding(true));
  return firewall_.tear_down();
}

std::string BridgeNetwork::alias(const BridgeConfig& bridge) const {
  return options_.table_name + " network " + bridge.network_id.substr(0, 12);
}

Result<> BridgeNetwork::create_bridge(const BridgeConfig& bridge) {
  auto route = TRY(route_.take());
  SystemRandom random;
  bool existed = ::if_nametoindex(bridge.bridge_name.c_str()) != 0;
  // The rules first: traffic must not flow before they hold.
  TRY(firewall_.add_bridge(bridge, existed));
  TRY(foreign_.let_through(bridge.bridge_name));
  if (bridge.subnet6 && !bridge.internal) TRY(allow_forwarding(true).within("turning on IPv6 forwarding"));
  BridgeLink link{.name = bridge.bridge_name,
                  .group = group_,
                  .alias = alias(bridge),
                  .mtu = bridge.mtu,
                  .ipv6 = bridge.subnet6.has_value()};
  int index = TRY(ensure_bridge(route.get(), link, MacAddress::random_local(random)));
  if (bridge.subnet6) {
    // A router advertisement from a container must not give the host a route. And the bridge's link-local address, from
    // which the host looks for containers, must be usable at once: nobody else has it, the MAC is fresh.
    std::string settings = "/proc/sys/net/ipv6/conf/" + bridge.bridge_name;
    TRY(write_file(settings + "/accept_ra", "0"));
    TRY(write_file(settings + "/accept_dad", "0"));
  }
  TRY(set_addresses(route.get(), index, bridge.bridge_name, addresses_of(bridge)));
  TRY(set_up_bridge(route.get(), index, bridge.bridge_name, link.ipv6));
  if (bridge.gateway6) TRY(wait_usable(route.get(), *bridge.gateway6));
  std::lock_guard lock(mutex_);
  if (bridge.icc)
    isolated_.erase(bridge.bridge_name);
  else
    isolated_.insert(bridge.bridge_name);
  return {};
}

Result<> BridgeNetwork::remove_bridge(const BridgeConfig& bridge) {
  {
    auto route = TRY(route_.take());
    auto link = TRY(find_link(route.get(), bridge.bridge_name));
    // A bridge that was there before us belongs to somebody else and stays; interfaces in it that are ours do not.
    std::vector<std::string> ours;
    if (link && link->group == group_) ours.push_back(link->name);
    if (link) {
      for (const Link& port : TRY(list_links(route.get()))) {
        if (port.master == link->index && port.group == group_) ours.push_back(port.name);
      }
    }
    if (!ours.empty()) TRY(remover_.remove(ours));
  }
  TRY(firewall_.remove_bridge(bridge));
  TRY(foreign_.forget(bridge.bridge_name));
  std::lock_guard lock(mutex_);
  isolated_.erase(bridge.bridge_name);
  std::erase_if(used_, [&](const UsedAddress& used) { return used.first == bridge.bridge_name; });
  return {};
}

Result<std::unique_ptr<PortReservation>> BridgeNetwork::reserve_ports(const std::vector<PortRequest>& ports) {
  return ports_.reserve(ports);
}

bool BridgeNetwork::isolates_ports(const std::string& bridge_name) {
  std::lock_guard lock(mutex_);
  return isolated_.contains(bridge_name);
}

Result<> BridgeNetwork::attach(const EndpointConfig& endpoint, const NetnsAccess& netns) {
  auto route = TRY(route_.take());
  int bridge = TRY(index_of_bridge(endpoint.bridge_name));
  remover_.keep(endpoint.host_interface);
  auto made = make_interfaces(route.get(), endpoint, netns, bridge);
  if (made.ok()) made = firewall_.publish(endpoint);
  if (!made.ok()) {
    (void)detach(endpoint);  // the first error is the one to tell
    return made;
  }
  announce_if_reused(route.get(), endpoint, bridge);
  return {};
}

Result<> BridgeNetwork::make_interfaces(int route, const EndpointConfig& endpoint, const NetnsAccess& netns,
                                        int bridge) {
  VethPair pair{.host_name = endpoint.host_interface,
                .peer_name = endpoint.container_interface,
                .peer_netns = netns.netns,
                .peer_mac = endpoint.mac,
                .bridge = bridge,
                .group = group_,
                .mtu = endpoint.mtu};
  NetlinkBatch host;
  add_veth(host, pair);
  auto made = exchange(route, host);
  auto peer = TRY(find_link(netns.route, endpoint.container_interface));
  if (!made.ok() && made.error().errno_value() == EEXIST && !peer) {
    // The name is that of a dead container's interface, which the kernel has not cleared away yet.
    TRY(remover_.remove(endpoint.host_interface));
    made = exchange(route, host);
    peer = TRY(find_link(netns.route, endpoint.container_interface));
  }
  // Both ends there: attached before, and now it may get the default route.
  if (!made.ok() && !(made.error().errno_value() == EEXIST && peer)) return made;
  if (!peer) return internal_error("interface " + endpoint.container_interface + " went while it was being set up");

  NetlinkBatch inside;
  add_loopback_up(inside);
  add_peer_set_up(inside, {.index = peer->index,
                           .name = peer->name,
                           .addresses = addresses_of(endpoint),
                           .gateway4 = endpoint.gateway4,
                           .gateway6 = endpoint.gateway6});
  TRY(exchange(netns.route, inside));
  TRY(wait_operational(netns.route, endpoint.container_interface));
  if (endpoint.address6) TRY(wait_usable(netns.route, *endpoint.address6));
  return set_up_host_end(route, endpoint, bridge);
}

Result<> BridgeNetwork::set_up_host_end(int route, const EndpointConfig& endpoint, int bridge) {
  bool isolated = isolates_ports(endpoint.bridge_name);
  // With br_netfilter a packet to the container's own published port is turned round inside the bridge.
  bool hairpin = !endpoint.ports.empty() && bridges_call_iptables();
  if (isolated || hairpin) {
    auto link = TRY(find_link(route, endpoint.host_interface));
    if (!link || link->master != bridge) {
      return internal_error("interface " + endpoint.host_interface + " is not in bridge " + endpoint.bridge_name);
    }
    NetlinkBatch batch;
    add_port_flags(batch, link->index, endpoint.host_interface, isolated, hairpin);
    TRY(exchange(route, batch));
  }
  TRY(wait_operational(route, endpoint.host_interface));
  // A bridge is up only while it has a port that is: the first packets from the host would be dropped.
  return wait_operational(route, endpoint.bridge_name);
}

void BridgeNetwork::announce_if_reused(int route, const EndpointConfig& endpoint, int bridge) {
  for (const auto& address : {endpoint.address4, endpoint.address6}) {
    if (!address) continue;
    {
      std::lock_guard lock(mutex_);
      if (!used_.contains({endpoint.bridge_name, *address})) continue;
    }
    NetlinkBatch batch;
    add_neighbour(batch, bridge, *address, endpoint.mac);
    auto told = exchange(route, batch);
    if (told.ok()) told = announce(bridge, *address, endpoint.mac);
    // Without it neighbours find out by themselves, some seconds later.
    if (!told.ok()) log_warning(told.error().message());
  }
}

void BridgeNetwork::remember_addresses(const EndpointConfig& endpoint) {
  std::lock_guard lock(mutex_);
  for (const auto& address : {endpoint.address4, endpoint.address6}) {
    if (address) used_.insert({endpoint.bridge_name, *address});
  }
}

Result<> BridgeNetwork::redirect_dns(const NetnsAccess& netns, uint16_t udp_port, uint16_t tcp_port) {
  return net::redirect_dns(netns.netfilter, udp_port, tcp_port);
}

Result<> BridgeNetwork::loopback_up(const NetnsAccess& netns) {
  NetlinkBatch batch;
  add_loopback_up(batch);
  return exchange(netns.route, batch);
}

Result<> BridgeNetwork::detach(const EndpointConfig& endpoint) {
  // Both are tried, whatever becomes of the first.
  auto withdrawn = firewall_.withdraw(endpoint);
  auto removed = remover_.remove(endpoint.host_interface);
  remember_addresses(endpoint);
  TRY(std::move(withdrawn));
  return removed;
}

Result<> BridgeNetwork::detach_ended(const EndpointConfig& endpoint) {
  auto withdrawn = firewall_.withdraw(endpoint);
  remover_.remove_later(endpoint.host_interface);
  remember_addresses(endpoint);
  return withdrawn;
}

Result<std::vector<Subnet>> BridgeNetwork::routes_in_use() {
  auto route = TRY(route_.take());
  std::set<int> ours;
  for (const Link& link : TRY(list_links(route.get()))) {
    if (link.group == group_) ours.insert(link.index);
  }
  std::set<Subnet> found;
  for (const OnLinkRoute& one : TRY(on_link_routes(route.get()))) {
    bool link_local = one.destination.address().is_v6() && one.destination.address().bytes()[0] == 0xfe;
    if (!ours.contains(one.interface) && !link_local) found.insert(one.destination);
  }
  for (const Subnet& nameserver : host_nameservers()) found.insert(nameserver);
  return std::vector<Subnet>(found.begin(), found.end());
}

Result<> BridgeNetwork::remove_all_but(const std::vector<BridgeConfig>& bridges,
                                       const std::vector<EndpointConfig>& endpoints) {
  std::set<std::string> wanted;
  for (const BridgeConfig& bridge : bridges) wanted.insert(bridge.bridge_name);
  for (const EndpointConfig& endpoint : endpoints) wanted.insert(endpoint.host_interface);
  std::vector<std::string> stale;
  {
    auto route = TRY(route_.take());
    uint32_t leaving = kGroupOfLeaving | (group_ & kDaemonMask);
    for (const Link& link : TRY(list_links(route.get()))) {
      bool ours = link.group == group_ || link.group == leaving;
      if (ours && !wanted.contains(link.name)) stale.push_back(link.name);
    }
  }
  if (!stale.empty()) TRY(remover_.remove(stale));
  {
    std::lock_guard lock(mutex_);
    for (const BridgeConfig& bridge : bridges) {
      if (!bridge.icc) isolated_.insert(bridge.bridge_name);
    }
  }
  for (const EndpointConfig& endpoint : endpoints) remember_addresses(endpoint);
  return firewall_.replace_all(bridges, endpoints);
}

}  // namespace gantry::net
