// Networks of containers on one host: bridges, veth pairs, addresses, published ports and names.
// It knows interfaces, addresses and packets, not containers. All set-up is blocking netlink work for
// worker threads; address allocation (net/ipam.h) is pure and belongs to the loop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "net/address.h"

namespace gantry::net {

struct BridgeConfig {
  std::string network_id;   // 64 hex
  std::string bridge_name;  // "br-" + 12 hex of the id, unless chosen by the user
  std::optional<Subnet> subnet4;
  std::optional<IpAddress> gateway4;  // the bridge's own address
  std::optional<Subnet> subnet6;
  std::optional<IpAddress> gateway6;
  bool internal = false;  // no way out, no way in from outside
  bool masquerade = true;
  bool icc = true;  // containers on it may talk to each other
  std::optional<unsigned> mtu;
  std::string host_binding_ip;  // default host address of published ports; empty: all
};

struct PortForward {
  uint8_t protocol = 6;    // IPPROTO_TCP, UDP, SCTP
  std::string host_ip;     // empty: every address of the host
  uint16_t host_port = 0;  // as decided by reserve_ports
  uint16_t container_port = 0;
  friend auto operator<=>(const PortForward&, const PortForward&) = default;
};

struct EndpointConfig {
  std::string network_id;
  std::string bridge_name;
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
  std::vector<PortForward> ports;  // published through this endpoint
};

// Sockets inside the container's network namespace (see engine/container/runtime.h, NetnsSockets).
struct NetnsAccess {
  int route = -1;
  int netfilter = -1;
  int netns = -1;
};

// Host ports held for one container: bound and listening sockets which accept nothing, so that other programs
// get EADDRINUSE. Closing it gives them back.
class PortReservation {
 public:
  virtual ~PortReservation() = default;
  virtual const std::vector<PortForward>& ports() const = 0;  // with every host_port decided
};
struct PortRequest {
  uint8_t protocol = 6;
  std::string host_ip;
  uint16_t host_first = 0;  // 0: ephemeral
  uint16_t host_last = 0;
  uint16_t container_port = 0;
};

class NetworkStack {
 public:
  struct Options {
    std::string table_name;  // of our nftables table, unique per data root: "gantry-1a2b3c"
  };
  virtual ~NetworkStack() = default;

  // Makes our nftables table if it is missing or damaged, sets ip_forward. Worker thread, once at start,
  // with the networks and ports that must be in it.
  virtual Result<> set_up() = 0;
  // Removes the table. At the daemon's clean end when no network is left.
  virtual Result<> tear_down() = 0;

  // Idempotent: an existing bridge of that name is brought into the wanted shape.
  virtual Result<> create_bridge(const BridgeConfig& bridge) = 0;
  virtual Result<> remove_bridge(const BridgeConfig& bridge) = 0;
  virtual Result<std::unique_ptr<PortReservation>> reserve_ports(const std::vector<PortRequest>& ports) = 0;

  // lo up, veth, addresses, default route, in the fewest messages; nft elements for its published ports.
  virtual Result<> attach(const EndpointConfig& endpoint, const NetnsAccess& netns) = 0;
  // The nat rules that bring 127.0.0.11:53 to the name service's two sockets in the namespace.
  virtual Result<> redirect_dns(const NetnsAccess& netns, uint16_t udp_port, uint16_t tcp_port) = 0;
  // lo up only (network mode none).
  virtual Result<> loopback_up(const NetnsAccess& netns) = 0;
  // Removes veth and elements. An interface that has gone with its namespace is no error.
  virtual Result<> detach(const EndpointConfig& endpoint) = 0;
  // The same for a container that has ended, without waiting for the interface (some 20 ms): the kernel removes it with
  // its namespace, else it is removed shortly after, at the latest by remove_bridge. Its ports are free on return.
  virtual Result<> detach_ended(const EndpointConfig& endpoint) { return detach(endpoint); }
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

// The daemon's line to gantry-dns, which answers in every container at 127.0.0.11 and outlives the daemon.
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
    std::vector<IpAddress> upstreams;   // asked for all other names; empty: SERVFAIL
    bool internal_only = false;
  };
  virtual ~NameService() = default;
  // Starts the process or finds the one that runs. Then forgets everything it knows that is not told again
  // before `synchronised()`. A new daemon tells names before clients, whose queries may be waiting.
  virtual Result<> connect() = 0;
  virtual Result<> synchronised() = 0;
  virtual Result<> add_client(const Client& client, Fd udp, Fd tcp) = 0;
  virtual Result<> update_client(const Client& client) = 0;
  virtual Result<> remove_client(const std::string& id) = 0;
  virtual Result<> publish(const std::string& endpoint_key, const NameRecord& record) = 0;
  virtual Result<> withdraw(const std::string& endpoint_key) = 0;
  // At the daemon's end: the process goes when it has no clients.
  virtual void disconnect() = 0;
};

std::unique_ptr<NameService> make_name_service(NameService::Options options);

}  // namespace gantry::net
