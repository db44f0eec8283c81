// What a network's driver and options mean, and which of them are refused. Pure. Keys and values are Docker's.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "engine/iface/specs.h"
#include "engine/network_record.h"
#include "net/network.h"

namespace gantry::engine {

inline constexpr const char* kOptionBridgeName = "com.docker.network.bridge.name";
inline constexpr const char* kOptionDefaultBridge = "com.docker.network.bridge.default_bridge";
inline constexpr const char* kOptionInterfacePrefix = "com.docker.network.container_iface_prefix";
inline constexpr const char* kEndpointInterface = "com.docker.network.endpoint.ifname";
inline constexpr const char* kEndpointSysctls = "com.docker.network.endpoint.sysctls";

// Driver, name, options and pools: everything that can be told without looking at other networks.
Result<> check_network(const NetworkSpec& spec);
// Addresses, interface name and driver options of a place in a network.
Result<> check_endpoint(const EndpointSpec& spec);

// Fills in all that follows from driver and options.
void apply_options(const NetworkSpec& spec, net::BridgeConfig& config);
// Its bridge lives in a network namespace of its project's own: the option com.gantry.isolated.
bool is_isolated(const NetworkSpec& spec);
// Can its containers reach anything but each other? Only then does it give a default route, and published ports.
bool leads_out(const NetworkSpec& spec);
// "eth", unless chosen for the network.
std::string interface_prefix(const NetworkSpec& spec);
// The host's interface of a macvlan or ipvlan network; empty for others, and for a private one.
std::string parent_interface(const NetworkSpec& spec);

}  // namespace gantry::engine
