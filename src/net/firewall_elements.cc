#include "net/firewall_elements.h"

#include <netinet/in.h>

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

SetElement span(const NftSet& set, const std::string& bridge, const IpAddress& first, const IpAddress& last) {
  return {&set,
          {.key = padded_key(set.key, {bridge, text_of(first)}), .key_end = padded_key(set.key, {bridge, text_of(last)})}};
}

// Without the gateway, which is the host: every packet of a connection through the host's ports goes to it or comes
// from it, and the set says so sooner than the routes (staying_inside()).
void add_subnet(const NftSet& set, const std::string& bridge, const Subnet& subnet,
                const std::optional<IpAddress>& gateway, std::vector<SetElement>& list) {
  const IpAddress first = subnet.address();
  const IpAddress last = subnet.last();
  if (!gateway || !subnet.contains(*gateway)) return list.push_back(span(set, bridge, first, last));
  if (*gateway != first) list.push_back(span(set, bridge, first, gateway->before()));
  if (*gateway != last) list.push_back(span(set, bridge, gateway->plus(1), last));
}

SetElement translation(const NftSet& map, const std::vector<std::string>& key, const IpAddress& to, uint16_t port) {
  return {&map, {.key = padded_key(map.key, key), .value = padded_key(map.value, {text_of(to), text_of(port)})}};
}

// What the gateway mode adds for one family.
void add_mode(const BridgeConfig& bridge, NftFamily family, GatewayMode mode, std::vector<SetElement>& list) {
  const FirewallSets& sets = firewall_sets();
  const std::string& name = bridge.bridge_name;
  const std::string of_family(1, static_cast<char>(family));
  const bool v4 = family == NftFamily::ipv4;
  if (mode == GatewayMode::isolated) return;
  if (mode == GatewayMode::routed) {
    const std::string icmp(1, v4 ? char{IPPROTO_ICMP} : char{IPPROTO_ICMPV6});
    return list.push_back(plain(sets.echo, {name, icmp}));
  }
  if (bridge.masquerade) list.push_back(plain(sets.masquerade, {name, of_family}));
  if (mode == GatewayMode::nat_unprotected) list.push_back(plain(sets.unprotected, {name, of_family}));
}

// A port that is open at the container's own address.
void add_open(const IpAddress& container, const PortForward& port, std::vector<SetElement>& list) {
  const FirewallSets& sets = firewall_sets();
  const std::string protocol(1, static_cast<char>(port.protocol));
  list.push_back(plain(container.is_v6() ? sets.open6 : sets.open4,
                       {text_of(container), protocol, text_of(port.container_port)}));
}

}  // namespace

std::vector<SetElement> elements_of(const BridgeConfig& bridge) {
  const FirewallSets& sets = firewall_sets();
  const std::string& name = bridge.bridge_name;
  std::vector<SetElement> list{plain(sets.bridges, {name})};
  if (bridge.internal) list.push_back(plain(sets.internal, {name}));
  if (bridge.icc) list.push_back(plain(sets.talk, {name, name}));
  if (bridge.subnet4) add_subnet(sets.local4, name, *bridge.subnet4, bridge.gateway4, list);
  if (bridge.subnet6) add_subnet(sets.local6, name, *bridge.subnet6, bridge.gateway6, list);
  if (bridge.internal) return list;
  if (bridge.subnet4) add_mode(bridge, NftFamily::ipv4, bridge.mode4, list);
  if (bridge.subnet6) add_mode(bridge, NftFamily::ipv6, bridge.mode6, list);
  return list;
}

std::vector<SetElement> conceivable_elements_of(const BridgeConfig& bridge) {
  BridgeConfig internal = bridge;
  internal.internal = internal.icc = true;
  std::vector<SetElement> list = elements_of(internal);
  for (const GatewayMode mode : {GatewayMode::nat_unprotected, GatewayMode::routed}) {
    BridgeConfig open = bridge;
    open.masquerade = true;
    for (const NftFamily family : {NftFamily::ipv4, NftFamily::ipv6}) add_mode(open, family, mode, list);
  }
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
    if (port.host_port == 0) {
      const bool both = port.host_ip.empty();
      const bool v6 = !both && TRY(IpAddress::parse(port.host_ip)).is_v6();
      if (to4 && endpoint.routed4 && !v6) add_open(*to4, port, list);
      if (to6 && endpoint.routed6 && (both || v6)) add_open(*to6, port, list);
      continue;
    }
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
