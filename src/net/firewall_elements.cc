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

std::string describe(const PortForward& port) {
  std::string host = port.host_ip.find(':') == std::string::npos ? port.host_ip : "[" + port.host_ip + "]";
  return "published port " + host + ":" + std::to_string(port.host_port);
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

Result<std::vector<SetElement>> elements_of(const EndpointConfig& endpoint) {
  const FirewallSets& sets = firewall_sets();
  std::vector<SetElement> list;
  for (const PortForward& port : endpoint.ports) {
    std::string protocol(1, static_cast<char>(port.protocol));
    std::string number = text_of(port.host_port);
    if (port.host_ip.empty()) {
      if (endpoint.address4) {
        list.push_back(translation(sets.publish4_any, {protocol, number}, *endpoint.address4, port.container_port));
      }
      if (endpoint.address6) {
        list.push_back(translation(sets.publish6_any, {protocol, number}, *endpoint.address6, port.container_port));
      }
      continue;
    }
    IpAddress host = TRY(IpAddress::parse(port.host_ip).within("published port " + std::to_string(port.host_port)));
    const auto& address = host.is_v6() ? endpoint.address6 : endpoint.address4;
    if (!address) {
      return unsupported(describe(port) + ": the container has no " + (host.is_v6() ? "IPv6" : "IPv4") +
                         " address in its network; publish on an address of the other family, or " +
                         (host.is_v6() ? "set enable_ipv6: true on the network" : "give the network an IPv4 subnet"));
    }
    bool any = host == (host.is_v6() ? IpAddress::v6({}) : IpAddress());
    std::vector<std::string> key{protocol, number};
    if (!any) key.insert(key.begin() + 1, text_of(host));
    const NftSet& map =
        host.is_v6() ? (any ? sets.publish6_any : sets.publish6) : (any ? sets.publish4_any : sets.publish4);
    list.push_back(translation(map, key, *address, port.container_port));
  }
  return list;
}

}  // namespace gantry::net
