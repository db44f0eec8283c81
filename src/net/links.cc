#include "net/links.h"

#include <net/if.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/fd.h"
#include "base/scope_exit.h"
#include "base/strings.h"

namespace gantry::net {
namespace {

constexpr int kLoopback = 1;  // the first interface of every namespace
// IFLA_GSO_IPV4_MAX_SIZE (Linux 6.3), which Debian 12's headers do not have.
constexpr uint16_t kGsoIpv4MaxSize = 63;
// The kernel takes 8 * 65535 at most. More than this moves no more, and holds a wire up for longer.
constexpr uint32_t kBigTcpSize = 192 << 10;

Bytes raw(const IpAddress& address) { return {address.bytes(), address.size()}; }
uint8_t family_of(const IpAddress& address) { return address.is_v6() ? AF_INET6 : AF_INET; }

Link parse_link(Bytes payload) {
  Link link;
  auto head = read_header<ifinfomsg>(payload);
  if (!head) return link;
  link.index = head->ifi_index;
  link.up = (head->ifi_flags & IFF_UP) != 0;
  for (const Attribute& attribute : parse_attributes(behind_header(payload, sizeof(ifinfomsg)))) {
    switch (attribute.type) {
      case IFLA_IFNAME:
        link.name = attribute.text();
        break;
      case IFLA_MASTER:
        link.master = static_cast<int>(attribute.number());
        break;
      case IFLA_LINK:
        link.peer = static_cast<int>(attribute.number());
        break;
      case IFLA_GROUP:
        link.group = attribute.number();
        break;
      case IFLA_MTU:
        link.mtu = attribute.number();
        break;
      case IFLA_OPERSTATE:
        link.operational = attribute.number() == IF_OPER_UP || attribute.number() == IF_OPER_UNKNOWN;
        break;
      case IFLA_LINKINFO:
        if (auto kind = find_attribute(attribute.value, IFLA_INFO_KIND)) link.kind = kind->text();
        break;
      default:
        break;
    }
  }
  return link;
}

// 169.254.0.0/16, fe80::/10.
bool is_link_local(const IpAddress& address) {
  if (address.is_v4()) return address.to_v4() >> 16 == 0xa9fe;
  return address.bytes()[0] == 0xfe && (address.bytes()[1] & 0xc0) == 0x80;
}

void begin_link(NetlinkBatch& batch, uint16_t type, uint16_t flags, std::string what, ifinfomsg head) {
  batch.begin(type, flags, std::move(what));
  batch.header(head);
}

// No link-local address: an interface on a network without IPv6 speaks none.
void add_address_generation(NetlinkBatch& batch, bool ipv6) {
  auto inet6 = batch.nest(AF_INET6);
  batch.number(IFLA_INET6_ADDR_GEN_MODE, static_cast<uint8_t>(ipv6 ? IN6_ADDR_GEN_MODE_EUI64 : IN6_ADDR_GEN_MODE_NONE));
}

// Of its own accord the kernel makes a queue for every possible processor, each with directories in sysfs, and takes all
// but one away again (veth_init_queues), for which it waits for all processors: milliseconds where they have work.
void add_one_queue(NetlinkBatch& batch) {
  batch.number(IFLA_NUM_TX_QUEUES, uint32_t{1});
  batch.number(IFLA_NUM_RX_QUEUES, uint32_t{1});
}

// An older kernel passes over what it does not know.
void add_big_tcp(NetlinkBatch& batch) { batch.number(kGsoIpv4MaxSize, kBigTcpSize); }

void add_address(NetlinkBatch& batch, int index, const std::string& name, const AddressOnLink& wanted) {
  const IpAddress& address = wanted.address;
  batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, "add address " + address.to_string() + " to " + name);
  // Duplicate address detection would keep an IPv6 address useless for a second; ours are unique by allocation.
  batch.header(ifaddrmsg{.ifa_family = family_of(address),
                         .ifa_prefixlen = static_cast<uint8_t>(wanted.prefix),
                         .ifa_flags = static_cast<uint8_t>(address.is_v6() ? IFA_F_NODAD : 0),
                         .ifa_scope = static_cast<uint8_t>(is_link_local(address) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE),
                         .ifa_index = static_cast<uint32_t>(index)});
  batch.attribute(IFA_LOCAL, raw(address));
  batch.attribute(IFA_ADDRESS, raw(address));
  if (address.is_v4() && wanted.prefix < 31) {
    batch.attribute(IFA_BROADCAST, raw(Subnet(address, wanted.prefix).last()));
  }
}

// Without a gateway everything is looked for on the link.
void add_default_route(NetlinkBatch& batch, int index, uint8_t family, const std::optional<IpAddress>& gateway) {
  batch.begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE,
              "set default route" + (gateway ? " via " + gateway->to_string() : std::string()));
  batch.header(rtmsg{.rtm_family = family,
                     .rtm_table = RT_TABLE_MAIN,
                     .rtm_protocol = RTPROT_BOOT,
                     .rtm_scope = static_cast<uint8_t>(gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK),
                     .rtm_type = RTN_UNICAST});
  if (gateway) batch.attribute(RTA_GATEWAY, raw(*gateway));
  batch.number(RTA_OIF, index);
}

void add_bridge_port(NetlinkBatch& batch, BridgePortFlags flags) {
  auto info = batch.nest(IFLA_LINKINFO);
  batch.attribute(IFLA_INFO_SLAVE_KIND, std::string_view("bridge"));
  auto settings = batch.nest(IFLA_INFO_SLAVE_DATA);
  batch.number(IFLA_BRPORT_ISOLATED, static_cast<uint8_t>(flags.isolated));
  batch.number(IFLA_BRPORT_MODE, static_cast<uint8_t>(flags.hairpin));
}

void add_veth(NetlinkBatch& batch, const VethPair& pair) {
  // Not up yet: each time its carrier or operational state changes the bridge goes through all its ports, and IPv6
  // through all routes. The echo tells what the peer's index is, since Linux 6.2.
  begin_link(batch, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO, "make interface " + pair.host_name,
             {.ifi_family = AF_UNSPEC});
  batch.attribute(IFLA_IFNAME, pair.host_name);
  batch.number(IFLA_MASTER, pair.bridge);
  batch.number(IFLA_GROUP, pair.group);
  batch.number(IFLA_TXQLEN, uint32_t{0});
  add_one_queue(batch);
  if (pair.mtu) batch.number(IFLA_MTU, uint32_t{*pair.mtu});
  if (pair.big_tcp) add_big_tcp(batch);
  {
    auto info = batch.nest(IFLA_LINKINFO);
    batch.attribute(IFLA_INFO_KIND, std::string_view("veth"));
    auto data = batch.nest(IFLA_INFO_DATA);
    auto peer = batch.nest(VETH_INFO_PEER);
    batch.header(ifinfomsg{.ifi_family = AF_UNSPEC});
    batch.attribute(IFLA_IFNAME, pair.peer_name);
    batch.attribute(IFLA_ADDRESS, bytes_of(pair.peer_mac.bytes));
    batch.number(IFLA_NET_NS_FD, pair.peer_netns);
    add_one_queue(batch);
    if (pair.mtu) batch.number(IFLA_MTU, uint32_t{*pair.mtu});
    if (pair.big_tcp) add_big_tcp(batch);
  }
  // What creation does not take; in time, because the kernel makes no addresses for an interface that is down.
  begin_link(batch, RTM_NEWLINK, 0, "configure interface " + pair.host_name, {.ifi_family = AF_UNSPEC});
  batch.attribute(IFLA_IFNAME, pair.host_name);
  if (pair.flags.isolated || pair.flags.hairpin) add_bridge_port(batch, pair.flags);
  auto spec = batch.nest(IFLA_AF_SPEC);
  add_address_generation(batch, false);
}

// Fails if there is none of that name.
void add_link_question(NetlinkBatch& batch, const std::string& name) {
  begin_link(batch, RTM_GETLINK, 0, "look up interface " + name, {.ifi_family = AF_UNSPEC});
  batch.attribute(IFLA_IFNAME, name);
  batch.number(IFLA_EXT_MASK, uint32_t{RTEXT_FILTER_SKIP_STATS});
}

// Like exchange, and returns the answers.
Result<std::vector<Link>> exchange_for_links(int route, NetlinkBatch& batch) {
  std::vector<Link> links;
  TRY(exchange(route, batch, [&](uint16_t type, Bytes payload) {
    if (type == RTM_NEWLINK) links.push_back(parse_link(payload));
  }));
  return links;
}

// Does the kernel take packets to this address for its own?
Result<bool> is_local(int route, const IpAddress& address) {
  NetlinkBatch request;
  request.begin(RTM_GETROUTE, 0, "look up " + address.to_string());
  request.header(rtmsg{.rtm_family = family_of(address), .rtm_dst_len = static_cast<uint8_t>(address.size() * 8)});
  request.attribute(RTA_DST, raw(address));
  bool local = false;
  auto done = dump(route, request, [&](uint16_t type, Bytes payload) {
    auto head = read_header<rtmsg>(payload);
    local = type == RTM_NEWROUTE && head && head->rtm_type == RTN_LOCAL;
  });
  if (!done.ok() && done.error().errno_value() != ENETUNREACH) return std::move(done).error();
  return local;
}

// Until `holds` says so, looking again whenever there is news of the group, for a second at most.
// Subscribes on this very socket, because it decides the namespace; what is left in it afterwards answers no request
// and is passed over.
template <class F>
Result<> wait_for(int route, int group, const std::string& failure, F holds) {
  if (TRY(holds())) return {};
  // Subscribe first and look again, so that a change between the two is not missed.
  if (::setsockopt(route, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
    return Error::from_errno(errno, "subscribe to interface changes");
  }
  ScopeExit unsubscribe([&] { ::setsockopt(route, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group); });
  using namespace std::chrono;
  auto deadline = steady_clock::now() + seconds(1);
  std::vector<uint8_t> buffer(32768);
  while (!TRY(holds())) {
    auto left = duration_cast<milliseconds>(deadline - steady_clock::now()).count();
    if (left <= 0) return Error(Code::unavailable, failure + " within a second");
    pollfd waiting{.fd = route, .events = POLLIN};
    ::poll(&waiting, 1, static_cast<int>(left));
    while (::recv(route, buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) {
    }
  }
  return {};
}

}  // namespace

Result<std::vector<Link>> list_links(int route) {
  NetlinkBatch request;
  begin_link(request, RTM_GETLINK, NLM_F_DUMP, "list network interfaces", {.ifi_family = AF_UNSPEC});
  std::vector<Link> links;
  TRY(dump(route, request, [&](uint16_t type, Bytes payload) {
    if (type == RTM_NEWLINK) links.push_back(parse_link(payload));
  }));
  return links;
}

// Not if_nametoindex(3), whose errno does not tell a missing interface from a lack of descriptors, and which makes a
// socket of its own each time.
Result<int> link_index(int route, const std::string& name) {
  ifreq request{};
  if (name.size() >= sizeof request.ifr_name) return not_found("interface " + name + " does not exist");
  std::memcpy(request.ifr_name, name.c_str(), name.size());
  if (::ioctl(route, SIOCGIFINDEX, &request) == 0) return request.ifr_ifindex;
  if (errno == ENODEV) return not_found("interface " + name + " does not exist");
  return Error::from_errno(errno, "look up interface " + name);
}

Result<std::optional<Link>> find_link(int route, const std::string& name) {
  NetlinkBatch batch;
  add_link_question(batch, name);
  auto links = exchange_for_links(route, batch);
  if (!links.ok() && links.error().errno_value() == ENODEV) return std::optional<Link>();
  if (!links.ok()) return std::move(links).error();
  return links->empty() ? std::optional<Link>() : std::optional<Link>(std::move(links->front()));
}

Result<int> ensure_bridge(int route, const BridgeLink& bridge, const MacAddress& mac) {
  auto existing = TRY(find_link(route, bridge.name));
  if (existing && existing->kind != "bridge") {
    return conflict("cannot make bridge " + bridge.name + ": an interface of that name exists and is no bridge");
  }
  NetlinkBatch batch;
  if (!existing) {
    begin_link(batch, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "make bridge " + bridge.name, {.ifi_family = AF_UNSPEC});
    batch.attribute(IFLA_IFNAME, bridge.name);
    batch.attribute(IFLA_ADDRESS, bytes_of(mac.bytes));
    batch.number(IFLA_GROUP, bridge.group);
    if (bridge.mtu) batch.number(IFLA_MTU, uint32_t{*bridge.mtu});
    auto info = batch.nest(IFLA_LINKINFO);
    batch.attribute(IFLA_INFO_KIND, std::string_view("bridge"));
    auto data = batch.nest(IFLA_INFO_DATA);
    // Without a router that asks who listens, which these networks have not, a bridge that watches for answers floods
    // multicast all the same, but restarts two timers of every port for each that comes or goes.
    batch.number(IFLA_BR_MCAST_SNOOPING, uint8_t{0});
  }
  if (existing && bridge.mtu && existing->mtu != *bridge.mtu) {
    begin_link(batch, RTM_SETLINK, 0, "set the MTU of bridge " + bridge.name,
               {.ifi_family = AF_UNSPEC, .ifi_index = existing->index});
    batch.number(IFLA_MTU, uint32_t{*bridge.mtu});
  }
  if (!existing) {
    begin_link(batch, RTM_SETLINK, 0, "label bridge " + bridge.name, {.ifi_family = AF_UNSPEC});
    batch.attribute(IFLA_IFNAME, bridge.name);
    batch.attribute(IFLA_IFALIAS, bridge.alias);
  }
  if (!batch.empty()) {
    auto made = exchange(route, batch);
    // Another thread may have been quicker: the bridge is there, which is what was wanted.
    if (!made.ok() && made.error().errno_value() != EEXIST) return std::move(made).error();
  }
  auto found = existing ? existing : TRY(find_link(route, bridge.name));
  if (!found) return internal_error("bridge " + bridge.name + " was removed while it was being made");
  return found->index;
}

Result<> set_up_bridge(int route, int index, const std::string& name, BridgeSetting setting) {
  NetlinkBatch batch;
  // Address generation must be decided before the interface comes up, when the kernel makes link-local addresses.
  begin_link(batch, RTM_SETLINK, 0, "configure bridge " + name, {.ifi_family = AF_UNSPEC, .ifi_index = index});
  {
    auto spec = batch.nest(IFLA_AF_SPEC);
    {
      auto inet = batch.nest(AF_INET);
      auto settings = batch.nest(IFLA_INET_CONF);
      batch.number(IPV4_DEVCONF_ROUTE_LOCALNET, uint32_t{setting.route_localnet});
    }
    add_address_generation(batch, setting.ipv6);
  }
  begin_link(batch, RTM_SETLINK, 0, "bring up bridge " + name,
             {.ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP});
  return exchange(route, batch);
}

Result<> set_addresses(int route, int index, const std::string& name, const std::vector<AddressOnLink>& wanted) {
  NetlinkBatch request;
  request.begin(RTM_GETADDR, NLM_F_DUMP, "list addresses of " + name);
  request.header(ifaddrmsg{.ifa_family = AF_UNSPEC});
  std::vector<AddressOnLink> present;
  TRY(dump(route, request, [&](uint16_t type, Bytes payload) {
    auto head = read_header<ifaddrmsg>(payload);
    if (type != RTM_NEWADDR || !head || static_cast<int>(head->ifa_index) != index) return;
    if (head->ifa_scope != RT_SCOPE_UNIVERSE) return;
    for (const Attribute& attribute : parse_attributes(behind_header(payload, sizeof(ifaddrmsg)))) {
      if (attribute.type != IFA_ADDRESS) continue;
      IpAddress address = IpAddress::v4(attribute.big_endian());
      if (attribute.value.size() == 16) {
        std::array<uint8_t, 16> bytes;
        std::copy(attribute.value.begin(), attribute.value.end(), bytes.begin());
        address = IpAddress::v6(bytes);
      }
      present.push_back({address, head->ifa_prefixlen});
    }
  }));
  auto same = [](const AddressOnLink& a, const AddressOnLink& b) {
    return a.address == b.address && a.prefix == b.prefix;
  };
  auto has = [&](const std::vector<AddressOnLink>& list, const AddressOnLink& one) {
    return std::any_of(list.begin(), list.end(), [&](const AddressOnLink& other) { return same(one, other); });
  };
  NetlinkBatch batch;
  for (const AddressOnLink& old : present) {
    if (has(wanted, old)) continue;
    batch.begin(RTM_DELADDR, 0, "remove address " + old.address.to_string() + " from " + name);
    batch.header(ifaddrmsg{.ifa_family = family_of(old.address),
                           .ifa_prefixlen = static_cast<uint8_t>(old.prefix),
                           .ifa_index = static_cast<uint32_t>(index)});
    batch.attribute(IFA_LOCAL, raw(old.address));
    batch.attribute(IFA_ADDRESS, raw(old.address));
  }
  for (const AddressOnLink& address : wanted) {
    if (!has(present, address)) add_address(batch, index, name, address);
  }
  if (batch.empty()) return {};
  return exchange(route, batch);
}

Result<> set_big_tcp(int route, const std::string& name) {
  NetlinkBatch batch;
  begin_link(batch, RTM_SETLINK, 0, "set the packet size of " + name, {.ifi_family = AF_UNSPEC});
  batch.attribute(IFLA_IFNAME, name);
  add_big_tcp(batch);
  return exchange(route, batch);
}

Result<int> make_veth(int route, const VethPair& pair, int peer_route) {
  NetlinkBatch batch;
  add_veth(batch, pair);
  const auto echo = TRY(exchange_for_links(route, batch));
  if (!echo.empty() && echo.front().peer != 0) return echo.front().peer;
  const auto peer = TRY(find_link(peer_route, pair.peer_name));
  if (!peer) return internal_error("interface " + pair.peer_name + " went while it was being set up");
  return peer->index;
}

void add_to_bridge(NetlinkBatch& batch, const std::string& name, int bridge) {
  begin_link(batch, RTM_SETLINK, 0, "put interface " + name + " into its bridge",
             {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP});
  batch.attribute(IFLA_IFNAME, name);
  batch.number(IFLA_MASTER, bridge);
}

void add_port_flags(NetlinkBatch& batch, const std::string& name, BridgePortFlags flags) {
  begin_link(batch, RTM_NEWLINK, 0, "configure bridge port " + name, {.ifi_family = AF_UNSPEC});
  batch.attribute(IFLA_IFNAME, name);
  add_bridge_port(batch, flags);
}

void add_loopback_up(NetlinkBatch& batch) {
  begin_link(batch, RTM_SETLINK, 0, "bring up lo",
             {.ifi_family = AF_UNSPEC, .ifi_index = kLoopback, .ifi_flags = IFF_UP, .ifi_change = IFF_UP});
}

void add_peer_set_up(NetlinkBatch& batch, const PeerSetUp& peer) {
  bool ipv6 = std::any_of(peer.addresses.begin(), peer.addresses.end(),
                          [](const AddressOnLink& one) { return one.address.is_v6(); });
  if (!ipv6) {
    begin_link(batch, RTM_SETLINK, 0, "configure interface " + peer.name,
               {.ifi_family = AF_UNSPEC, .ifi_index = peer.index});
    auto spec = batch.nest(IFLA_AF_SPEC);
    add_address_generation(batch, false);
  }
  begin_link(batch, RTM_SETLINK, 0, "bring up interface " + peer.name,
             {.ifi_family = AF_UNSPEC, .ifi_index = peer.index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP});
  for (const auto* list : {&peer.addresses, &peer.link_local}) {
    for (const AddressOnLink& address : *list) add_address(batch, peer.index, peer.name, address);
  }
  for (const auto& [family, gateway] : {std::pair{AF_INET, peer.gateway4}, {AF_INET6, peer.gateway6}}) {
    if (gateway) {
      add_default_route(batch, peer.index, static_cast<uint8_t>(family), peer.routes_all ? std::nullopt : gateway);
    }
  }
}

Result<> delete_link(int route, const std::string& name) {
  NetlinkBatch batch;
  begin_link(batch, RTM_DELLINK, 0, "remove interface " + name, {.ifi_family = AF_UNSPEC});
  batch.attribute(IFLA_IFNAME, name);
  auto done = exchange(route, batch);
  if (!done.ok() && done.error().errno_value() == ENODEV) return {};
  return done;
}

Result<> delete_group(int route, uint32_t group) {
  NetlinkBatch batch;
  begin_link(batch, RTM_DELLINK, 0, "remove interfaces", {.ifi_family = AF_UNSPEC});
  batch.number(IFLA_GROUP, group);
  auto done = exchange(route, batch);
  if (!done.ok() && done.error().errno_value() == ENODEV) return {};
  return done;
}

void add_group_change(NetlinkBatch& batch, const std::string& name, uint32_t group) {
  begin_link(batch, RTM_SETLINK, 0, "mark interface " + name, {.ifi_family = AF_UNSPEC});
  batch.attribute(IFLA_IFNAME, name);
  batch.number(IFLA_GROUP, group);
}

void add_farewell(NetlinkBatch& batch, const std::string& name, uint32_t group) {
  begin_link(batch, RTM_SETLINK, 0, "take down interface " + name,
             {.ifi_family = AF_UNSPEC, .ifi_flags = 0, .ifi_change = IFF_UP});
  batch.attribute(IFLA_IFNAME, name);
  batch.number(IFLA_GROUP, group);
}

Result<> bring_up(int route, const std::string& name) {
  NetlinkBatch batch;
  begin_link(batch, RTM_SETLINK, 0, "bring up interface " + name,
             {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP});
  batch.attribute(IFLA_IFNAME, name);
  return exchange(route, batch);
}

Result<> wait_operational(int route, const std::vector<std::string>& names) {
  const auto all_are_up = [&]() -> Result<bool> {
    NetlinkBatch batch;
    for (const std::string& name : names) add_link_question(batch, name);
    auto links = exchange_for_links(route, batch);  // since Linux 6.8 this alone makes the kernel catch up
    if (!links.ok() && links.error().errno_value() == ENODEV) return not_found(links.error().message());
    if (!links.ok()) return std::move(links).error();
    return std::all_of(links->begin(), links->end(), [](const Link& link) { return link.operational; });
  };
  return wait_for(route, RTNLGRP_LINK, "interface " + join(names, " or ") + " did not come up", all_are_up);
}

Result<> wait_usable(int route, const IpAddress& address) {
  if (address.is_v4()) return {};
  return wait_for(route, RTNLGRP_IPV6_IFADDR, "address " + address.to_string() + " did not become usable",
                  [&]() -> Result<bool> { return is_local(route, address); });
}

void add_neighbour(NetlinkBatch& batch, int index, const IpAddress& address, const MacAddress& mac) {
  batch.begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, "announce " + address.to_string());
  batch.header(ndmsg{.ndm_family = family_of(address), .ndm_ifindex = index, .ndm_state = NUD_REACHABLE});
  batch.attribute(NDA_DST, raw(address));
  batch.attribute(NDA_LLADDR, bytes_of(mac.bytes));
}

Result<std::vector<OnLinkRoute>> on_link_routes(int route) {
  NetlinkBatch request;
  request.begin(RTM_GETROUTE, NLM_F_DUMP, "list routes");
  request.header(rtmsg{.rtm_family = AF_UNSPEC});
  std::vector<OnLinkRoute> routes;
  TRY(dump(route, request, [&](uint16_t type, Bytes payload) {
    auto head = read_header<rtmsg>(payload);
    if (type != RTM_NEWROUTE || !head || head->rtm_type != RTN_UNICAST || head->rtm_table == RT_TABLE_LOCAL) return;
    std::optional<IpAddress> destination;
    int interface = 0;
    for (const Attribute& attribute : parse_attributes(behind_header(payload, sizeof(rtmsg)))) {
      if (attribute.type == RTA_GATEWAY || attribute.type == RTA_VIA) return;
      if (attribute.type == RTA_OIF) interface = static_cast<int>(attribute.number());
      if (attribute.type != RTA_DST) continue;
      if (attribute.value.size() == 4) destination = IpAddress::v4(attribute.big_endian());
      if (attribute.value.size() == 16) {
        std::array<uint8_t, 16> bytes;
        std::copy(attribute.value.begin(), attribute.value.end(), bytes.begin());
        destination = IpAddress::v6(bytes);
      }
    }
    if (destination && head->rtm_dst_len <= destination->size() * 8) {
      routes.push_back({Subnet(*destination, head->rtm_dst_len), interface});
    }
  }));
  return routes;
}

}  // namespace gantry::net
