// Interfaces, addresses and routes through an rtnetlink socket (rtnetlink(7), linux/if_link.h). The socket decides
// which network namespace is meant: that of whoever opened it, so the same functions serve the host and, through
// the socket that a container's init opened, the inside of a container.
//
// Blocking, any thread; one socket serves one call at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/address.h"
#include "net/netlink.h"

namespace gantry::net {

struct Link {
  int index = 0;
  std::string name;
  std::string kind;  // "bridge", "veth", "" for hardware
  int master = 0;
  int peer = 0;  // the other end's index, as its own namespace counts; 0: it has none
  uint32_t group = 0;
  bool up = false;
  bool operational = false;  // RFC 2863 operstate up or unknown
  unsigned mtu = 0;
};

Result<std::vector<Link>> list_links(int route);
// Code::not_found if there is none of that name.
Result<int> link_index(int route, const std::string& name);
// Nothing if there is none of that name.
Result<std::optional<Link>> find_link(int route, const std::string& name);

struct BridgeLink {
  std::string name;
  uint32_t group = 0;  // marks it as ours
  std::string alias;   // for people: what `ip link` shows
  std::optional<unsigned> mtu;
  bool ipv6 = false;  // without, it gets no link-local address either
};
// Makes the bridge, or brings one that exists into this shape. Down until set_up_bridge.
// STP stays off (the kernel's default), so ports forward at once. A random MAC is set explicitly: a bridge without
// one takes its lowest port's, and so changes it as containers come and go. Returns its index.
Result<int> ensure_bridge(int route, const BridgeLink& bridge, const MacAddress& mac);
struct BridgeSetting {
  bool ipv6 = false;            // the kernel makes it a link-local address
  bool route_localnet = false;  // packets from 127.0.0.0/8 may leave and re-enter through it
};
// Brings it up.
Result<> set_up_bridge(int route, int index, const std::string& name, BridgeSetting setting);

struct AddressOnLink {
  IpAddress address;
  unsigned prefix = 0;
};
// Makes these the interface's only addresses (of global scope).
Result<> set_addresses(int route, int index, const std::string& name, const std::vector<AddressOnLink>& wanted);

// What a bridge does with a port: isolated ports reach the bridge and ports that are not isolated, hairpin ports get back
// what they sent.
struct BridgePortFlags {
  bool isolated = false;
  bool hairpin = false;
};

struct VethPair {
  std::string host_name;
  std::string peer_name;
  int peer_netns = -1;
  MacAddress peer_mac;
  int bridge = 0;  // index
  uint32_t group = 0;
  BridgePortFlags flags;
  std::optional<unsigned> mtu;
  // TCP over IPv4 hands over up to 192 KB at once instead of 64 (BIG TCP, since Linux 6.3; before, nothing changes). What
  // leaves through an interface without it is cut into packets by the processor then.
  bool big_tcp = true;
};
// Host end in the bridge, without addresses of its own (it would otherwise take an IPv6 link-local one); the peer in
// its namespace with its name and MAC; both down. The peer should come up first: then the bridge goes through its ports once.
// Returns the peer's index.
// Error EEXIST: one of the names is taken.
Result<int> make_veth(int route, const VethPair& pair, int peer_route);
// The same size for a bridge itself, once it has ports: it takes no more than the least of them.
Result<> set_big_tcp(int route, const std::string& name);
// Puts an interface that exists into a bridge.
void add_to_bridge(NetlinkBatch& batch, const std::string& name, int bridge);
void add_port_flags(NetlinkBatch& batch, const std::string& name, BridgePortFlags flags);

// Inside a container.
void add_loopback_up(NetlinkBatch& batch);
struct PeerSetUp {
  int index = 0;
  std::string name;
  std::vector<AddressOnLink> addresses;
  std::vector<AddressOnLink> link_local;  // further ones
  std::optional<IpAddress> gateway4;
  std::optional<IpAddress> gateway6;
  bool routes_all = false;  // default routes lead out of the interface itself
};
void add_peer_set_up(NetlinkBatch& batch, const PeerSetUp& peer);

// Deletes the interface; one that is gone already is no error.
Result<> delete_link(int route, const std::string& name);
// Deletes all interfaces of the group in one go: the kernel's waiting (for readers of the old state) is then paid once.
// None there is no error.
Result<> delete_group(int route, uint32_t group);
void add_group_change(NetlinkBatch& batch, const std::string& name, uint32_t group);
// The same, and takes it down: its routes are gone then.
void add_farewell(NetlinkBatch& batch, const std::string& name, uint32_t group);

// One that is up already is no error.
Result<> bring_up(int route, const std::string& name);
// Returns when the interfaces' operational state is up, at the latest after a second (then with an error). The kernel
// works such changes off in its own time, and a bridge drops what comes before it has noticed.
Result<> wait_operational(int route, const std::vector<std::string>& names);
// The same for an address that was added: an IPv6 one receives nothing until the kernel has worked off its duplicate
// address detection, even when there is none to do. IPv4 addresses are usable at once.
Result<> wait_usable(int route, const IpAddress& address);

// Tells the host itself that the address now has this MAC.
void add_neighbour(NetlinkBatch& batch, int index, const IpAddress& address, const MacAddress& mac);

// Destinations that are directly reachable through an interface (no gateway), both families, unicast only.
struct OnLinkRoute {
  Subnet destination;
  int interface = 0;
};
Result<std::vector<OnLinkRoute>> on_link_routes(int route);

}  // namespace gantry::net
