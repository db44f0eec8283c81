#include "cli/network_bodies.h"

#include <arpa/inet.h>

#include <array>

#include "base/strings.h"
#include "cli/json_view.h"

namespace gantry::cli {
namespace {

struct Prefix {
  int family = 0;
  std::array<unsigned char, 16> bytes{};
  size_t bits = 0;
};

// An address with or without prefix length; nothing if it is neither, for the daemon to refuse.
std::optional<Prefix> parse_prefix(const std::string& text) {
  Prefix prefix;
  const size_t slash = text.find('/');
  const std::string address = text.substr(0, slash);
  prefix.family = address.find(':') != std::string::npos ? AF_INET6 : AF_INET;
  if (inet_pton(prefix.family, address.c_str(), prefix.bytes.data()) != 1) return std::nullopt;
  prefix.bits = prefix.family == AF_INET6 ? 128 : 32;
  if (slash == std::string::npos) return prefix;
  const auto bits = parse_unsigned(text.substr(slash + 1));
  if (!bits || *bits > prefix.bits) return std::nullopt;
  prefix.bits = *bits;
  return prefix;
}

bool covers(const std::string& subnet, const std::string& address) {
  const auto outer = parse_prefix(subnet);
  const auto inner = parse_prefix(address);
  if (!outer || !inner || outer->family != inner->family || inner->bits < outer->bits) return false;
  for (size_t bit = 0; bit < outer->bits; ++bit) {
    const auto of = [&](const Prefix& p) { return p.bytes[bit / 8] >> (7 - bit % 8) & 1; };
    if (of(*outer) != of(*inner)) return false;
  }
  return true;
}

NetworkPoolRequest* pool_of(std::vector<NetworkPoolRequest>& pools, const std::string& address) {
  for (NetworkPoolRequest& pool : pools) {
    if (covers(pool.subnet, address)) return &pool;
  }
  return nullptr;
}

}  // namespace

std::string network_body(const NetworkRequest& request) {
  OrderedJson pools = OrderedJson::array();
  for (const NetworkPoolRequest& pool : request.pools) {
    OrderedJson one = {{"Subnet", pool.subnet}};
    if (!pool.ip_range.empty()) one["IPRange"] = pool.ip_range;
    if (!pool.gateway.empty()) one["Gateway"] = pool.gateway;
    if (!pool.aux_addresses.empty()) one["AuxiliaryAddresses"] = pool.aux_addresses;
    pools.push_back(std::move(one));
  }
  return dumped({{"Name", request.name},
                 {"Driver", request.driver},
                 {"Options", request.options},
                 {"Labels", request.labels},
                 {"Internal", request.internal},
                 {"Attachable", request.attachable},
                 {"EnableIPv4", request.ipv4},
                 {"EnableIPv6", request.ipv6},
                 {"IPAM", {{"Driver", request.ipam_driver}, {"Options", request.ipam_options}, {"Config", pools}}}});
}

Result<std::vector<NetworkPoolRequest>> pools_of(const std::vector<std::string>& subnets,
                                                 const std::vector<std::string>& ranges,
                                                 const std::vector<std::string>& gateways,
                                                 const std::vector<std::string>& aux_addresses) {
  std::vector<NetworkPoolRequest> pools;
  for (const std::string& subnet : subnets) pools.push_back({.subnet = subnet});
  for (const std::string& range : ranges) {
    NetworkPoolRequest* pool = pool_of(pools, range);
    if (pool == nullptr) return invalid("no matching subnet for range " + range);
    if (!pool->ip_range.empty()) return invalid("cannot configure multiple ranges (" + pool->ip_range + ", " + range + ") on the same subnet (" + pool->subnet + ")");
    pool->ip_range = range;
  }
  for (const std::string& gateway : gateways) {
    NetworkPoolRequest* pool = pool_of(pools, gateway);
    if (pool == nullptr) return invalid("no matching subnet for gateway " + gateway);
    if (!pool->gateway.empty()) return invalid("cannot configure multiple gateways (" + pool->gateway + ", " + gateway + ") for the same subnet (" + pool->subnet + ")");
    pool->gateway = gateway;
  }
  for (const std::string& aux : aux_addresses) {
    const size_t equals = aux.find('=');
    if (equals == std::string::npos) return invalid("invalid auxiliary address " + gantry::quoted(aux) + ": must be NAME=ADDRESS");
    NetworkPoolRequest* pool = pool_of(pools, aux.substr(equals + 1));
    if (pool == nullptr) return invalid("no matching subnet for aux-address " + aux.substr(equals + 1));
    pool->aux_addresses[aux.substr(0, equals)] = aux.substr(equals + 1);
  }
  return pools;
}

std::string connect_body(const ConnectRequest& request) {
  OrderedJson ipam = OrderedJson::object();
  if (!request.ipv4.empty()) ipam["IPv4Address"] = request.ipv4;
  if (!request.ipv6.empty()) ipam["IPv6Address"] = request.ipv6;
  if (!request.link_local.empty()) ipam["LinkLocalIPs"] = request.link_local;
  OrderedJson endpoint = {{"Aliases", request.aliases}, {"Links", request.links}, {"DriverOpts", request.driver_options}};
  if (!ipam.empty()) endpoint["IPAMConfig"] = std::move(ipam);
  if (request.gw_priority) endpoint["GwPriority"] = *request.gw_priority;
  return dumped({{"Container", request.container}, {"EndpointConfig", std::move(endpoint)}});
}

std::string disconnect_body(const std::string& container, bool force) {
  return dumped({{"Container", container}, {"Force", force}});
}

Result<std::string> filters_text(const std::vector<std::string>& filters) {
  OrderedJson all = OrderedJson::object();
  for (const std::string& filter : filters) {
    const size_t equals = filter.find('=');
    if (equals == std::string::npos || equals == 0) {
      return invalid("invalid filter " + gantry::quoted(filter) + ": must be KEY=VALUE");
    }
    all[filter.substr(0, equals)].push_back(filter.substr(equals + 1));
  }
  return dumped(all);
}

Result<std::string> created_id(std::string_view text) {
  const Json json = TRY(parsed(text));
  const auto id = json.find("Id");
  if (id == json.end() || !id->is_string()) return internal_error("the daemon's answer has no Id");
  return id->get<std::string>();
}

Result<std::vector<std::string>> pruned_networks(std::string_view text) {
  const Json json = TRY(parsed(text));
  std::vector<std::string> names;
  const auto list = json.find("NetworksDeleted");
  if (list == json.end() || !list->is_array()) return names;
  for (const Json& name : *list) {
    if (name.is_string()) names.push_back(name.get<std::string>());
  }
  return names;
}

}  // namespace gantry::cli
