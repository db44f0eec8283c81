// A container's published ports: which it wants, and whether it could have them.
#include <algorithm>
#include <tuple>

#include "engine/container/containers_access.h"
#include "engine/network_options.h"

namespace gantry::engine {
namespace {

constexpr uint8_t kProtocols[] = {6, 17, 132};  // IPPROTO_TCP, UDP, SCTP in PortProtocol's order

uint8_t protocol_number(PortProtocol protocol) { return kProtocols[static_cast<size_t>(protocol)]; }

// A place in a network that a container will have.
struct FutureEndpoint {
  NetworkSpec network;
  int gw_priority = 0;
};

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

// The question about a container that does not run yet: what will be known of its networks.
net::PortQuestion future_ports(const ContainerSpec& spec, std::vector<FutureEndpoint> endpoints) {
  // An address in both families: every port is one that could be served.
  net::PortQuestion question{.owner = {.address4 = net::IpAddress(), .address6 = net::IpAddress::v6({})}};
  std::erase_if(endpoints, [](const FutureEndpoint& endpoint) {
    net::BridgeConfig config;
    apply_options(endpoint.network, config);
    return !leads_out(endpoint.network) || config.parent;
  });
  if (endpoints.empty()) return question;
  const auto rank = [](const FutureEndpoint& endpoint) {
    return std::tuple(-endpoint.gw_priority, -(endpoint.network.enable_ipv4 + endpoint.network.enable_ipv6),
                      endpoint.network.name);
  };
  std::sort(endpoints.begin(), endpoints.end(),
            [&](const FutureEndpoint& a, const FutureEndpoint& b) { return rank(a) < rank(b); });
  const auto is_routed = [&](bool v6) {
    const auto gateway = std::find_if(endpoints.begin(), endpoints.end(), [&](const FutureEndpoint& endpoint) {
      return v6 ? endpoint.network.enable_ipv6 : endpoint.network.enable_ipv4;
    });
    net::BridgeConfig config;
    if (gateway != endpoints.end()) apply_options(gateway->network, config);
    return (v6 ? config.mode6 : config.mode4) == net::GatewayMode::routed;
  };
  question.owner.routed4 = is_routed(false);
  question.owner.routed6 = is_routed(true);
  net::BridgeConfig first;
  apply_options(endpoints.front().network, first);
  question.ports = port_requests(spec, {}, first.host_binding_ip);
  std::erase_if(question.ports, [](const net::PortRequest& request) { return request.host_first == 0; });
  return question;
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
    if (config.publishes4) {
      owner.address4 = config.enclave ? config.enclave->address : config.address4;
      owner.enclave4 = config.enclave.has_value();
      owner.routed4 = config.routed4;
    }
    if (config.publishes6) {
      owner.address6 = config.address6;
      owner.routed6 = config.routed6;
    }
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
    std::vector<FutureEndpoint> endpoints;
    for (const EndpointSpec& endpoint : spec.endpoints) {
      if (const NetworkSpec* network = network_of(endpoint.network)) {
        endpoints.push_back({.network = *network, .gw_priority = endpoint.gw_priority});
      }
    }
    questions.push_back(future_ports(spec, std::move(endpoints)));
    questions.back().owner.id = user.id.str();
    questions.back().owner.name = spec.name;
    questions.back().group = user.group;
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
