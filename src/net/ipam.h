// Which subnet a network gets, which address an endpoint. Pure; the loop owns the one instance, and fills
// it at start from the store. Allocation is O(log n).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace gantry::net {

class Ipam {
 public:
  // Unless others are given: 172.17.0.0/16 for the default network, as everywhere; 172.18/16 … 172.31/16 in /20s, then
  // 192.168.0.0/16 in /22s. That is 288 networks where Docker's whole /16s are 30.
  struct Pool {
    Subnet base;
    unsigned size = 16;  // prefix length of each subnet cut from it
    bool for_default = false;  // other networks get it only when all else is taken
  };
  static std::vector<Pool> default_pools();
  // A /48 out of fd00::/8 cut into /64s, the same every time for one machine (RFC 4193 wants 40 random bits: they are
  // taken from a hash of `host_id`). Not among the default pools, because only the caller knows the machine's id.
  static Pool ula_pool(std::string_view host_id);
  explicit Ipam(std::vector<Pool> pools = default_pools());

  // The first free subnet that overlaps no network of ours and none of `in_use` (host routes).
  // Exhausted: "all predefined address pools have been fully subnetted", with what holds them.
  // `v6`: from the IPv6 pools that were given.
  // O(n log n) in the number of networks and routes.
  Result<Subnet> choose_subnet(const std::vector<Subnet>& in_use, bool v6 = false, bool for_default = false) const;

  std::vector<Subnet> subnets() const;  // of all networks

  struct Network {
    std::string id;
    std::string name;  // for messages
    Subnet subnet;
    std::optional<Subnet> range;       // addresses are chosen within it
    std::optional<IpAddress> gateway;  // not given: the first address
    bool isolated = false;             // it has no gateway; an address given for it is set aside
    std::vector<IpAddress> reserved;
  };
  // Again for a network that is known: it has this subnet as well.
  // Returns the gateway, if it has one. Fails: "Pool overlaps with other one on this address space".
  Result<std::optional<IpAddress>> add_network(Network network);
  void remove_network(const std::string& id);  // with all its subnets; unknown is no error

  // `wanted` given: exactly that one, or "Address already in use" / "no configured subnet contains IP address X".
  // Else a free one of the first subnet that has any, not one that was given back recently while others are free.
  Result<IpAddress> allocate(const std::string& network_id, bool v6, std::optional<IpAddress> wanted = {});
  void release(const std::string& network_id, const IpAddress& address);  // not allocated is no error

 private:
  struct Space {
    Network network;
    std::set<IpAddress> taken;          // with the gateway and the reserved ones
    std::set<IpAddress> permanent;      // network, broadcast, gateway, reserved: never given back
    std::map<uint64_t, uint64_t> free;  // offsets in the range as first → last, disjoint, never touching
    uint64_t next = 0;                  // where the search goes on, so that addresses are not reused at once

    IpAddress take_next();  // one must be free
    const Subnet& range() const { return network.range ? *network.range : network.subnet; }
    void take(const IpAddress& address);
    void give_back(const IpAddress& address);
  };
  std::vector<Pool> pools_;
  std::map<std::pair<std::string, bool>, std::vector<Space>> spaces_;  // (network id, is v6); in the order of their adding
};

}  // namespace gantry::net
