#include "engine/network_options.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "engine/container/container_name.h"
#include "net/endpoint_sysctls.h"

namespace gantry::engine {
namespace {

constexpr const char* kOptionIcc = "com.docker.network.bridge.enable_icc";
constexpr const char* kOptionMasquerade = "com.docker.network.bridge.enable_ip_masquerade";
constexpr const char* kOptionBindingIp = "com.docker.network.bridge.host_binding_ipv4";
constexpr const char* kOptionMode4 = "com.docker.network.bridge.gateway_mode_ipv4";
constexpr const char* kOptionMode6 = "com.docker.network.bridge.gateway_mode_ipv6";
constexpr const char* kOptionIsolated = "com.gantry.isolated";
constexpr const char* kOptionBigTcp = "com.gantry.big_tcp";
constexpr const char* kOptionMtu = "com.docker.network.driver.mtu";
constexpr const char* kOptionParent = "parent";
constexpr size_t kLongestInterfaceName = 15;  // IFNAMSIZ - 1

using Options = std::map<std::string, std::string>;

std::string option(const Options& options, const std::string& key) {
  auto at = options.find(key);
  return at == options.end() ? std::string() : at->second;
}

std::optional<bool> parse_flag(const std::string& text) {
  const std::string value = to_lower(text);
  if (value == "true" || value == "1" || value == "t") return true;
  if (value == "false" || value == "0" || value == "f") return false;
  return std::nullopt;
}

std::optional<net::GatewayMode> parse_mode(const std::string& text) {
  if (text == "nat") return net::GatewayMode::nat;
  if (text == "nat-unprotected") return net::GatewayMode::nat_unprotected;
  if (text == "routed") return net::GatewayMode::routed;
  if (text == "isolated") return net::GatewayMode::isolated;
  return std::nullopt;
}

std::string driver_of(const NetworkSpec& spec) {
  return spec.driver.empty() || spec.driver == "default" ? "bridge" : spec.driver;
}

bool has_parent(const NetworkSpec& spec) {
  const std::string driver = driver_of(spec);
  return driver == "macvlan" || driver == "ipvlan";
}

bool is_interface_name(const std::string& name) {
  return !name.empty() && name.size() <= kLongestInterfaceName && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(), [](unsigned char c) { return c == '/' || c == ':' || std::isspace(c); });
}

Error invalid_config(const std::string& text) { return invalid("invalid network config:\n" + text); }

// One of a few words, or not given.
Result<> check_choice(const std::string& key, const std::string& value, std::initializer_list<const char*> choices) {
  if (value.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) return {};
  std::string all;
  for (const char* choice : choices) all += (all.empty() ? "" : ", ") + std::string(choice);
  return invalid("invalid " + key + " " + gantry::quoted(value) + ": must be one of " + all);
}

Result<> check_mtu(const std::string& value) {
  const auto mtu = parse_unsigned(value);
  if (!mtu || *mtu < 68 || *mtu > 65535) return invalid("invalid MTU: " + value);
  return {};
}

Result<> check_bridge_option(const std::string& key, const std::string& value, bool internal) {
  if (key == kOptionBridgeName) {
    if (!is_interface_name(value)) {
      return invalid("invalid bridge name " + gantry::quoted(value) + ": 1 to 15 characters, no slash");
    }
  } else if (key == kOptionBindingIp) {
    if (!value.empty() && !net::IpAddress::parse(value).ok()) return invalid("invalid host binding IP: " + value);
  } else if (key == kOptionMode4 || key == kOptionMode6) {
    const auto mode = parse_mode(value);
    if (!mode) {
      return invalid("invalid value " + gantry::quoted(value) + " of network option " + key +
                     ": must be one of nat, nat-unprotected, routed, isolated");
    }
    if (*mode == net::GatewayMode::isolated && !internal) {
      return invalid("gateway mode 'isolated' can only be used for an internal network");
    }
  } else if (key == kOptionIsolated || key == kOptionBigTcp || key == kOptionIcc || key == kOptionMasquerade ||
             key == kOptionDefaultBridge) {
    if (!parse_flag(value)) {
      return invalid("invalid value " + gantry::quoted(value) + " of network option " + key + ": true or false");
    }
  } else {
    return unsupported("network option " + gantry::quoted(key) + " is not supported by driver \"bridge\"");
  }
  return {};
}

Result<> check_parent_option(const std::string& driver, const std::string& key, const std::string& value) {
  if (key == kOptionParent) {
    if (!is_interface_name(value)) return invalid("invalid parent interface " + gantry::quoted(value));
    return {};
  }
  if (driver == "macvlan" && key == "macvlan_mode") {
    return check_choice(key, value, {"bridge", "private", "vepa", "passthru"});
  }
  if (driver == "ipvlan" && key == "ipvlan_mode") return check_choice(key, value, {"l2", "l3", "l3s"});
  if (driver == "ipvlan" && key == "ipvlan_flag") return check_choice(key, value, {"bridge", "private", "vepa"});
  return unsupported("network option " + gantry::quoted(key) + " is not supported by driver " + gantry::quoted(driver));
}

Result<> check_options(const NetworkSpec& spec) {
  for (const auto& [key, value] : spec.options) {
    if (key == kOptionMtu) {
      TRY(check_mtu(value));
    } else if (key == kOptionInterfacePrefix) {
      if (!is_interface_name(value + "00")) {
        return invalid("invalid interface prefix " + gantry::quoted(value) + ": 1 to 13 characters, no slash");
      }
    } else if (has_parent(spec)) {
      TRY(check_parent_option(spec.driver, key, value));
    } else {
      TRY(check_bridge_option(key, value, spec.internal));
    }
  }
  for (const char* key : {kOptionMode4, kOptionMode6}) {
    const auto mode = parse_mode(option(spec.options, key));
    if (!is_isolated(spec) || !mode || *mode == net::GatewayMode::nat || *mode == net::GatewayMode::isolated) continue;
    return invalid(std::string("network option ") + key + "=" + option(spec.options, key) + " does not go with " +
                   kOptionIsolated + ": nobody outside has a route to such a network");
  }
  if (has_parent(spec) && spec.internal && !parent_interface(spec).empty()) {
    return invalid("an internal network has no parent interface: leave out the option \"parent\"");
  }
  return {};
}

Result<> check_pool(const IpamPool& pool, const net::Subnet& subnet) {
  if (!pool.ip_range.empty()) {
    auto range = net::Subnet::parse(pool.ip_range);
    if (!range.ok()) return invalid_config("invalid ip-range " + pool.ip_range + ": invalid CIDR block notation");
    if (!subnet.contains(range->address()) || range->prefix() < subnet.prefix()) {
      return invalid_config("invalid ip-range " + pool.ip_range + ": it is not within subnet " + pool.subnet);
    }
  }
  if (!pool.gateway.empty()) {
    auto gateway = net::IpAddress::parse(pool.gateway);
    if (!gateway.ok()) return invalid_config("invalid gateway " + pool.gateway + ": invalid address");
    if (!subnet.contains(*gateway)) {
      return invalid_config("invalid gateway " + pool.gateway + ": parent subnet is " + pool.subnet);
    }
  }
  for (const auto& [name, text] : pool.aux_addresses) {
    auto address = net::IpAddress::parse(text);
    if (!address.ok() || !subnet.contains(*address)) {
      return invalid_config("invalid auxiliary address " + name + "=" + text + ": parent subnet is " + pool.subnet);
    }
  }
  return {};
}

Result<> check_pools(const NetworkSpec& spec) {
  int of_v4 = 0;
  int of_v6 = 0;
  for (const IpamPool& pool : spec.pools) {
    if (pool.subnet.empty()) {
      if (!pool.ip_range.empty() || !pool.gateway.empty() || !pool.aux_addresses.empty()) {
        return invalid_config("a gateway, address range or auxiliary address needs a subnet");
      }
      continue;
    }
    auto subnet = net::Subnet::parse(pool.subnet);
    if (!subnet.ok()) return invalid_config("invalid subnet " + pool.subnet + ": invalid CIDR block notation");
    (subnet->address().is_v4() ? of_v4 : of_v6) += 1;
    TRY(check_pool(pool, *subnet));
  }
  // A bridge has one address a family. Interfaces upon a parent need nothing of the host's.
  if (!has_parent(spec) && (of_v4 > 1 || of_v6 > 1)) {
    return Error(Code::forbidden, "bridge driver doesn't support multiple subnets");
  }
  if (of_v4 > 0 && !spec.enable_ipv4) return invalid_config("an IPv4 subnet needs IPv4, which is turned off");
  if (of_v6 > 0 && !spec.enable_ipv6) return invalid_config("an IPv6 subnet needs IPv6: set enable_ipv6 (--ipv6)");
  return {};
}

Result<> check_address(const std::string& text, bool v6, const char* what) {
  if (text.empty()) return {};
  auto address = net::IpAddress::parse(text);
  if (address.ok() && address->is_v6() == v6) return {};
  return invalid(std::string("invalid ") + what + " address " + gantry::quoted(text));
}

}  // namespace

Result<> check_network(const NetworkSpec& spec) {
  if (spec.name.empty()) return invalid("invalid name: name is empty");
  if (!is_valid_name(spec.name) && spec.name.size() != 1) {
    return invalid("invalid network name " + gantry::quoted(spec.name) +
                   ": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
  }
  const std::string driver = driver_of(spec);
  if (driver == "host" || driver == "null") {
    return Error(Code::forbidden, "only one instance of \"" + driver + "\" network is allowed");
  }
  if (driver != "bridge" && !has_parent(spec)) return not_found("plugin \"" + driver + "\" not found");
  if (!spec.ipam_driver.empty() && spec.ipam_driver != "default") {
    return unsupported("IPAM driver " + gantry::quoted(spec.ipam_driver) + " is not supported: use \"default\"");
  }
  if (!spec.ipam_options.empty()) {
    return unsupported("IPAM option " + gantry::quoted(spec.ipam_options.begin()->first) + " is not supported");
  }
  if (!spec.enable_ipv4 && !spec.enable_ipv6) return invalid_config("IPv4 or IPv6 must be enabled");
  TRY(check_options(spec));
  return check_pools(spec);
}

Result<> check_endpoint(const EndpointSpec& spec) {
  TRY(check_address(spec.ipv4_address, false, "IPv4"));
  TRY(check_address(spec.ipv6_address, true, "IPv6"));
  for (const std::string& text : spec.link_local_ips) {
    if (!net::IpAddress::parse(text).ok()) return invalid("invalid link-local IP address " + gantry::quoted(text));
  }
  if (!spec.mac_address.empty()) TRY(net::MacAddress::parse(spec.mac_address));
  if (!spec.interface_name.empty() && (!is_interface_name(spec.interface_name) || spec.interface_name == "lo")) {
    return invalid("invalid interface name " + gantry::quoted(spec.interface_name) +
                   ": 1 to 15 characters, no slash, colon or space, and not \"lo\"");
  }
  for (const auto& [key, value] : spec.driver_options) {
    if (key == kEndpointSysctls) {
      TRY(net::parse_endpoint_sysctls(value, "eth0"));
    } else if (key != kEndpointInterface) {
      return unsupported("driver option " + gantry::quoted(key) + " of a network endpoint is not supported");
    }
  }
  return {};
}

void apply_options(const NetworkSpec& spec, net::BridgeConfig& config) {
  const auto flag = [&](const char* key) { return parse_flag(option(spec.options, key)).value_or(true); };
  config.internal = spec.internal;
  config.masquerade = flag(kOptionMasquerade);
  config.icc = flag(kOptionIcc);
  config.big_tcp = flag(kOptionBigTcp);
  config.mode4 = parse_mode(option(spec.options, kOptionMode4)).value_or(net::GatewayMode::nat);
  config.mode6 = parse_mode(option(spec.options, kOptionMode6)).value_or(net::GatewayMode::nat);
  config.host_binding_ip = option(spec.options, kOptionBindingIp);
  if (const auto mtu = parse_unsigned(option(spec.options, kOptionMtu))) config.mtu = static_cast<unsigned>(*mtu);
  if (!has_parent(spec)) return;
  const bool macvlan = spec.driver == "macvlan";
  config.parent = net::ParentLink{
      .kind = macvlan ? net::ParentLink::Kind::macvlan : net::ParentLink::Kind::ipvlan,
      .interface = parent_interface(spec),
      .mode = option(spec.options, macvlan ? "macvlan_mode" : "ipvlan_mode"),
      .flag = option(spec.options, "ipvlan_flag"),
  };
}

bool is_isolated(const NetworkSpec& spec) { return parse_flag(option(spec.options, kOptionIsolated)).value_or(false); }

bool leads_out(const NetworkSpec& spec) {
  return !spec.internal && !(has_parent(spec) && parent_interface(spec).empty());
}

std::string interface_prefix(const NetworkSpec& spec) {
  const std::string chosen = option(spec.options, kOptionInterfacePrefix);
  return chosen.empty() ? "eth" : chosen;
}

std::string parent_interface(const NetworkSpec& spec) {
  return has_parent(spec) ? option(spec.options, kOptionParent) : std::string();
}

}  // namespace gantry::engine
