// A container's places in its networks: addresses, default routes, names, hosts and resolver files.
#include <algorithm>
#include <tuple>

#include "base/log.h"
#include "base/strings.h"
#include "engine/container/containers_access.h"
#include "engine/container/host_resolver.h"
#include "engine/network_options.h"

namespace gantry::engine {
namespace {

// Where every family is routed, ports are open at the container's own addresses and nowhere else.
void warn_of_unused_host_ports(const ContainerSpec& spec, const StartJob& job) {
  const net::PortOwner& owner = job.port_owner;
  const bool routed = (owner.routed4 || !owner.address4) && (owner.routed6 || !owner.address6);
  for (const net::PortRequest& port : job.ports) {
    if (!routed || (port.host_first == 0 && port.host_ip.empty())) continue;
    log_warning("container " + spec.name + ": host address and port have no effect on published port " +
                std::to_string(port.container_port) + ": its network is routed");
  }
}

bool sets_ndots(const std::vector<std::string>& options) {
  return std::any_of(options.begin(), options.end(), [](const std::string& option) {
    return option.starts_with("ndots:") && option != "ndots:0";
  });
}

}  // namespace

const EndpointSpec* Containers::endpoint_spec(const Container& container, const NetworkId& network) const {
  const NetworkRecord* record = networks_.get(network);
  for (const EndpointSpec& endpoint : container.spec.endpoints) {
    if (endpoint.network == network.str() || (record != nullptr && endpoint.network == record->spec.name)) {
      return &endpoint;
    }
  }
  return nullptr;
}

// Addresses for every network of the container, in the order of order_endpoints.
Result<std::vector<EndpointState>> Containers::allocate_endpoints(const Container& container) {
  std::vector<EndpointState> endpoints;
  if (container.spec.network_mode.kind != NetworkMode::Kind::networks) return endpoints;
  struct Candidate {
    const EndpointSpec* spec;
    const NetworkRecord* network;
  };
  std::vector<Candidate> candidates;
  for (const EndpointSpec& spec : container.spec.endpoints) {
    auto id = networks_.find(spec.network);
    if (!id.ok()) return std::move(id).error().within("failed to set up container networking");
    candidates.push_back({&spec, networks_.get(*id)});
  }
  for (const Candidate& candidate : candidates) {
    auto endpoint = networks_.allocate(*candidate.network, *candidate.spec);
    if (!endpoint.ok()) {
      for (const EndpointState& taken : endpoints) networks_.release(taken);
      return std::move(endpoint).error().within("failed to set up container networking");
    }
    endpoints.push_back(*std::move(endpoint));
  }
  order_endpoints(container, endpoints);
  return endpoints;
}

// The one that gives the default route first: it leads out, has the highest gw_priority, then the most families, then
// the first name. Names the interfaces that have none yet, and decides about the routes.
void Containers::order_endpoints(const Container& container, std::vector<EndpointState>& endpoints) const {
  const auto rank = [&](const EndpointState& endpoint) {
    const NetworkRecord* network = networks_.get(endpoint.network);
    const EndpointSpec* spec = endpoint_spec(container, endpoint.network);
    const int families = (endpoint.address4.empty() ? 0 : 1) + (endpoint.address6.empty() ? 0 : 1);
    return std::tuple(network == nullptr || !leads_out(network->spec), spec == nullptr ? 0 : -spec->gw_priority,
                      -families, network == nullptr ? std::string() : network->spec.name);
  };
  std::stable_sort(endpoints.begin(), endpoints.end(),
                   [&](const EndpointState& a, const EndpointState& b) { return rank(a) < rank(b); });
  name_interfaces(container, endpoints);
  choose_gateways(endpoints);
}

void Containers::choose_gateways(std::vector<EndpointState>& endpoints) const {
  bool has4 = false;
  bool has6 = false;
  for (EndpointState& endpoint : endpoints) {
    const NetworkRecord* network = networks_.get(endpoint.network);
    const bool out = network != nullptr && leads_out(network->spec);
    endpoint.gateway4 = out && !has4 && !endpoint.address4.empty();
    // An isolated network leads out by IPv4 alone.
    endpoint.gateway6 = out && !is_isolated(network->spec) && !has6 && !endpoint.address6.empty();
    has4 = has4 || endpoint.gateway4;
    has6 = has6 || endpoint.gateway6;
  }
}

// eth0, eth1, … in the order of the networks' names, so that a container has the same ones at every start.
void Containers::name_interfaces(const Container& container, std::vector<EndpointState>& endpoints) const {
  std::set<std::string> taken;
  for (const EndpointSpec& spec : container.spec.endpoints) taken.insert(spec.interface_name);
  std::vector<EndpointState*> by_name;
  for (EndpointState& endpoint : endpoints) {
    taken.insert(endpoint.container_interface);  // those that it has already
    by_name.push_back(&endpoint);
  }
  std::sort(by_name.begin(), by_name.end(), [this](const EndpointState* a, const EndpointState* b) {
    return networks_.get(a->network)->spec.name < networks_.get(b->network)->spec.name;
  });
  for (EndpointState* endpoint : by_name) {
    const std::string prefix = interface_prefix(networks_.get(endpoint->network)->spec);
    for (int n = 0; endpoint->container_interface.empty(); ++n) {
      const std::string candidate = prefix + std::to_string(n);
      if (taken.insert(candidate).second) endpoint->container_interface = candidate;
    }
  }
}

net::NameRecord Containers::name_record(const Container& container, const EndpointState& endpoint) const {
  net::NameRecord record;
  record.network_id = endpoint.network.str();
  const NetworkRecord* network = networks_.get(endpoint.network);
  if (network != nullptr) record.network_name = network->spec.name;
  record.names = {container.spec.name};
  if (const EndpointSpec* spec = endpoint_spec(container, endpoint.network)) {
    record.names.insert(record.names.end(), spec->aliases.begin(), spec->aliases.end());
  }
  record.names.push_back(container.id.short_form());
  if (!container.spec.hostname.empty()) record.names.push_back(container.spec.hostname);
  for (const std::string& text : {endpoint.address4, endpoint.address6}) {
    if (auto address = net::IpAddress::parse(text); !text.empty() && address.ok()) {
      record.addresses.push_back(*address);
    }
  }
  return record;
}

void Containers::add_links(const EndpointSpec& spec, net::NameService::Client& client) const {
  for (const std::string& link : spec.links) {
    const size_t colon = link.find(':');
    if (colon == std::string::npos) continue;  // its own name is known anyway
    auto other = find(link.substr(0, colon));
    const Container* linked = other.ok() ? get(*other) : nullptr;
    client.links[to_lower(link.substr(colon + 1))] =
        to_lower(linked != nullptr ? linked->spec.name : link.substr(0, colon));
  }
}

net::NameService::Client Containers::dns_client(const Container& container,
                                                const std::vector<EndpointState>& endpoints) const {
  net::NameService::Client client;
  client.id = container.id.str();
  client.internal_only = true;
  for (const EndpointState& endpoint : endpoints) {
    const NetworkRecord* network = networks_.get(endpoint.network);
    if (network == nullptr) continue;
    if (!networks_.is_default(endpoint.network)) client.networks.push_back(endpoint.network.str());
    client.internal_only = client.internal_only && !leads_out(network->spec);
    if (const EndpointSpec* spec = endpoint_spec(container, endpoint.network)) add_links(*spec, client);
  }
  // Without own ones the name service asks the host's, and knows when those change.
  client.own_upstreams = !container.spec.dns.empty();
  if (client.own_upstreams) {
    const ResolverOverrides own{.servers = container.spec.dns, .search = {}, .options = {}};
    client.upstreams = resolver_on_user_network({}, own).upstreams;
  }
  client.sets_ndots = sets_ndots(container.spec.dns_options.empty() ? host_resolver().options
                                                                    : container.spec.dns_options);
  return client;
}

// The host as the container reaches it: the first bridge's own addresses, one a family.
std::vector<std::string> Containers::host_gateways(const Container& container,
                                                   const std::vector<EndpointState>& endpoints) const {
  if (container.spec.network_mode.kind == NetworkMode::Kind::host) return {"127.0.0.1"};
  std::string v4;
  std::string v6;
  for (const EndpointState& endpoint : endpoints) {
    const NetworkRecord* network = networks_.get(endpoint.network);
    if (network == nullptr) continue;
    const net::BridgeConfig bridge = networks_.bridge_config(*network);
    if (bridge.parent) continue;  // its gateway is another machine
    if (bridge.enclave) {  // the bridge's own address is not the host's
      if (v4.empty() && !bridge.internal) v4 = bridge.enclave->gateway.to_string();
      continue;
    }
    if (v4.empty() && bridge.gateway4) v4 = bridge.gateway4->to_string();
    if (v6.empty() && bridge.gateway6) v6 = bridge.gateway6->to_string();
  }
  std::vector<std::string> gateways;
  for (const std::string& gateway : {v4, v6}) {
    if (!gateway.empty()) gateways.push_back(gateway);
  }
  return gateways;
}

// On user networks the name service answers for links, with the address that is true at the moment; on the default
// network, where there are no names, the file does.
// extra_hosts, then linked containers, then the container itself on each network.
std::vector<HostsEntry> Containers::hosts_entries(const Container& container,
                                                  const std::vector<EndpointState>& endpoints,
                                                  Result<>& problem) const {
  std::vector<HostsEntry> entries;
  for (const std::string& host : container.spec.extra_hosts) {
    const size_t at = host.find_first_of(":=");
    std::string address = host.substr(at + 1);
    if (address.size() > 1 && address.front() == '[') address = address.substr(1, address.size() - 2);
    const std::string name = host.substr(0, at);
    if (address != "host-gateway") {
      entries.push_back({.address = address, .names = {name}});
      continue;
    }
    const std::vector<std::string> gateways = host_gateways(container, endpoints);
    if (gateways.empty()) problem = invalid("host-gateway in extra hosts: the container has no network with a gateway");
    for (const std::string& gateway : gateways) entries.push_back({.address = gateway, .names = {name}});
  }
  std::vector<std::string> own_names = {container.spec.hostname.empty() ? container.id.short_form()
                                                                        : container.spec.hostname};
  if (!container.spec.domainname.empty()) {
    own_names.insert(own_names.begin(), own_names[0] + "." + container.spec.domainname);
  }
  for (const EndpointState& endpoint : endpoints) {
    const EndpointSpec* spec = endpoint_spec(container, endpoint.network);
    if (spec != nullptr && networks_.is_default(endpoint.network)) {
      for (const std::string& link : spec->links) {
        const size_t colon = link.find(':');
        auto other = find(link.substr(0, colon));
        const Container* linked = other.ok() ? get(*other) : nullptr;
        if (linked == nullptr) continue;
        for (const EndpointState& theirs : linked->status.endpoints) {
          if (theirs.network != endpoint.network) continue;
          const std::string alias = colon == std::string::npos ? linked->spec.name : link.substr(colon + 1);
          entries.push_back({.address = theirs.address4, .names = {alias, linked->id.short_form(), linked->spec.name}});
        }
      }
    }
  }
  for (const EndpointState& endpoint : endpoints) {
    for (const std::string& address : {endpoint.address4, endpoint.address6}) {
      if (!address.empty()) entries.push_back({.address = address, .names = own_names});
    }
  }
  return entries;
}

Result<std::string> Containers::hosts_text(const Container& container,
                                           const std::vector<EndpointState>& endpoints) const {
  Result<> problem;
  const std::vector<HostsEntry> entries = hosts_entries(container, endpoints, problem);
  TRY(std::move(problem));
  if (container.spec.network_mode.kind != NetworkMode::Kind::host) return hosts_file(entries, true);
  auto of_host = read_file("/etc/hosts", 1 << 20);
  std::string hosts = of_host.ok() ? *of_host : hosts_file({}, true);
  for (const HostsEntry& entry : entries) hosts += entry.address + "\t" + join(entry.names, " ") + "\n";
  return hosts;
}

Result<> Containers::describe_network(const Container& container, const std::vector<EndpointState>& endpoints,
                                      StartJob& job) {
  const ContainerSpec& spec = container.spec;
  const std::filesystem::path directory = context_.paths.container(container.id);
  const ResolverOverrides own{.servers = spec.dns, .search = spec.dns_search, .options = spec.dns_options};
  const ResolverConfig host = host_resolver();
  ResolverPlan resolver;
  std::string hosts = TRY(hosts_text(container, endpoints));
  if (spec.network_mode.kind == NetworkMode::Kind::host) {
    resolver = resolver_on_host(host, own);
  } else {
    const bool user_network = std::any_of(endpoints.begin(), endpoints.end(), [this](const EndpointState& endpoint) {
      return !networks_.is_default(endpoint.network);
    });
    resolver = user_network ? resolver_on_user_network(host, own) : resolver_on_default_bridge(host, own);
  }
  job.files.push_back({.path = directory / "hosts", .content = std::move(hosts)});
  job.files.push_back({.path = directory / "resolv.conf", .content = std::move(resolver.resolv_conf)});
  job.files.push_back({.path = directory / "hostname", .content = job.sandbox.hostname + "\n"});

  job.own_network = job.sandbox.network.kind == NamespaceChoice::Kind::own;
  for (const EndpointState& endpoint : endpoints) job.endpoints.push_back(start_endpoint(container, endpoint));
  if (endpoints.empty()) return {};
  job.dns = dns_client(container, endpoints);
  job.port_owner = port_owner(container, endpoints);
  job.ports = wanted_ports(container, endpoints);
  if (job.ports.empty() && !container.spec.published.empty()) {
    log_warning("container " + spec.name + ": its ports are not published, because nothing gets into its networks");
  }
  warn_of_unused_host_ports(spec, job);
  return {};
}

StartEndpoint Containers::start_endpoint(const Container& container, const EndpointState& endpoint) const {
  StartEndpoint start{.config = networks_.endpoint_config(endpoint, endpoint_spec(container, endpoint.network)),
                      .key = endpoint.endpoint_id,
                      .record = {}};
  if (!networks_.is_default(endpoint.network)) start.record = name_record(container, endpoint);
  return start;
}

}  // namespace gantry::engine
