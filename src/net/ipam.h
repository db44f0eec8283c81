// Which subnet a network gets, which address an endpoint. Pure; the loop owns the one instance, and fills
// it at start from the store. Allocation is O(log n).
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace gantry::net {

class Ipam {
 public:
  // Docker's default pools unless others are given: 172.17/16 … 172.31/16, then 192.168.0.0/16 in /20s.
  struct Pool {
    Subnet base;
    unsigned size = 16;  // prefix length of each subnet cut from it
  };
  static std::vector<Pool> default_pools();
  explicit Ipam(std::vector<Pool> pools = default_pools());

  // The first free subnet that overlaps no network of ours and none of `in_use` (host routes).
  // Exhausted: "all predefined address pools have been fully subnetted", with what holds them.
  Result<Subnet> choose_subnet(const std::vector<Subnet>& in_use) const;

  struct Network {
    std::string id;
    std::string name;  // for messages
    Subnet subnet;
    std::optional<Subnet> range;            // addresses are chosen within it
    std::optional<IpAddress> gateway;       // not given: the first address
    std::vector<IpAddress> reserved;
  };
  // Returns the gateway. Fails: "Pool overlaps with other one on this address space".
  Result<IpAddress> add_network(Network network);
  void remove_network(const std::string& id);  // both families; unknown is no error

  // `wanted` given: exactly that one, or "Address already in use" / "no configured subnet contains IP address X".
  // Else a free one, not one that was given back recently while others are free.
  Result<IpAddress> allocate(const std::string& network_id, bool v6, std::optional<IpAddress> wanted = {});
  void release(const std::string& network_id, const IpAddress& address);  // not allocated is no error

 private:
  struct Space {
    Network network;
    IpAddress gateway;
    std::set<IpAddress> taken;
    uint64_t next = 0;  // offset where the search goes on, so that addresses are not reused at once
  };
  std::vector<Pool> pools_;
  std::map<std::pair<std::string, bool>, Space> spaces_;  // (network id, is v6)
};

}  // namespace gantry::net
