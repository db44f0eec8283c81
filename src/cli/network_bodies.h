// What `gantry network` sends and how it reads the answers, as JSON text. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gantry::cli {

struct NetworkPoolRequest {
  std::string subnet;
  std::string ip_range;
  std::string gateway;
  std::map<std::string, std::string> aux_addresses;
};
struct NetworkRequest {
  std::string name;
  std::string driver;
  std::map<std::string, std::string> options;
  std::map<std::string, std::string> labels;
  std::vector<NetworkPoolRequest> pools;
  std::string ipam_driver;
  std::map<std::string, std::string> ipam_options;
  bool internal = false;
  bool attachable = false;
  bool ipv4 = true;
  bool ipv6 = false;
};
std::string network_body(const NetworkRequest& request);
// Docker's command line gives pools as separate lists: the n-th gateway and range belong to the subnet that contains
// them. Errors: one that belongs to none, two of a kind for one.
Result<std::vector<NetworkPoolRequest>> pools_of(const std::vector<std::string>& subnets,
                                                 const std::vector<std::string>& ranges,
                                                 const std::vector<std::string>& gateways,
                                                 const std::vector<std::string>& aux_addresses);

struct ConnectRequest {
  std::string container;
  std::vector<std::string> aliases;
  std::vector<std::string> links;
  std::string ipv4;
  std::string ipv6;
  std::vector<std::string> link_local;
  std::map<std::string, std::string> driver_options;
  std::optional<int64_t> gw_priority;
};
std::string connect_body(const ConnectRequest& request);
std::string disconnect_body(const std::string& container, bool force);

// {"key":["a","b"]} of "key=a" and "key=b", for ?filters=. Errors: a filter without "=".
Result<std::string> filters_text(const std::vector<std::string>& filters);
// "Id" of an object; names in "NetworksDeleted".
Result<std::string> created_id(std::string_view json);
Result<std::vector<std::string>> pruned_networks(std::string_view json);

}  // namespace gantry::cli
