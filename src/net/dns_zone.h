// The names that containers know each other by, a table a network. Pure; gantry-dns's loop owns the one instance.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "net/dns_message.h"
#include "net/network.h"

namespace gantry::net {

class DnsZone {
 public:
  // Again with the same key: replaces what it said.
  void publish(const std::string& endpoint_key, NameRecord record);
  void withdraw(const std::string& endpoint_key);  // unknown is no error
  std::set<std::string> keys() const;

  // What a container that is in `networks` (searched in this order) is told; nothing: no name of ours, ask upstream.
  // An empty list: the name exists, but has no records of the type. It must not be denied: musl and Go give up on a
  // name whose AAAA does not exist. All addresses of a name are given, in random order, for round robin.
  // Names are tried as they are, then as NAME.NETWORK with the network's name split off from the right.
  std::optional<std::vector<DnsRecord>> look_up(const std::vector<std::string>& networks, std::string_view name,
                                                uint16_t type, Random& random) const;

 private:
  struct Network {
    std::string name;                                                   // lower case
    std::map<std::string, std::set<std::string>, std::less<>> holders;  // name → endpoint keys
    std::map<IpAddress, std::string> owners;                            // address → endpoint key
    size_t endpoints = 0;
  };
  const std::set<std::string>* find_holders(const std::vector<std::string>& networks, std::string_view name) const;
  std::optional<std::vector<DnsRecord>> look_up_address(const std::vector<std::string>& networks,
                                                        const IpAddress& address) const;
  std::vector<DnsRecord> addresses(const std::set<std::string>& keys, uint16_t type, Random& random) const;

  std::map<std::string, NameRecord> records_;  // by endpoint key; names in lower case
  std::map<std::string, Network> networks_;    // by id
};

}  // namespace gantry::net
