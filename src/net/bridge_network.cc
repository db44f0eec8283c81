#include "net/bridge_network.h"

#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/fd.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"
#include "net/announce.h"
#include "net/dns_redirect.h"
#include "net/endpoint_sysctls.h"
#include "net/forwarding.h"
#include "net/host_nameservers.h"
#include "net/parent_links.h"

namespace gantry::net {
namespace {

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

IpAddress link_local_one() {
  std::array<uint8_t, 16> bytes{0xfe, 0x80};
  bytes[15] = 1;
  return IpAddress::v6(bytes);
}

std::vector<AddressOnLink> addresses_of(const BridgeConfig& bridge) {
  std::vector<AddressOnLink> list;
  if (bridge.gateway4 && bridge.subnet4) list.push_back({*bridge.gateway4, bridge.subnet4->prefix()});
  if (!bridge.gateway6 || !bridge.subnet6) return list;
  list.push_back({*bridge.gateway6, bridge.subnet6->prefix()});
  // The host looks for neighbours of packets that it forwards from a link-local address. One that the kernel makes is
  // tentative for a second or two, in which nobody outside could reach the first container.
  list.push_back({link_local_one(), 64});
  return list;
}

std::vector<AddressOnLink> addresses_of(const EndpointConfig& endpoint) {
  std::vector<AddressOnLink> list;
  if (endpoint.address4) list.push_back({*endpoint.address4, endpoint.subnet4 ? endpoint.subnet4->prefix() : 32});
  if (endpoint.address6) list.push_back({*endpoint.address6, endpoint.subnet6 ? endpoint.subnet6->prefix() : 128});
  return list;
}

Result<int> index_of_bridge(int route, const std::string& name) {
  auto index = link_index(route, name);
  if (!index.ok() && index.error().code() == Code::not_found) {
    return not_found("bridge " + name + " is missing: was it removed by another program?");
  }
  return index;
}

// In ipvlan's routed modes there is no link layer to ask for a gateway: everything goes out of the interface.
bool routes_all(const EndpointConfig& endpoint) {
  return endpoint.parent && endpoint.parent->kind == ParentLink::Kind::ipvlan && endpoint.parent->mode.starts_with("l3");
}

std::vector<AddressOnLink> link_local_of(const EndpointConfig& endpoint) {
  std::vector<AddressOnLink> list;
  for (const IpAddress& address : endpoint.link_local) list.push_back({address, address.is_v6() ? 64u : 16u});
  return list;
}

}  // namespace

BridgeNetwork::BridgeNetwork(Options options)
    : options_(std::move(options)),
      group_(kGroupOfGantry | daemon_number(options_.table_name)),
      route_(NETLINK_ROUTE),
      firewall_(options_.table_name),
      foreign_(options_.table_name),
      remover_(route_, kGroupOfLeaving | daemon_number(options_.table_name)) {}

BridgeNetwork::~BridgeNetwork() = default;

// What a daemon had marked when it was killed may still be wanted: remove_all_but() decides. Left marked, a bridge would be
// nobody's, and the interface of a container that runs would go with the next group.
Result<> BridgeNetwork::take_back_leaving() {
  auto route = TRY(route_.take());
  NetlinkBatch batch;
  for (const Link& link : TRY(list_links(route.get()))) {
    if (link.group == (kGroupOfLeaving | (group_ & kDaemonMask))) add_group_change(batch, link.name, group_);
  }
  if (batch.empty()) return {};
  return exchange(route.get(), batch);
}

ParentWanted BridgeNetwork::parent_of(const BridgeConfig& network) const {
  return {.link = *network.parent, .private_name = network.bridge_name, .group = group_, .alias = alias(network)};
}

std::string BridgeNetwork::alias(const BridgeConfig& bridge) const {
  return options_.table_name + " network " + bridge.network_id.substr(0, 12);
}

Result<> BridgeNetwork::create_bridge(const BridgeConfig& bridge) {
  auto route = TRY(route_.take());
  if (bridge.parent) return ensure_parent(route.get(), parent_of(bridge));
  remover_.wait_taken_down();  // or a subnet that was given back would be at two bridges
  remover_.keep(bridge.bridge_name);
  const auto index = link_index(route.get(), bridge.bridge_name);
  if (!index.ok() && index.error().code() != Code::not_found) return index.error();
  const bool existed = index.ok();
  // The rules first: traffic must not flow before they hold.
  TRY(firewall_.add_bridge(bridge, existed));
  TRY(foreign_.let_through(bridge.bridge_name));
  if (translates_ && bridge.subnet6 && !bridge.internal) TRY(allow_forwarding(true).within("turning on IPv6 forwarding"));
  if (auto made = make_bridge(route.get(), bridge); !made.ok()) {
    // The first error is the one to tell.
    if (!existed) (void)delete_link(route.get(), bridge.bridge_name);
    (void)firewall_.remove_bridge(bridge);
    (void)foreign_.forget(bridge.bridge_name);
    return made;
  }
  std::lock_guard lock(mutex_);
  bridges_.insert_or_assign(bridge.bridge_name, bridge);
  if (bridge.icc)
    isolated_.erase(bridge.bridge_name);
  else
    isolated_.insert(bridge.bridge_name);
  return {};
}

Result<> BridgeNetwork::make_bridge(int route, const BridgeConfig& bridge) {
  SystemRandom random;
  BridgeLink link{.name = bridge.bridge_name,
                  .group = group_,
                  .alias = alias(bridge),
                  .mtu = bridge.mtu,
                  .ipv6 = bridge.subnet6 && bridge.mode6 != GatewayMode::isolated};
  int index = TRY(ensure_bridge(route, link, MacAddress::random_local(random)));
  TRY(set_addresses(route, index, bridge.bridge_name, addresses_of(bridge)));
  // The loopback address is led into bridges only under rules that keep strangers off it.
  TRY(set_up_bridge(route, index, bridge.bridge_name, {.route_localnet = translates_}));
  if (!translates_ && bridge.internal) TRY(forward_nothing_from(bridge.bridge_name));
  if (bridge.gives_way) TRY(make_room(route, index, bridge));
  if (bridge.gateway6) TRY(wait_usable(route, *bridge.gateway6));
  return {};
}

// Two programs may have chosen the same free subnet at the same moment. Whose interface came later looks for another.
Result<> BridgeNetwork::make_room(int route, int index, const BridgeConfig& bridge) {
  for (const OnLinkRoute& other : TRY(on_link_routes(route))) {
    if (other.interface >= index || other.destination.prefix() == 0) continue;
    for (const auto& ours : {bridge.subnet4, bridge.subnet6}) {
      if (ours && ours->overlaps(other.destination)) {
        return conflict("subnet " + ours->to_string() + " was taken by another program meanwhile");
      }
    }
  }
  return {};
}

Result<std::vector<std::string>> BridgeNetwork::take_down(const std::string& bridge) {
  auto route = TRY(route_.take());
  const auto link = TRY(find_link(route.get(), bridge));
  std::vector<std::string> leaving;
  if (!link) return leaving;
  for (const Link& port : TRY(list_links(route.get()))) {
    if (port.master == link->index && port.group == group_) leaving.push_back(port.name);
  }
  // A bridge that was there before us belongs to somebody else and stays; interfaces in it that are ours do not.
  if (link->group != group_) return leaving;
  NetlinkBatch batch;
  add_farewell(batch, bridge, remover_.group());
  auto down = exchange(route.get(), batch);
  if (!down.ok() && down.error().errno_value() != ENODEV) return std::move(down).error();
  leaving.push_back(bridge);
  return leaving;
}

Result<> BridgeNetwork::remove_bridge(const BridgeConfig& bridge) {
  if (bridge.parent) {
    auto route = TRY(route_.take());
    return remove_parent(route.get(), parent_of(bridge));
  }
  {
    std::lock_guard lock(mutex_);
    bridges_.erase(bridge.bridge_name);
  }
  TRY(remover_.remove_behind([this, name = bridge.bridge_name] { return take_down(name); }));
  TRY(firewall_.remove_bridge(bridge));
  TRY(foreign_.forget(bridge.bridge_name));
  std::lock_guard lock(mutex_);
  isolated_.erase(bridge.bridge_name);
  take_big_tcp_.erase(bridge.bridge_name);
  std::erase_if(used_, [&](const UsedAddress& used) { return used.first == bridge.bridge_name; });
  return {};
}

Result<std::unique_ptr<PortReservation>> BridgeNetwork::reserve_ports(const std::vector<PortRequest>& ports,
                                                                      const PortOwner& owner) {
  return ports_.reserve(ports, owner);
}

std::vector<std::optional<Error>> BridgeNetwork::check_ports(const std::vector<PortQuestion>& questions,
                                                             const std::set<std::string>& leaving) {
  return ports_.check(questions, leaving);
}

bool BridgeNetwork::isolates_ports(const std::string& bridge_name) {
  std::lock_guard lock(mutex_);
  if (!isolated_.contains(bridge_name)) return false;
  // With br_netfilter translated packets go from port to port within the bridge, and the rules drop all others.
  return !(let_published_through_.contains(bridge_name) && bridges_call_iptables());
}

Result<> BridgeNetwork::attach(const EndpointConfig& endpoint, const NetnsAccess& netns) {
  auto attached = endpoint.parent ? attach_to_parent(endpoint, netns) : attach_to_bridge(endpoint, netns);
  if (attached.ok()) attached = apply_sysctls(netns.netns, endpoint.sysctls);
  if (!attached.ok()) (void)detach(endpoint, &netns);  // the first error is the one to tell
  return attached;
}

Result<> BridgeNetwork::attach_to_bridge(const EndpointConfig& endpoint, const NetnsAccess& netns) {
  auto route = TRY(route_.take());
  int bridge = TRY(index_of_bridge(route.get(), endpoint.bridge_name));
  remover_.keep(endpoint.host_interface);
  TRY(make_interfaces(route.get(), endpoint, netns, bridge));
  TRY(publish(endpoint));
  remember_interface(endpoint);
  announce_if_reused(route.get(), endpoint, bridge);
  return {};
}

Result<> BridgeNetwork::attach_to_parent(const EndpointConfig& endpoint, const NetnsAccess& netns) {
  if (!endpoint.ports.empty()) {
    log_warning("ports are not published through a network on parent " + endpoint.parent->interface +
                ": its containers are reached at their own addresses");
  }
  auto existing = TRY(find_link(netns.route, endpoint.container_interface));
  if (!existing) {
    auto route = TRY(route_.take());
    BridgeConfig network{.network_id = endpoint.network_id, .bridge_name = endpoint.bridge_name};
    network.parent = endpoint.parent;
    const int parent = TRY(index_of_parent(route.get(), parent_of(network)));
    NetlinkBatch batch;
    add_link_on_parent(batch, {.link = *endpoint.parent,
                               .parent = parent,
                               .name = endpoint.container_interface,
                               .netns = netns.netns,
                               .mac = endpoint.mac,
                               .mtu = endpoint.mtu});
    auto made = exchange(route.get(), batch);
    if (!made.ok() && made.error().errno_value() == EOPNOTSUPP) {
      return unsupported("this kernel has no such interfaces: " + made.error().message());
    }
    TRY(std::move(made));
    existing = TRY(find_link(netns.route, endpoint.container_interface));
  }
  if (!existing) return internal_error("interface " + endpoint.container_interface + " went while it was being set up");
  // Not waited for: it is operational when its parent is, which may have no cable.
  return set_up_inside(endpoint, netns, existing->index);
}

Result<> BridgeNetwork::make_interfaces(int route, const EndpointConfig& endpoint, const NetnsAccess& netns,
                                        int bridge) {
  const int peer = TRY(ensure_veth(route, endpoint, netns, bridge));
  if (endpoint.big_tcp) let_take_big_tcp(route, endpoint.bridge_name);
  TRY(set_up_inside(endpoint, netns, peer));
  TRY(bring_up(route, endpoint.host_interface));
  // A bridge is up only while it has a port that is: the first packets from the host would be dropped.
  TRY(wait_operational(route, {endpoint.host_interface, endpoint.bridge_name}));
  TRY(wait_operational(netns.route, {endpoint.container_interface}));
  return endpoint.address6 ? wait_usable(netns.route, *endpoint.address6) : Result<>();
}

// What is routed through the bridge is cut into packets otherwise, which is slower but no error: it may have ports of other
// programs that take less.
void BridgeNetwork::let_take_big_tcp(int route, const std::string& bridge_name) {
  {
    std::lock_guard lock(mutex_);
    if (!take_big_tcp_.insert(bridge_name).second) return;
  }
  const auto bridge = find_link(route, bridge_name);
  if (!bridge.ok() || !*bridge || (*bridge)->group != group_) return;  // one that was there before us stays as it is
  (void)set_big_tcp(route, bridge_name);
}

// The index inside.
Result<int> BridgeNetwork::ensure_veth(int route, const EndpointConfig& endpoint, const NetnsAccess& netns,
                                       int bridge) {
  const VethPair pair{.host_name = endpoint.host_interface,
                      .peer_name = endpoint.container_interface,
                      .peer_netns = netns.netns,
                      .peer_mac = endpoint.mac,
                      .bridge = bridge,
                      .group = group_,
                      .flags = port_flags(endpoint),
                      .mtu = endpoint.mtu,
                      .big_tcp = endpoint.big_tcp};
  auto made = make_veth(route, pair, netns.route);
  if (made.ok() || made.error().errno_value() != EEXIST) return made;
  const auto peer = TRY(find_link(netns.route, endpoint.container_interface));
  if (!peer) {
    // The name is that of a dead container's interface, which the kernel has not cleared away yet.
    TRY(remover_.remove(endpoint.host_interface));
    return make_veth(route, pair, netns.route);
  }
  if (!TRY(find_link(route, pair.host_name))) {
    // The other end went with its enclave, and this one is about to.
    TRY(delete_link(netns.route, endpoint.container_interface));
    return make_veth(route, pair, netns.route);
  }
  // Both ends there: attached before, and now it may get the default route and other ports.
  TRY(configure_port(route, endpoint));
  return peer->index;
}

Result<> BridgeNetwork::set_up_inside(const EndpointConfig& endpoint, const NetnsAccess& netns, int index) {
  NetlinkBatch inside;
  add_loopback_up(inside);
  add_peer_set_up(inside, {.index = index,
                           .name = endpoint.container_interface,
                           .addresses = addresses_of(endpoint),
                           .link_local = link_local_of(endpoint),
                           .gateway4 = endpoint.gateway4,
                           .gateway6 = endpoint.gateway6,
                           .routes_all = routes_all(endpoint)});
  return exchange(netns.route, inside);
}

// With br_netfilter a packet to the container's own published port is turned round inside the bridge.
BridgePortFlags BridgeNetwork::port_flags(const EndpointConfig& endpoint) {
  return {.isolated = isolates_ports(endpoint.bridge_name),
          .hairpin = !endpoint.ports.empty() && bridges_call_iptables()};
}

Result<> BridgeNetwork::configure_port(int route, const EndpointConfig& endpoint) {
  NetlinkBatch batch;
  add_port_flags(batch, endpoint.host_interface, port_flags(endpoint));
  return exchange(route, batch);
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
  if (udp_port == kDnsPort && tcp_port == kDnsPort) return {};
  return net::redirect_dns(netns.netfilter, udp_port, tcp_port);
}

Result<> BridgeNetwork::loopback_up(const NetnsAccess& netns) {
  NetlinkBatch batch;
  add_loopback_up(batch);
  return exchange(netns.route, batch);
}

Result<> BridgeNetwork::detach(const EndpointConfig& endpoint, const NetnsAccess* netns) {
  if (endpoint.parent) {
    if (netns == nullptr) return {};  // it goes with its namespace
    return delete_link(netns->route, endpoint.container_interface);
  }
  forget_interface(endpoint.host_interface);
  // Both are tried, whatever becomes of the first.
  auto withdrawn = withdraw(endpoint);
  auto removed = remover_.remove(endpoint.host_interface);
  remember_addresses(endpoint);
  TRY(std::move(withdrawn));
  return removed;
}

Result<> BridgeNetwork::detach_ended(const EndpointConfig& endpoint) {
  if (endpoint.parent) return {};
  forget_interface(endpoint.host_interface);
  auto withdrawn = withdraw(endpoint);
  remover_.remove_later(endpoint.host_interface);
  remember_addresses(endpoint);
  return withdrawn;
}

Result<bool> BridgeNetwork::is_attached(const EndpointConfig& endpoint) {
  if (endpoint.parent) return true;  // its interface is seen from inside alone
  auto route = TRY(route_.take());
  return link_index(route.get(), endpoint.host_interface).ok();
}

Result<> BridgeNetwork::publish(const EndpointConfig& endpoint) {
  TRY(firewall_.publish(endpoint));
  if (options_.has_programs) redirect_.publish(endpoint);
  return {};
}

Result<> BridgeNetwork::withdraw(const EndpointConfig& endpoint) {
  redirect_.withdraw(endpoint);
  return firewall_.withdraw(endpoint);
}

void BridgeNetwork::let_published_through(const std::string& bridge_name) {
  std::lock_guard lock(mutex_);
  let_published_through_.insert(bridge_name);
}

Result<> BridgeNetwork::unpublish(const EndpointConfig& endpoint) { return withdraw(endpoint); }

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
  for (const IpAddress& server : host_nameservers()) {
    found.insert(Subnet(server, static_cast<unsigned>(server.size() * 8)));
  }
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
  std::vector<BridgeConfig> filtered;
  std::copy_if(bridges.begin(), bridges.end(), std::back_inserter(filtered),
               [](const BridgeConfig& bridge) { return !bridge.parent; });
  std::vector<EndpointConfig> in_bridges;
  for (const EndpointConfig& endpoint : endpoints) {
    if (endpoint.parent) continue;
    remember_addresses(endpoint);
    remember_interface(endpoint);
    in_bridges.push_back(endpoint);
  }
  if (options_.has_programs) redirect_.replace_all(in_bridges);
  return firewall_.replace_all(filtered, in_bridges);
}

void BridgeNetwork::remember_interface(const EndpointConfig& endpoint) {
  std::lock_guard lock(mutex_);
  interfaces_[endpoint.host_interface] = endpoint.bridge_name;
}

void BridgeNetwork::forget_interface(const std::string& name) {
  std::lock_guard lock(mutex_);
  interfaces_.erase(name);
}

}  // namespace gantry::net
