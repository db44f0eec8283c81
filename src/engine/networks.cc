#include "engine/networks.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "engine/container/record_json.h"
#include "engine/labels.h"
#include "engine/network_options.h"
#include "net/endpoint_sysctls.h"

namespace gantry::engine {
namespace {

constexpr int kTriesForSubnets = 8;  // when other programs take what was free

std::vector<net::Ipam::Pool> with_ula_pool(std::vector<net::Ipam::Pool> pools, const std::string& host_id) {
  if (pools.empty()) pools = net::Ipam::default_pools();
  pools.push_back(net::Ipam::ula_pool(host_id));
  return pools;
}

}  // namespace

AddressPlace place_of(const NetworkRecord& network, const std::string& text) {
  const auto address = net::IpAddress::parse(text);
  for (const IpamPool& pool : network.pools) {
    const auto subnet = net::Subnet::parse(pool.subnet);
    if (!address.ok() || !subnet.ok() || !subnet->contains(*address)) continue;
    const auto gateway = net::IpAddress::parse(pool.gateway);
    return {.subnet = *subnet, .gateway = gateway.ok() ? std::optional(*gateway) : std::nullopt};
  }
  return {};
}

Networks::Networks(Context& context, std::vector<net::Ipam::Pool> pools)
    : context_(context), ipam_(with_ula_pool(std::move(pools), context.paths.data_root.string())) {
  // Ids that stay the same from start to start, and differ between daemons.
  const std::string root = context.paths.data_root.string();
  const auto predefined = [&](const char* name, const char* driver) {
    NetworkRecord record;
    record.id = NetworkId(sha256_hex(root + "\n" + name));
    record.spec.name = name;
    record.spec.driver = driver;
    by_name_[name] = record.id;
    const NetworkId id = record.id;
    networks_[id].record = std::move(record);
    return id;
  };
  default_id_ = predefined(kDefaultNetwork, "bridge");
  host_id_ = predefined("host", "host");
  none_id_ = predefined("none", "null");
}

Result<> Networks::load() {
  for (const NamedRow& row : TRY(context_.database.load_networks())) {
    NetworkRecord record = TRY(network_record_from_json(row.json).within("network " + row.key));
    if (auto added = add_to_books(record); !added.ok()) {
      log_warning("network " + record.spec.name + ": " + added.error().message());
    }
    const NetworkId id = record.id;
    by_name_[record.spec.name] = id;
    if (auto project = record.spec.labels.find(kProjectLabel); project != record.spec.labels.end()) {
      by_project_[project->second].insert(id);
    }
    networks_[id] = Network{.record = std::move(record), .ready = true, .members = {}, .leases = 0, .removing = false};
  }
  return {};
}

std::vector<net::BridgeConfig> Networks::bridges() const {
  std::vector<net::BridgeConfig> configs;
  for (const auto& [id, network] : networks_) {
    if (network.ready) configs.push_back(bridge_config(network.record));
  }
  return configs;
}

Result<> Networks::check(const NetworkSpec& spec) const {
  if (spec.name == kDefaultNetwork || spec.name == "host" || spec.name == "none" || spec.name == "default") {
    return Error(Code::forbidden, "operation is not permitted on predefined " + spec.name + " network ");
  }
  TRY(check_network(spec));
  if (by_name_.contains(spec.name) || names_being_made_.contains(spec.name)) {
    return conflict("network with name " + spec.name + " already exists");
  }
  const std::string parent = parent_interface(spec);
  for (const auto& [id, network] : networks_) {
    if (parent.empty() || parent_interface(network.record.spec) != parent) continue;
    return Error(Code::forbidden,
                 "network " + network.record.spec.name + " is already using parent interface " + parent);
  }
  return {};
}

net::BridgeConfig Networks::bridge_config(const NetworkRecord& network) const {
  net::BridgeConfig config;
  config.network_id = network.id.str();
  config.bridge_name = network.bridge_name;
  config.enclave = enclave_of(network);
  apply_options(network.spec, config);
  for (const IpamPool& pool : network.pools) {
    auto subnet = net::Subnet::parse(pool.subnet);
    auto gateway = net::IpAddress::parse(pool.gateway);
    if (!subnet.ok()) continue;
    const bool v6 = subnet->address().is_v6();
    std::optional<net::Subnet>& of_family = v6 ? config.subnet6 : config.subnet4;
    if (of_family) continue;  // an endpoint knows which of several it is in (place_of)
    of_family = *subnet;
    const bool isolated = (v6 ? config.mode6 : config.mode4) == net::GatewayMode::isolated;
    if (gateway.ok() && !isolated) (v6 ? config.gateway6 : config.gateway4) = *gateway;
  }
  return config;
}

void Networks::make(NetworkRecord record, Function<void(Result<>)> then) {
  ++under_way_;
  names_being_made_.insert(record.spec.name);
  choose_and_make(std::move(record), kTriesForSubnets, std::move(then));
}

void Networks::choose_and_make(NetworkRecord record, int tries, Function<void(Result<>)> then) {
  context_.tasks.run(
      [&stack = context_.stack] { return stack.routes_in_use(); },
      [this, record = std::move(record), tries,
       then = std::move(then)](Result<std::vector<net::Subnet>> routes) mutable {
        // Without the host's routes a subnet may collide with one: better than no network at all.
        if (!routes.ok()) log_warning("the host's routes cannot be read: " + routes.error().message());
        const std::vector<net::Subnet> in_use = routes.ok() ? *std::move(routes) : std::vector<net::Subnet>();
        if (is_isolated(record.spec)) {
          if (auto joined = join_enclave(record, in_use); !joined.ok()) {
            return made(std::move(record), std::move(joined), std::move(then));
          }
        }
        auto pools = allocate_pools(record, in_use);
        if (!pools.ok()) return made(std::move(record), std::move(pools).error(), std::move(then));
        record.pools = *std::move(pools);
        auto config = bridge_config(record);
        // What the user chose is made even beside another's equal subnet, as it always was.
        config.gives_way = std::none_of(record.spec.pools.begin(), record.spec.pools.end(),
                                        [](const IpamPool& pool) { return !pool.subnet.empty(); });
        context_.tasks.run(
            [&stack = context_.stack, config = std::move(config)] { return stack.create_bridge(config); },
            [this, record = std::move(record), tries, then = std::move(then)](Result<> bridge) mutable {
              const bool again = !bridge.ok() && bridge.error().code() == Code::conflict && tries > 1;
              if (!again) return made(std::move(record), std::move(bridge), std::move(then));
              give_back_pools(record);
              record.enclave.clear();
              record.uplink.clear();
              choose_and_make(std::move(record), tries - 1, std::move(then));
            });
      });
}

void Networks::made(NetworkRecord record, Result<> bridge, Function<void(Result<>)> then) {
  --under_way_;
  if (context_.went_idle) context_.went_idle();
  names_being_made_.erase(record.spec.name);
  Result<> result = std::move(bridge);
  if (result.ok()) result = context_.database.save_network(record.id, to_json(record));
  if (!result.ok()) {
    give_back_pools(record);
    return then(std::move(result));
  }
  const NetworkId id = record.id;
  by_name_[record.spec.name] = id;
  if (auto project = record.spec.labels.find(kProjectLabel); project != record.spec.labels.end()) {
    by_project_[project->second].insert(id);
  }
  networks_[id] = Network{.record = record, .ready = true, .members = {}, .leases = 0, .removing = false};
  emit(record, "create");
  then({});
}

void Networks::create(NetworkSpec spec, Reply<NetworkId> reply) {
  if (auto checked = check(spec); !checked.ok()) {
    return context_.answer(std::move(reply), std::move(checked).error());
  }
  NetworkRecord record;
  record.id = NetworkId::random(context_.random);
  if (spec.driver.empty() || spec.driver == "default") spec.driver = "bridge";
  auto bridge_name = spec.options.find(kOptionBridgeName);
  record.bridge_name = bridge_name != spec.options.end() ? bridge_name->second : "br-" + record.id.short_form();
  record.spec = std::move(spec);
  record.created_at = context_.loop.clock().wall();
  const NetworkId id = record.id;
  make(std::move(record), [id, reply = std::move(reply)](Result<> made) mutable {
    if (!made.ok()) return reply(std::move(made).error());
    reply(id);
  });
}

void Networks::ensure_default(Function<void(Result<>)> then) {
  Network& network = networks_.at(default_id_);
  if (network.ready) return then({});
  waiting_for_default_.push_back(std::move(then));
  if (default_being_made_) return;
  default_being_made_ = true;
  NetworkRecord record = network.record;
  record.bridge_name = "br-" + record.id.short_form();
  record.created_at = context_.loop.clock().wall();
  record.spec.options[kOptionDefaultBridge] = "true";
  make(std::move(record), [this](Result<> made) {
    default_being_made_ = false;
    auto waiting = std::exchange(waiting_for_default_, {});
    for (auto& next : waiting) {
      next(made.ok() ? Result<>() : Result<>(Error(made.error()).within("default network \"bridge\"")));
    }
  });
}

void Networks::remove(NetworkId id, Reply<> reply) {
  auto at = networks_.find(id);
  if (at == networks_.end() || at->second.removing) {
    return context_.answer(std::move(reply), not_found("network " + id.str() + " not found"));
  }
  Network& network = at->second;
  const std::string name = network.record.spec.name;
  if (is_predefined(id)) {
    return context_.answer(std::move(reply),
                             Error(Code::forbidden, name + " is a pre-defined network and cannot be removed"));
  }
  if (!network.members.empty() || network.leases > 0) {
    std::vector<std::string> users;
    for (const auto& [container, member] : network.members) {
      users.push_back("name:\"" + member.container_name + "\" id:\"" + container.short_form() + "\"");
    }
    return context_.answer(std::move(reply), conflict("error while removing network: network " + name +
                                                        " has active endpoints (" + join(users, ", ") + ")"));
  }
  network.removing = true;
  ++under_way_;
  context_.tasks.run(
      [&stack = context_.stack, config = bridge_config(network.record)] { return stack.remove_bridge(config); },
      [this, id, reply = std::move(reply)](Result<> removed) mutable {
        --under_way_;
        if (context_.went_idle) context_.went_idle();
        if (removed.ok()) removed = context_.database.remove_network(id);
        if (!removed.ok()) {
          networks_.at(id).removing = false;
          return reply(std::move(removed).within("network " + networks_.at(id).record.spec.name));
        }
        const NetworkRecord record = networks_.at(id).record;
        give_back_pools(record);
        by_name_.erase(record.spec.name);
        if (auto project = record.spec.labels.find(kProjectLabel); project != record.spec.labels.end()) {
          by_project_[project->second].erase(id);
          if (by_project_[project->second].empty()) by_project_.erase(project->second);
        }
        networks_.erase(id);
        emit(record, "destroy");
        reply({});
      });
}

Result<NetworkId> Networks::find(const std::string& reference) const {
  if (auto at = networks_.find(NetworkId(reference)); at != networks_.end()) return at->first;
  if (auto at = by_name_.find(reference); at != by_name_.end()) return at->second;
  std::optional<NetworkId> found;
  if (!reference.empty()) {
    for (auto at = networks_.lower_bound(NetworkId(reference));
         at != networks_.end() && at->first.str().starts_with(reference); ++at) {
      if (found) return invalid("network " + reference + " is ambiguous (2 matches found based on ID prefix)");
      found = at->first;
    }
  }
  if (!found) return not_found("network " + reference + " not found");
  return *found;
}

const NetworkRecord* Networks::get(const NetworkId& id) const {
  auto at = networks_.find(id);
  return at == networks_.end() ? nullptr : &at->second.record;
}

std::vector<const NetworkRecord*> Networks::list() const {
  std::vector<const NetworkRecord*> records;
  for (const auto& [name, id] : by_name_) records.push_back(&networks_.at(id).record);
  return records;
}

std::vector<const NetworkRecord*> Networks::of_project(const std::string& project) const {
  std::vector<const NetworkRecord*> records;
  auto at = by_project_.find(project);
  if (at == by_project_.end()) return records;
  for (const NetworkId& id : at->second) records.push_back(&networks_.at(id).record);
  std::sort(records.begin(), records.end(), [](const auto* a, const auto* b) { return a->spec.name < b->spec.name; });
  return records;
}

const std::map<ContainerId, Networks::Member>& Networks::members(const NetworkId& id) const {
  static const std::map<ContainerId, Member> kNone;
  auto at = networks_.find(id);
  return at == networks_.end() ? kNone : at->second.members;
}

void Networks::add_member(const ContainerId& container, std::string name, const EndpointState& endpoint) {
  auto at = networks_.find(endpoint.network);
  if (at == networks_.end()) return;
  at->second.members[container] = {.container_name = std::move(name), .endpoint = endpoint};
}

void Networks::remove_member(const NetworkId& id, const ContainerId& container) {
  if (auto at = networks_.find(id); at != networks_.end()) at->second.members.erase(container);
}

void Networks::rename_member(const ContainerId& container, const std::string& name) {
  for (auto& [id, network] : networks_) {
    if (auto at = network.members.find(container); at != network.members.end()) at->second.container_name = name;
  }
}

net::EndpointConfig Networks::endpoint_config(const EndpointState& endpoint, const EndpointSpec* spec) const {
  net::EndpointConfig config;
  config.network_id = endpoint.network.str();
  config.host_interface = endpoint.host_interface;
  config.container_interface = endpoint.container_interface;
  if (auto mac = net::MacAddress::parse(endpoint.mac); mac.ok()) config.mac = *mac;
  if (auto address = net::IpAddress::parse(endpoint.address4); address.ok() && !endpoint.address4.empty()) {
    config.address4 = *address;
  }
  if (auto address = net::IpAddress::parse(endpoint.address6); address.ok() && !endpoint.address6.empty()) {
    config.address6 = *address;
  }
  const NetworkRecord* network = get(endpoint.network);
  if (network == nullptr) return config;
  const net::BridgeConfig bridge = bridge_config(*network);
  config.bridge_name = bridge.bridge_name;
  config.parent = bridge.parent;
  config.enclave = bridge.enclave;
  const AddressPlace place4 = place_of(*network, endpoint.address4);
  const AddressPlace place6 = place_of(*network, endpoint.address6);
  config.subnet4 = place4.subnet;
  config.subnet6 = place6.subnet;
  config.mtu = bridge.mtu;
  config.big_tcp = bridge.big_tcp;
  if (endpoint.gateway4) config.gateway4 = place4.gateway;
  if (endpoint.gateway6) config.gateway6 = place6.gateway;
  config.publishes4 = endpoint.gateway4;
  config.publishes6 = endpoint.gateway6;
  config.routed4 = bridge.mode4 == net::GatewayMode::routed;
  config.routed6 = bridge.mode6 == net::GatewayMode::routed;
  if (spec == nullptr) return config;
  for (const std::string& text : spec->link_local_ips) {
    if (auto address = net::IpAddress::parse(text); address.ok()) config.link_local.push_back(*address);
  }
  if (auto at = spec->driver_options.find(kEndpointSysctls); at != spec->driver_options.end()) {
    auto settings = net::parse_endpoint_sysctls(at->second, endpoint.container_interface);
    if (settings.ok()) config.sysctls = *std::move(settings);
  }
  return config;
}

void Networks::emit(const NetworkRecord& network, const char* action) {
  Event event;
  event.type = Event::Type::network;
  event.action = action;
  event.actor_id = network.id.str();
  event.attributes = network.spec.labels;
  event.attributes["name"] = network.spec.name;
  event.attributes["type"] = network.spec.driver;
  context_.events.emit(std::move(event));
}

}  // namespace gantry::engine
