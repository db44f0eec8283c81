// Networks of containers on one host: bridges, veth pairs, addresses, published ports and names.
// It knows interfaces, addresses and packets, not containers. All set-up is blocking netlink work for
// worker threads; address allocation (net/ipam.h) is pure and belongs to the loop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "net/address.h"

namespace gantry::net {

// Of a network without a bridge: each endpoint is an interface of its own upon one of the host's.
struct ParentLink {
  enum class Kind { macvlan, ipvlan };
  Kind kind = Kind::macvlan;
  // "eth0.50" is made as VLAN 50 of eth0 if it is missing. Empty: a private one that leads nowhere is made, with the
  // network's bridge_name.
  std::string interface;
  std::string mode;  // macvlan: bridge, private, vepa, passthru; ipvlan: l2, l3, l3s
  std::string flag;  // ipvlan: bridge, private, vepa
  friend bool operator==(const ParentLink&, const ParentLink&) = default;
};

// A network namespace in which bridges live apart from the host's, so that their subnets and names may be those of others.
// It is like a container of its own on a bridge of the host, the uplink: ports are published to its address there, and it
// translates them once more; what leaves it has that address.
struct Enclave {
  std::string id;      // unique on one daemon, at most 32 letters and digits
  IpAddress address;   // in the uplink
  Subnet uplink;       // the same for all of a daemon's
  IpAddress gateway;   // the host's address there
  friend bool operator==(const Enclave&, const Enclave&) = default;
};

// How hosts beyond the bridge and its containers reach each other, in one address family; Docker's words.
enum class GatewayMode {
  nat,              // published ports are translated, connections to the outside get the host's address
  nat_unprotected,  // the same, and every port is open to whoever has a route to the container's address
  routed,           // nothing is translated: published ports are open at the container's own address
  isolated,         // the bridge has no address: not even the host reaches the containers
};

struct BridgeConfig {
  std::string network_id;   // 64 hex
  std::string bridge_name;  // "br-" + 12 hex of the id, unless chosen by the user
  std::optional<ParentLink> parent;  // there is no bridge then, and of the rest only `internal` and the MTU count
  std::optional<Subnet> subnet4;
  std::optional<IpAddress> gateway4;  // the bridge's own address; none: isolated
  std::optional<Subnet> subnet6;
  std::optional<IpAddress> gateway6;
  bool internal = false;  // no way out, no way in from outside
  bool masquerade = true;
  GatewayMode mode4 = GatewayMode::nat;
  GatewayMode mode6 = GatewayMode::nat;
  bool icc = true;  // containers on it may talk to each other
  std::optional<unsigned> mtu;
  bool big_tcp = true;  // see VethPair
  std::string host_binding_ip;  // default host address of published ports; empty: all
  // The subnets were chosen by us: making the bridge fails (conflict) if another program took one of them since.
  bool gives_way = false;
  std::optional<Enclave> enclave;  // where the bridge is; nothing: on the host
};

struct PortForward {
  uint8_t protocol = 6;    // IPPROTO_TCP, UDP, SCTP
  std::string host_ip;     // empty: every address of the host
  uint16_t host_port = 0;  // as decided by reserve_ports; 0: none, clients come to the container's own address (routed)
  uint16_t container_port = 0;
  friend auto operator<=>(const PortForward&, const PortForward&) = default;
};

struct EndpointConfig {
  std::string network_id;
  std::string bridge_name;
  std::optional<ParentLink> parent;  // instead of a place in the bridge
  std::string host_interface;       // "veth" + 7 hex
  std::string container_interface;  // "eth0"
  MacAddress mac;
  std::optional<IpAddress> address4;
  std::optional<Subnet> subnet4;
  std::optional<IpAddress> gateway4;  // set only on the endpoint that gives the default route
  std::optional<IpAddress> address6;
  std::optional<Subnet> subnet6;
  std::optional<IpAddress> gateway6;
  std::optional<unsigned> mtu;
  bool big_tcp = true;
  std::vector<IpAddress> link_local;  // further addresses: 169.254.0.0/16, fe80::/64
  // Settings of the interface: name as of sysctl(8) ("net.ipv4.conf.eth0.log_martians"), value.
  std::vector<std::pair<std::string, std::string>> sysctls;
  std::vector<PortForward> ports;  // published through this endpoint, in the families that it has
  bool publishes4 = true;          // false: another endpoint has the ports of this family
  bool publishes6 = true;
  bool routed4 = false;      // its network's mode
  bool routed6 = false;
  std::optional<Enclave> enclave;  // its bridge's
};

// Sockets inside the container's network namespace (see engine/container/runtime.h, NetnsSockets).
struct NetnsAccess {
  int route = -1;
  int netfilter = -1;
  int netns = -1;
};

// A published port that the kernel's address translation cannot serve, carried by a process (net/forwarder.h): IPv6
// clients of a container without an IPv6 address, IPv4 clients of one without an IPv4 address, and [::1].
struct UserForward {
  uint8_t protocol = 6;  // TCP, UDP
  IpAddress host;
  uint16_t host_port = 0;
  IpAddress target;
  uint16_t target_port = 0;
  // Unique on one host: "tcp [::]:8080".
  std::string key() const;
  friend bool operator==(const UserForward&, const UserForward&) = default;
};

struct PortRequest {
  uint8_t protocol = 6;
  std::string host_ip;
  uint16_t host_first = 0;  // 0: ephemeral
  uint16_t host_last = 0;
  uint16_t container_port = 0;
};
// Who wants them, and where they lead.
struct PortOwner {
  std::string id;    // of the container
  std::string name;  // for others' messages
  std::optional<IpAddress> address4;
  std::optional<IpAddress> address6;
  bool routed4 = false;  // nothing of the host's is held for this family: clients come to the address itself
  bool routed6 = false;
  bool enclave4 = false;  // address4 is that of an enclave, which translates a port of the same number once more
  bool again = false;  // after a restart of the daemon: a process of ours may carry them already
};

// Host ports held for one container: bound and listening sockets which accept nothing, so that other programs
// get EADDRINUSE. Closing it gives them back.
class PortReservation {
 public:
  virtual ~PortReservation() = default;
  virtual const std::vector<PortForward>& ports() const = 0;  // with every host_port decided
  // What a process must carry, with the listening (UDP: bound) socket; an invalid one if a process of ours, of before
  // the daemon's restart, holds it still. The sockets are copies: they keep the port.
  struct Carried {
    UserForward forward;
    int socket = -1;  // owned by the reservation
  };
  virtual std::vector<Carried> carried() const = 0;
  // They lead elsewhere from now on: carried() says where to. What is translated is the firewall's to change. False, and
  // nothing has changed: the new owner is routed in other families, so that other ports of the host have to be held.
  virtual bool lead_to(const PortOwner& owner) = 0;
};
struct PortQuestion {
  PortOwner owner;
  std::string group;  // those of one group are asked about together, the others each alone
  std::vector<PortRequest> ports;
};

class NetworkStack {
 public:
  struct Options {
    std::string table_name;  // of our nftables table, unique per data root: "gantry-1a2b3c"
    std::string run_dir;     // where enclaves are kept, under "netns"; they outlive the daemon
    bool has_programs = true;  // false: in the namespace that it belongs to no process connects to anything
  };
  virtual ~NetworkStack() = default;

  // Makes our nftables table if it is missing or damaged, sets ip_forward. Worker thread, once at start,
  // with the networks and ports that must be in it.
  // Where the kernel has no nftables, or forbids us to use it, this succeeds all the same with one warning that says what is
  // lost: every published port is carried by a process then (PortReservation::carried), and nothing is translated or dropped.
  virtual Result<> set_up() = 0;
  // Does the kernel translate for us? Decided by set_up().
  virtual bool translates() const = 0;
  // Removes the table. At the daemon's clean end when no network is left.
  virtual Result<> tear_down() = 0;

  // Idempotent: an existing bridge of that name is brought into the wanted shape.
  virtual Result<> create_bridge(const BridgeConfig& bridge) = 0;
  // On return it carries nothing and has no routes; the kernel needs some 40 ms more to forget it, which create_bridge()
  // of the same name and tear_down() wait for.
  virtual Result<> remove_bridge(const BridgeConfig& bridge) = 0;
  virtual Result<std::unique_ptr<PortReservation>> reserve_ports(const std::vector<PortRequest>& ports,
                                                                 const PortOwner& owner) = 0;
  // Could each reserve all of its ports now, if the containers with the ids `leaving` gave back theirs? The errors are
  // those that reserve_ports would give, one a question; nothing: it could. Holds nothing.
  virtual std::vector<std::optional<Error>> check_ports(const std::vector<PortQuestion>& questions,
                                                        const std::set<std::string>& leaving) = 0;

  // lo up, interface, addresses, default route, in the fewest messages; nft elements for its published ports. Again
  // for an endpoint that is there: it gets the default route and the ports that it has now.
  virtual Result<> attach(const EndpointConfig& endpoint, const NetnsAccess& netns) = 0;
  // Is the endpoint's interface there? Blocking.
  virtual Result<bool> is_attached(const EndpointConfig& endpoint) = 0;
  // The rules that bring 127.0.0.11:53 to the name service's two sockets in the namespace; sockets that are on port 53 need
  // none.
  virtual Result<> redirect_dns(const NetnsAccess& netns, uint16_t udp_port, uint16_t tcp_port) = 0;
  // lo up only (network mode none).
  virtual Result<> loopback_up(const NetnsAccess& netns) = 0;
  // Removes interface and elements. An interface that has gone with its namespace is no error. An endpoint on a
  // parent can only be removed from inside, through `netns`; without, its namespace must end.
  virtual Result<> detach(const EndpointConfig& endpoint, const NetnsAccess* netns = nullptr) = 0;
  // The same for a container that has ended, without waiting for the interface (some 20 ms): the kernel removes it with
  // its namespace, else it is removed shortly after, at the latest by remove_bridge. Its ports are free on return.
  virtual Result<> detach_ended(const EndpointConfig& endpoint) { return detach(endpoint); }
  // Takes the endpoint's published ports out of the rules; the interface stays.
  virtual Result<> unpublish(const EndpointConfig& endpoint) = 0;
  // Interfaces of the host and on-link routes: what new subnets must not overlap.
  virtual Result<std::vector<Subnet>> routes_in_use() = 0;
  // Interfaces with our alias that are in neither list: left by a crash. Removes them and stale elements.
  virtual Result<> remove_all_but(const std::vector<BridgeConfig>& bridges,
                                  const std::vector<EndpointConfig>& endpoints) = 0;
};

std::unique_ptr<NetworkStack> make_network_stack(NetworkStack::Options options);

// The names of one endpoint in one network, for the name service.
struct NameRecord {
  std::string network_id;
  std::string network_name;
  std::vector<std::string> names;  // container name, aliases, short id, hostname; no order
  std::vector<IpAddress> addresses;
};

// The daemon's line to gantry-dns, which answers in every container at 127.0.0.11, carries the published ports that the
// kernel cannot translate, and outlives the daemon.
// Any thread; calls are ordered, and when `publish` has returned a query that comes later sees the names.
class NameService {
 public:
  struct Options {
    std::string dns_executable;
    std::string run_dir;  // its socket and lock; one service a daemon
  };
  struct Client {  // a container that may ask
    std::string id;
    std::vector<std::string> networks;  // ids, in the order in which they are searched
    std::vector<IpAddress> upstreams;   // asked for all other names; empty: the host's, unless own_upstreams
    bool own_upstreams = false;         // `upstreams` are the container's own, and asked from inside its namespace
    bool internal_only = false;         // no way out: the host's upstreams are not asked for it
    bool sets_ndots = false;            // names without a dot stay inside (see resolver_on_user_network)
    std::map<std::string, std::string> links;  // alias for this client alone → name
  };
  virtual ~NameService() = default;
  // Starts the process or finds the one that runs. Then forgets everything it knows that is not told again
  // before `synchronised()`. A new daemon tells names before clients, whose queries may be waiting.
  virtual Result<> connect() = 0;
  virtual Result<> synchronised() = 0;
  // `netns`: where own upstreams are asked from; may be invalid without them.
  virtual Result<> add_client(const Client& client, Fd udp, Fd tcp, Fd netns) = 0;
  virtual Result<> update_client(const Client& client) = 0;
  virtual Result<> remove_client(const std::string& id) = 0;
  virtual Result<> publish(const std::string& endpoint_key, const NameRecord& record) = 0;
  virtual Result<> withdraw(const std::string& endpoint_key) = 0;
  // Carries a published port until stop_carrying. The same key again: new connections go to the new target. `socket`
  // is copied; -1: the process has it from an earlier daemon, or now.
  virtual Result<> carry(const UserForward& forward, int socket) = 0;
  // When it returns the ports are free, as far as the process is concerned. Unknown ones are no error.
  virtual Result<> stop_carrying(const std::vector<UserForward>& forwards) = 0;
  // At the daemon's end: the process goes when it has no clients.
  virtual void disconnect() = 0;
};

std::unique_ptr<NameService> make_name_service(NameService::Options options);

}  // namespace gantry::net
