// What the network stack does when others have taken away its rules or bridges.
#include <map>
#include <string>
#include <vector>

#include "base/log.h"
#include "net/bridge_network.h"

namespace gantry::net {

// The watch's thread. Everything that is as it should be is left alone.
void BridgeNetwork::repair() {
  std::map<std::string, BridgeConfig> bridges;
  {
    std::lock_guard lock(mutex_);
    bridges = bridges_;
  }
  const auto complain = [](const Result<>& done) {
    if (!done.ok()) log_warning("repairing networks: " + done.error().message());
  };
  complain(firewall_.set_up());
  auto route = route_.take();
  if (!route.ok()) return complain(std::move(route).error());
  for (const auto& [name, bridge] : bridges) {
    complain(foreign_.let_through(name));
    complain(repair_bridge(route->get(), bridge));
  }
}

Result<> BridgeNetwork::repair_bridge(int route, const BridgeConfig& bridge) {
  if (TRY(find_link(route, bridge.bridge_name))) return {};
  {
    std::lock_guard lock(mutex_);
    if (!bridges_.contains(bridge.bridge_name)) return {};  // it was we who removed it
  }
  log_warning("bridge " + bridge.bridge_name + " was removed by another program: making it again");
  BridgeConfig as_it_was = bridge;
  as_it_was.gives_way = false;
  TRY(make_bridge(route, as_it_was));
  std::vector<std::string> ports;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [interface, place] : interfaces_) {
      if (place == bridge.bridge_name) ports.push_back(interface);
    }
  }
  {
    std::lock_guard lock(mutex_);
    take_big_tcp_.erase(bridge.bridge_name);
  }
  const int index = TRY(link_index(route, bridge.bridge_name));
  for (const std::string& port : ports) {
    auto link = TRY(find_link(route, port));
    if (!link) continue;
    NetlinkBatch batch;
    add_to_bridge(batch, port, index);
    TRY(exchange(route, batch));
    // Hairpin wherever it may be needed: it costs nothing, and who has ports is not known here.
    EndpointConfig endpoint{.bridge_name = bridge.bridge_name, .host_interface = port};
    endpoint.ports.resize(1);
    TRY(configure_port(route, endpoint));
    TRY(wait_operational(route, {port, bridge.bridge_name}));
  }
  if (bridge.big_tcp && !ports.empty()) let_take_big_tcp(route, bridge.bridge_name);
  return {};
}

}  // namespace gantry::net
