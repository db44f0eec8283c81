#include "net/firewall_elements.h"

#include "net/firewall_rules.h"

namespace gantry::net {
namespace {

std::string text_of(const IpAddress& address) {
  return {reinterpret_cast<const char*>(address.bytes()), address.size()};
}

std::string text_of(uint16_t port) { return {static_cast<char>(port >> 8), static_cast<char>(port & 0xff)}; }

SetElement plain(const NftSet& set, const std::vector<std::string>& parts) {
  return {&set, {.key = padded_key(set.key, parts)}};
}

SetElement in_subnet(const NftSet& set, const std::string& bridge, const Subnet& subnet) {
  return {&set,
          {.key = padded_key(set.key, {bridge, text_of(subnet.address())}),
           .key_end = padded_key(set.key, {bridge, text_of(subnet.last())})}};
}

SetElement translation(const NftSet& map, const std::vector<std::string>& key, const IpAddress& to, uint16_t port) {
  return {&map, {.key = padded_key(map.key, key), .value = padded_key(map.value, {text_of(to), text_of(port)})}};
}

}  // namespace

std::vector<SetElement> elements_of(const BridgeConfig& bridge) {
  const FirewallSets& sets = firewall_sets();
  const std::string& name = bridge.bridge_name;
  std::vector<SetElement> list{plain(sets.bridges, {name})};
  if (bridge.internal) list.push_back(plain(sets.internal, {name}));
  if (bridge.icc) list.push_back(plain(sets.talk, {name, name}));
  if (bridge.masquerade && !bridge.internal) list.push_back(plain(sets.masquerade, {name}));
  if (bridge.subnet4) list.push_back(in_subnet(sets.local4, name, *bridge.subnet4));
  if (bridge.subnet6) list.push_back(in_subnet(sets.local6, name, *bridge.subnet6));
  return list;
}

// Families in which the endpoint has no address, or not the ports, are carried by a process or by another endpoint.
Result<std::vector<SetElement>> elements_of(const EndpointConfig& endpoint) {
  const FirewallSets& sets = firewall_sets();
  const auto to4 = endpoint.publishes4 ? endpoint.address4 : std::nullopt;
  const auto to6 = endpoint.publishes6 ? endpoint.address6 : std::nullopt;
  std::vector<SetElement> list;
  for (const PortForward& port : endpoint.ports) {
    const std::string protocol(1, static_cast<char>(port.protocol));
    const std::string number = text_of(port.host_port);
    const std::vector<std::string> any_address{protocol, number};
    if (port.host_ip.empty()) {
      if (to4) list.push_back(translation(sets.publish4_any, any_address, *to4, port.container_port));
      if (to6) list.push_back(translation(sets.publish6_any, any_address, *to6, port.container_port));
      continue;
    }
    IpAddress host = TRY(IpAddress::parse(port.host_ip).within("published port " + std::to_string(port.host_port)));
    const auto& to = host.is_v6() ? to6 : to4;
    if (!to) continue;
    const bool any = host == (host.is_v6() ? IpAddress::v6({}) : IpAddress());
    const NftSet& by_address = host.is_v6() ? sets.publish6 : sets.publish4;
    const NftSet& by_port = host.is_v6() ? sets.publish6_any : sets.publish4_any;
    if (any) {
      list.push_back(translation(by_port, any_address, *to, port.container_port));
    } else {
      list.push_back(translation(by_address, {protocol, text_of(host), number}, *to, port.container_port));
    }
  }
  return list;
}

}  // namespace gantry::net
