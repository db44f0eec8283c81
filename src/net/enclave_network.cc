#include "net/enclave_network.h"

#include <linux/netlink.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/fault.h"
#include "base/log.h"
#include "base/strings.h"
#include "net/links.h"
#include "net/pinned_namespace.h"

namespace gantry::net {
namespace {

constexpr const char* kUplinkInterface = "uplink";  // in the enclave

// As its own stack sees it, where it is on no enclave's uplink.
BridgeConfig in_place(BridgeConfig bridge) {
  bridge.enclave.reset();
  return bridge;
}

// A port of the enclave is for all of the host's addresses from which it is led there.
EndpointConfig in_place(EndpointConfig endpoint) {
  endpoint.enclave.reset();
  for (PortForward& port : endpoint.ports) port.host_ip.clear();
  std::sort(endpoint.ports.begin(), endpoint.ports.end());
  endpoint.ports.erase(std::unique(endpoint.ports.begin(), endpoint.ports.end()), endpoint.ports.end());
  endpoint.publishes6 = false;
  return endpoint;
}

}  // namespace

// An enclave, and the network stack in it.
class EnclaveNetwork::Inside {
 public:
  Inside(Fd netns, const Options& options) : netns_(std::move(netns)), options_(options) { options_.has_programs = false; }

  // Runs `action` in the namespace.
  template <class F>
  auto in(F action) {
    return inside_namespace(netns_.get(), std::move(action));
  }

  ~Inside() {
    // It opens sockets as it ends.
    (void)in([this]() -> Result<> {
      stack_.reset();
      return {};
    });
  }
  Result<> set_up() {
    return in([this]() -> Result<> {
      stack_ = std::make_unique<BridgeNetwork>(options_);
      return stack_->set_up();
    });
  }
  BridgeNetwork& stack() { return *stack_; }

  // Guarded by building_.
  std::set<std::string> bridges;  // that are there
  bool is_new = false;            // made by this daemon

 private:
  const Fd netns_;
  Options options_;
  std::unique_ptr<BridgeNetwork> stack_;
};

std::unique_ptr<NetworkStack> make_network_stack(NetworkStack::Options options) {
  return std::make_unique<EnclaveNetwork>(std::move(options));
}

EnclaveNetwork::EnclaveNetwork(Options options) : options_(std::move(options)), host_(options_) {
  host_.let_published_through(uplink({}).bridge_name);
}
EnclaveNetwork::~EnclaveNetwork() = default;

std::string EnclaveNetwork::file_of(const std::string& enclave) const {
  return options_.run_dir + "/netns/" + enclave;
}

BridgeConfig EnclaveNetwork::uplink(const Enclave& enclave) const {
  BridgeConfig bridge;
  bridge.network_id = sha256_hex(options_.table_name + " uplink");
  bridge.bridge_name = "br-" + bridge.network_id.substr(0, 12);
  bridge.subnet4 = enclave.uplink;
  bridge.gateway4 = enclave.gateway;
  bridge.icc = false;
  return bridge;
}

EndpointConfig EnclaveNetwork::on_uplink(const Enclave& enclave) const {
  const BridgeConfig bridge = uplink(enclave);
  const std::string number = sha256_hex(options_.table_name + " enclave " + enclave.id);
  EndpointConfig endpoint;
  endpoint.network_id = bridge.network_id;
  endpoint.bridge_name = bridge.bridge_name;
  endpoint.host_interface = "veth" + number.substr(0, 7);
  endpoint.container_interface = kUplinkInterface;
  SeededRandom random(std::stoull(number.substr(0, 15), nullptr, 16));
  endpoint.mac = MacAddress::random_local(random);
  endpoint.address4 = enclave.address;
  endpoint.subnet4 = enclave.uplink;
  endpoint.gateway4 = enclave.gateway;
  endpoint.ports.resize(1);  // it has some: for its place in the bridge
  return endpoint;
}

EndpointConfig EnclaveNetwork::published_on_uplink(const EndpointConfig& endpoint) const {
  EndpointConfig outside = on_uplink(*endpoint.enclave);
  outside.publishes4 = endpoint.publishes4;
  outside.publishes6 = false;  // carried by a process
  outside.ports = endpoint.ports;
  for (PortForward& port : outside.ports) port.container_port = port.host_port;
  return outside;
}

Result<std::shared_ptr<EnclaveNetwork::Inside>> EnclaveNetwork::find(const Enclave& enclave) {
  std::lock_guard lock(mutex_);
  const auto at = inside_.find(enclave.id);
  if (at == inside_.end()) return not_found("the network namespace of an isolated network is missing");
  return at->second;
}

// building_ is held.
Result<std::shared_ptr<EnclaveNetwork::Inside>> EnclaveNetwork::ensure(const Enclave& enclave, bool gives_way) {
  if (auto known = find(enclave); known.ok()) return known;
  if (!host_.translates()) {
    return unsupported("a network with com.gantry.isolated needs nftables, which cannot be used here");
  }
  BridgeConfig bridge = uplink(enclave);
  const Fd route = TRY(open_netlink(NETLINK_ROUTE));
  bridge.gives_way = gives_way && !link_index(route.get(), bridge.bridge_name).ok();
  TRY(host_.create_bridge(bridge).within("uplink of isolated networks"));
  fault_point("uplink made");
  // One of an earlier daemon may have containers in it, which lose nothing by our failure.
  std::error_code error;
  const bool existed = std::filesystem::exists(file_of(enclave.id), error);
  auto made = make(enclave).within("namespace of an isolated network");
  if (!made.ok() && !existed) (void)remove(enclave);  // the first error is the one to tell
  if (made.ok()) (*made)->is_new = !existed;
  return made;
}

Result<std::shared_ptr<EnclaveNetwork::Inside>> EnclaveNetwork::make(const Enclave& enclave) {
  Fd netns = TRY(ensure_namespace(file_of(enclave.id)));
  fault_point("enclave made");
  const Fd route = TRY(inside_namespace(netns.get(), [] { return open_netlink(NETLINK_ROUTE); }));
  TRY(host_.attach(on_uplink(enclave), {.route = route.get(), .netfilter = -1, .netns = netns.get()}));
  fault_point("enclave attached");
  auto inside = std::make_shared<Inside>(std::move(netns), options_);
  TRY(inside->set_up());
  std::lock_guard lock(mutex_);
  inside_[enclave.id] = inside;
  return inside;
}

// building_ is held. Goes on after failures and tells the first.
Result<> EnclaveNetwork::remove(const Enclave& enclave) {
  bool last = false;
  {
    std::lock_guard lock(mutex_);
    inside_.erase(enclave.id);
    last = inside_.empty();
  }
  auto removed = host_.detach(on_uplink(enclave), nullptr);
  if (auto unpinned = remove_namespace(file_of(enclave.id)); removed.ok()) removed = std::move(unpinned);
  if (!last) return removed;
  auto without = host_.remove_bridge(uplink(enclave));
  return removed.ok() ? without : removed;
}

Result<> EnclaveNetwork::tear_down() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(options_.run_dir + "/netns", error)) {
    names.push_back(entry.path().filename());
  }
  {
    std::lock_guard lock(mutex_);
    inside_.clear();
  }
  for (const std::string& name : names) TRY(remove_namespace(file_of(name)));
  return host_.tear_down();
}

Result<> EnclaveNetwork::create_bridge(const BridgeConfig& bridge) {
  if (!bridge.enclave) return host_.create_bridge(bridge);
  std::lock_guard building(building_);
  auto inside = TRY(ensure(*bridge.enclave, bridge.gives_way));
  auto made = inside->in([&] { return inside->stack().create_bridge(in_place(bridge)); });
  if (made.ok()) inside->bridges.insert(bridge.bridge_name);
  if (!made.ok() && inside->bridges.empty() && inside->is_new) (void)remove(*bridge.enclave);  // the first error is the one to tell
  return made;
}

Result<> EnclaveNetwork::remove_bridge(const BridgeConfig& bridge) {
  if (!bridge.enclave) return host_.remove_bridge(bridge);
  std::lock_guard building(building_);
  auto inside = find(*bridge.enclave);
  if (inside.ok()) {
    TRY((*inside)->in([&] { return (*inside)->stack().remove_bridge(in_place(bridge)); }));
    (*inside)->bridges.erase(bridge.bridge_name);
    if (!(*inside)->bridges.empty()) return {};
  }
  return remove(*bridge.enclave);
}

Result<std::unique_ptr<PortReservation>> EnclaveNetwork::reserve_ports(const std::vector<PortRequest>& ports,
                                                                       const PortOwner& owner) {
  return host_.reserve_ports(ports, owner);
}

std::vector<std::optional<Error>> EnclaveNetwork::check_ports(const std::vector<PortQuestion>& questions,
                                                              const std::set<std::string>& leaving) {
  return host_.check_ports(questions, leaving);
}

Result<> EnclaveNetwork::attach(const EndpointConfig& endpoint, const NetnsAccess& netns) {
  if (!endpoint.enclave) return host_.attach(endpoint, netns);
  auto inside = TRY(find(*endpoint.enclave));
  TRY(inside->in([&] { return inside->stack().attach(in_place(endpoint), netns); }));
  auto published = host_.publish(published_on_uplink(endpoint));
  if (!published.ok()) (void)detach(endpoint, &netns);  // the first error is the one to tell
  return published;
}

Result<bool> EnclaveNetwork::is_attached(const EndpointConfig& endpoint) {
  if (!endpoint.enclave) return host_.is_attached(endpoint);
  auto inside = TRY(find(*endpoint.enclave));
  return inside->in([&] { return inside->stack().is_attached(endpoint); });
}

Result<> EnclaveNetwork::redirect_dns(const NetnsAccess& netns, uint16_t udp_port, uint16_t tcp_port) {
  return host_.redirect_dns(netns, udp_port, tcp_port);
}

Result<> EnclaveNetwork::loopback_up(const NetnsAccess& netns) { return host_.loopback_up(netns); }

Result<> EnclaveNetwork::detach(const EndpointConfig& endpoint, const NetnsAccess* netns) {
  if (!endpoint.enclave) return host_.detach(endpoint, netns);
  auto withdrawn = host_.unpublish(published_on_uplink(endpoint));
  auto inside = find(*endpoint.enclave);
  if (!inside.ok()) return withdrawn;  // it has gone, and all interfaces in it
  TRY((*inside)->in([&] { return (*inside)->stack().detach(in_place(endpoint), netns); }));
  return withdrawn;
}

Result<> EnclaveNetwork::detach_ended(const EndpointConfig& endpoint) {
  if (!endpoint.enclave) return host_.detach_ended(endpoint);
  auto withdrawn = host_.unpublish(published_on_uplink(endpoint));
  auto inside = find(*endpoint.enclave);
  if (!inside.ok()) return withdrawn;
  TRY((*inside)->in([&] { return (*inside)->stack().detach_ended(in_place(endpoint)); }));
  return withdrawn;
}

Result<> EnclaveNetwork::unpublish(const EndpointConfig& endpoint) {
  if (!endpoint.enclave) return host_.unpublish(endpoint);
  TRY(host_.unpublish(published_on_uplink(endpoint)));
  auto inside = TRY(find(*endpoint.enclave));
  return inside->in([&] { return inside->stack().unpublish(in_place(endpoint)); });
}

Result<> EnclaveNetwork::remove_all_but(const std::vector<BridgeConfig>& bridges,
                                        const std::vector<EndpointConfig>& endpoints) {
  struct Wanted {
    Enclave enclave;
    std::vector<BridgeConfig> bridges;
    std::vector<EndpointConfig> endpoints;
  };
  std::map<std::string, Wanted> wanted;
  std::vector<BridgeConfig> on_host;
  for (const BridgeConfig& bridge : bridges) {
    if (!bridge.enclave) {
      on_host.push_back(bridge);
      continue;
    }
    Wanted& there = wanted[bridge.enclave->id];
    there.enclave = *bridge.enclave;
    there.bridges.push_back(in_place(bridge));
  }
  std::vector<EndpointConfig> of_host;
  for (const auto& [id, there] : wanted) of_host.push_back(on_uplink(there.enclave));
  if (!wanted.empty()) on_host.push_back(uplink(wanted.begin()->second.enclave));
  for (const EndpointConfig& endpoint : endpoints) {
    of_host.push_back(endpoint.enclave ? published_on_uplink(endpoint) : endpoint);
    if (endpoint.enclave) wanted[endpoint.enclave->id].endpoints.push_back(in_place(endpoint));
  }
  Result<> done = host_.remove_all_but(on_host, of_host);
  for (const auto& [id, there] : wanted) {
    auto inside = find(there.enclave);
    if (!inside.ok()) continue;  // why it could not be made was told
    auto cleaned = (*inside)->in([&] { return (*inside)->stack().remove_all_but(there.bridges, there.endpoints); });
    if (done.ok()) done = std::move(cleaned);
  }
  std::error_code error;
  std::vector<std::string> stale;
  for (const auto& entry : std::filesystem::directory_iterator(options_.run_dir + "/netns", error)) {
    if (const std::string name = entry.path().filename(); !wanted.contains(name)) stale.push_back(name);
  }
  for (const std::string& name : stale) {
    if (auto removed = remove_namespace(file_of(name)); done.ok()) done = std::move(removed);
  }
  return done;
}

}  // namespace gantry::net
