// The addresses of networks: subnets, enclaves, and what endpoints have of them.
#include <algorithm>

#include "base/strings.h"
#include "engine/network_options.h"
#include "engine/networks.h"

namespace gantry::engine {

net::Ipam& Networks::ipam_of(const NetworkRecord& record) {
  net::Ipam* inside = enclaves_.ipam(record.enclave);
  return inside != nullptr ? *inside : ipam_;
}

Result<IpamPool> Networks::allocate_pool(const NetworkRecord& record, const IpamPool& wanted) {
  net::Ipam::Network network;
  network.id = record.id.str();
  network.name = record.spec.name;
  network.subnet = TRY(net::Subnet::parse(wanted.subnet));
  if (!wanted.ip_range.empty()) network.range = TRY(net::Subnet::parse(wanted.ip_range));
  if (!wanted.gateway.empty()) network.gateway = TRY(net::IpAddress::parse(wanted.gateway));
  net::BridgeConfig options;
  apply_options(record.spec, options);
  const net::GatewayMode mode = network.subnet.address().is_v6() ? options.mode6 : options.mode4;
  network.isolated = mode == net::GatewayMode::isolated;
  for (const auto& [name, address] : wanted.aux_addresses) {
    network.reserved.push_back(TRY(net::IpAddress::parse(address)));
  }
  auto gateway = ipam_of(record).add_network(std::move(network));
  if (!gateway.ok()) {
    return Error(Code::forbidden, "invalid pool request: " + gateway.error().message());
  }
  IpamPool pool = wanted;
  pool.gateway = *gateway ? (*gateway)->to_string() : "";
  return pool;
}

Result<> Networks::add_to_books(NetworkRecord& record) {
  if (!record.enclave.empty()) TRY(join_enclave(record, {}));
  for (const IpamPool& pool : record.pools) TRY(allocate_pool(record, pool));
  return {};
}

void Networks::give_back_pools(const NetworkRecord& record) {
  ipam_of(record).remove_network(record.id.str());
  enclaves_.leave(record);
  if (!enclaves_.uplink()) ipam_.remove_network(EnclaveBooks::kUplink);
}

// Takes the record into its enclave. The uplink is kept away from what the host and its networks have, and they from it.
Result<> Networks::join_enclave(NetworkRecord& record, std::vector<net::Subnet> in_use) {
  for (const net::Subnet& subnet : ipam_.subnets()) in_use.push_back(subnet);
  const bool first = !enclaves_.uplink();
  TRY(enclaves_.join(record, in_use));
  if (!first) return {};
  auto reserved = ipam_.add_network(EnclaveBooks::uplink_network(*enclaves_.uplink()));
  if (!reserved.ok()) enclaves_.leave(record);
  TRY(std::move(reserved));
  return {};
}

Result<std::vector<IpamPool>> Networks::allocate_pools(const NetworkRecord& record,
                                                       const std::vector<net::Subnet>& in_use) {
  const NetworkSpec& spec = record.spec;
  std::vector<IpamPool> wanted;
  bool has_v4 = false;
  bool has_v6 = false;
  for (const IpamPool& pool : spec.pools) {
    if (pool.subnet.empty()) continue;
    wanted.push_back(pool);
    (TRY(net::Subnet::parse(pool.subnet)).address().is_v4() ? has_v4 : has_v6) = true;
  }
  // In an enclave subnets may be anybody's; those that we choose are nobody's, for containers that are on other networks too.
  std::vector<net::Subnet> avoided = in_use;
  if (const net::Ipam* inside = enclaves_.ipam(record.enclave)) {
    for (const net::Subnet& subnet : inside->subnets()) avoided.push_back(subnet);
  }
  const auto choose = [&](bool v6) -> Result<> {
    auto subnet = ipam_.choose_subnet(avoided, v6, is_default(record.id));
    if (!subnet.ok()) return with_advice(std::move(subnet).error());
    wanted.push_back({.subnet = subnet->to_string(), .ip_range = "", .gateway = "", .aux_addresses = {}});
    return {};
  };
  if (spec.enable_ipv4 && !has_v4) TRY(choose(false));
  if (spec.enable_ipv6 && !has_v6) TRY(choose(true));
  std::vector<IpamPool> pools;
  for (const IpamPool& pool : wanted) {
    auto allocated = allocate_pool(record, pool);
    if (!allocated.ok()) {
      ipam_of(record).remove_network(record.id.str());
      return std::move(allocated).error();
    }
    pools.push_back(*std::move(allocated));
  }
  return pools;
}

// No subnet is left: names those that nobody uses.
Error Networks::with_advice(Error error) const {
  if (error.code() != Code::exhausted) return error;
  std::vector<std::string> unused;
  for (const auto& [name, id] : by_name_) {
    const Network& network = networks_.at(id);
    if (network.ready && network.leases == 0 && !is_predefined(id)) unused.push_back(name);
  }
  if (unused.empty()) return error;
  constexpr size_t kMostNames = 8;
  const std::string count = std::to_string(unused.size());
  const bool cut = unused.size() > kMostNames;
  if (cut) unused.resize(kMostNames);
  return Error(error.code(), error.message() + "; no running container uses " + count + " of them: " +
                                 join(unused, ", ") + (cut ? ", …" : "") +
                                 " (`gantry network prune` removes such networks)");
}

Result<EndpointState> Networks::allocate(const NetworkRecord& network, const EndpointSpec& spec) {
  if (networks_.at(network.id).removing) return not_found("network " + network.spec.name + " not found");
  TRY(check_endpoint(spec));
  EndpointState endpoint;
  endpoint.network = network.id;
  endpoint.endpoint_id = random_hex(context_.random, 32);
  endpoint.host_interface = "veth" + endpoint.endpoint_id.substr(0, 7);
  endpoint.container_interface = spec.interface_name;
  const net::BridgeConfig config = bridge_config(network);
  const net::MacAddress mac = spec.mac_address.empty() ? net::MacAddress::random_local(context_.random)
                                                       : TRY(net::MacAddress::parse(spec.mac_address));
  endpoint.mac = mac.to_string();
  const bool own_subnet = std::any_of(network.spec.pools.begin(), network.spec.pools.end(),
                                      [](const IpamPool& pool) { return !pool.subnet.empty(); });
  if (!spec.ipv6_address.empty() && !config.subnet6) {
    return invalid("network " + network.spec.name + " has no IPv6: IPv6 address " + spec.ipv6_address +
                   " cannot be given (set enable_ipv6: true on the network)");
  }
  if ((!spec.ipv4_address.empty() || !spec.ipv6_address.empty()) && !own_subnet) {
    return invalid(is_default(network.id)
                       ? "user specified IP address is supported on user defined networks only"
                       : "user specified IP address is supported only when connecting to networks with user "
                         "configured subnets");
  }
  const auto take = [&](bool v6, const std::string& wanted) -> Result<std::string> {
    std::optional<net::IpAddress> address;
    if (!wanted.empty()) address = TRY(net::IpAddress::parse(wanted));
    return TRY(ipam_of(network).allocate(network.id.str(), v6, address)).to_string();
  };
  if (config.subnet4) endpoint.address4 = TRY(take(false, spec.ipv4_address));
  if (config.subnet6) {
    auto address = take(true, spec.ipv6_address);
    if (!address.ok()) {
      give_back(endpoint);
      return std::move(address).error();
    }
    endpoint.address6 = *std::move(address);
  }
  ++networks_.at(network.id).leases;
  return endpoint;
}

Result<> Networks::reclaim(const EndpointState& endpoint) {
  const auto at = networks_.find(endpoint.network);
  if (at == networks_.end()) return {};
  ++at->second.leases;
  for (const std::string& text : {endpoint.address4, endpoint.address6}) {
    if (text.empty()) continue;
    const net::IpAddress address = TRY(net::IpAddress::parse(text));
    TRY(ipam_of(at->second.record).allocate(endpoint.network.str(), address.is_v6(), address));
  }
  return {};
}

void Networks::release(const EndpointState& endpoint) {
  if (auto at = networks_.find(endpoint.network); at != networks_.end()) --at->second.leases;
  give_back(endpoint);
}

void Networks::give_back(const EndpointState& endpoint) {
  const NetworkRecord* network = get(endpoint.network);
  if (network == nullptr) return;
  for (const std::string& text : {endpoint.address4, endpoint.address6}) {
    if (auto address = net::IpAddress::parse(text); !text.empty() && address.ok()) {
      ipam_of(*network).release(endpoint.network.str(), *address);
    }
  }
}

}  // namespace gantry::engine
