// A container's published ports: which it wants, and whether it could have them.
#include <algorithm>

#include "engine/container/containers_access.h"
#include "engine/network_options.h"

namespace gantry::engine {
namespace {

constexpr uint8_t kProtocols[] = {6, 17, 132};  // IPPROTO_TCP, UDP, SCTP in PortProtocol's order

uint8_t protocol_number(PortProtocol protocol) { return kProtocols[static_cast<size_t>(protocol)]; }

std::vector<net::PortRequest> port_requests(const ContainerSpec& spec, const std::set<ExposedPort>& exposed,
                                            const std::string& default_host_ip) {
  std::vector<net::PortRequest> requests;
  std::set<ExposedPort> published;
  for (const PublishedPort& port : spec.published) {
    published.insert(port.container);
    requests.push_back({.protocol = protocol_number(port.container.protocol),
                        .host_ip = port.host_ip.empty() ? default_host_ip : port.host_ip,
                        .host_first = port.host_first,
                        .host_last = std::max(port.host_first, port.host_last),
                        .container_port = port.container.port});
  }
  if (!spec.publish_all) return requests;
  for (const ExposedPort& port : exposed) {
    if (published.contains(port)) continue;
    requests.push_back({.protocol = protocol_number(port.protocol),
                        .host_ip = default_host_ip,
                        .host_first = 0,
                        .host_last = 0,
                        .container_port = port.port});
  }
  return requests;
}

// Those of a container that does not run yet: what will be known of its networks.
std::vector<net::PortRequest> future_port_requests(const ContainerSpec& spec,
                                                   const std::vector<NetworkSpec>& networks) {
  net::BridgeConfig bridge;
  bool published = false;
  for (const NetworkSpec& network : networks) {
    net::BridgeConfig config;
    apply_options(network, config);
    if (!leads_out(network) || config.parent) continue;
    published = true;
    if (!config.host_binding_ip.empty()) bridge.host_binding_ip = config.host_binding_ip;
  }
  if (!published) return {};
  std::vector<net::PortRequest> requests = port_requests(spec, {}, bridge.host_binding_ip);
  std::erase_if(requests, [](const net::PortRequest& request) { return request.host_first == 0; });
  return requests;
}

}  // namespace

// None if the container has no network through which something could get in.
std::vector<net::PortRequest> Containers::wanted_ports(const Container& container,
                                                       const std::vector<EndpointState>& endpoints) const {
  auto gateway = std::find_if(endpoints.begin(), endpoints.end(),
                              [](const EndpointState& endpoint) { return endpoint.gateway4 || endpoint.gateway6; });
  const NetworkRecord* network = gateway == endpoints.end() ? nullptr : networks_.get(gateway->network);
  if (network == nullptr) return {};
  const net::BridgeConfig bridge = networks_.bridge_config(*network);
  if (bridge.parent) return {};  // reached at its own address
  return port_requests(container.spec, container.config.exposed, bridge.host_binding_ip);
}

net::PortOwner Containers::port_owner(const Container& container, const std::vector<EndpointState>& endpoints) const {
  net::PortOwner owner{.id = container.id.str(), .name = container.spec.name, .address4 = {}, .address6 = {}};
  for (const EndpointState& endpoint : endpoints) {
    const net::EndpointConfig config = networks_.endpoint_config(endpoint);
    if (config.parent) continue;
    if (config.publishes4) owner.address4 = config.address4;
    if (config.publishes6) owner.address6 = config.address6;
  }
  return owner;
}

void Containers::check_ports(PortCheck check, Reply<std::vector<PortConflict>> reply) {
  const auto network_of = [&](const std::string& reference) -> const NetworkSpec* {
    const auto made = std::find_if(check.new_networks.begin(), check.new_networks.end(),
                                   [&](const NetworkSpec& network) { return network.name == reference; });
    if (made != check.new_networks.end()) return &*made;
    const auto id = networks_.find(reference);
    return id.ok() ? &networks_.get(*id)->spec : nullptr;
  };
  std::vector<net::PortQuestion> questions;
  for (const PortCheck::User& user : check.users) {
    const Container* existing = get(user.id);
    const ContainerSpec& spec = existing != nullptr ? existing->spec : user.spec;
    std::vector<NetworkSpec> networks;
    for (const EndpointSpec& endpoint : spec.endpoints) {
      if (const NetworkSpec* network = network_of(endpoint.network)) networks.push_back(*network);
    }
    // An address in both families: every port is one that could be served.
    questions.push_back({.owner = {.id = user.id.str(),
                                   .name = spec.name,
                                   .address4 = net::IpAddress(),
                                   .address6 = net::IpAddress::v6({})},
                         .group = user.group,
                         .ports = future_port_requests(spec, networks)});
  }
  std::set<std::string> leaving;
  for (const ContainerId& id : check.leaving) leaving.insert(id.str());
  context_.tasks.run([&stack = context_.stack, questions = std::move(questions),
                      leaving = std::move(leaving)] { return stack.check_ports(questions, leaving); },
                     [reply = std::move(reply)](std::vector<std::optional<Error>> answers) mutable {
                       std::vector<PortConflict> conflicts;
                       for (size_t i = 0; i < answers.size(); ++i) {
                         if (answers[i]) conflicts.push_back({.user = i, .error = *std::move(answers[i])});
                       }
                       reply(std::move(conflicts));
                     });
}

}  // namespace gantry::engine
