// /networks.
#include <nlohmann/json.hpp>

#include "daemon/docker/answers.h"
#include "daemon/docker/container_spec.h"
#include "daemon/docker/filters.h"
#include "daemon/docker/lookups.h"
#include "daemon/docker/routes.h"
#include "daemon/waiting.h"

namespace gantry::daemon::docker {
namespace {

using engine::NetworkDetails;
using nlohmann::json;

bool is_predefined(const NetworkDetails& network) {
  return network.spec.name == "bridge" || network.spec.name == "host" || network.spec.name == "none";
}

std::string driver_of(const NetworkDetails& network) {
  if (!network.spec.driver.empty()) return network.spec.driver;
  if (network.spec.name == "host") return "host";
  return network.spec.name == "none" ? "null" : "bridge";
}

json ipam_json(const NetworkDetails& network) {
  json pools = json::array();
  for (const engine::IpamPool& pool : network.pools) {
    json value = {{"Subnet", pool.subnet}};
    if (!pool.gateway.empty()) value["Gateway"] = pool.gateway;
    if (!pool.ip_range.empty()) value["IPRange"] = pool.ip_range;
    if (!pool.aux_addresses.empty()) value["AuxiliaryAddresses"] = pool.aux_addresses;
    pools.push_back(std::move(value));
  }
  const engine::NetworkSpec& spec = network.spec;
  return {{"Driver", spec.ipam_driver.empty() ? "default" : spec.ipam_driver},
          {"Options", spec.ipam_options.empty() ? json() : json(spec.ipam_options)},
          {"Config", std::move(pools)}};
}

json network_json(const NetworkDetails& network, bool with_containers) {
  json containers = json::object();
  if (with_containers) {
    for (const NetworkDetails::Member& member : network.members) {
      containers[member.container.str()] = {{"Name", member.name},
                                            {"EndpointID", member.endpoint_id},
                                            {"MacAddress", member.mac_address},
                                            {"IPv4Address", member.ipv4},
                                            {"IPv6Address", member.ipv6}};
    }
  }
  const engine::NetworkSpec& spec = network.spec;
  return {{"Name", spec.name},
          {"Id", network.id.str()},
          {"Created", format_rfc3339(network.created_at)},
          {"Scope", "local"},
          {"Driver", driver_of(network)},
          {"EnableIPv4", spec.enable_ipv4},
          {"EnableIPv6", spec.enable_ipv6},
          {"IPAM", ipam_json(network)},
          {"Internal", spec.internal},
          {"Attachable", spec.attachable},
          {"Ingress", false},
          {"ConfigFrom", {{"Network", ""}}},
          {"ConfigOnly", false},
          {"Containers", std::move(containers)},
          {"Options", spec.options},
          {"Labels", spec.labels}};
}

bool passes(const NetworkDetails& network, const Filters& filters, std::optional<bool> dangling) {
  const std::vector<std::string> names = {network.spec.name};
  const std::vector<std::string> ids = {network.id.str()};
  if (dangling && *dangling != (network.members.empty() && !is_predefined(network))) return false;
  return filters.match("name", names) && filters.match("id", ids) && filters.exact("driver", driver_of(network)) &&
         filters.exact("scope", "local") && filters.exact("type", is_predefined(network) ? "builtin" : "custom") &&
         filters.labels(network.spec.labels);
}

Result<> list_networks(Exchange& exchange, const Call& call, World& world) {
  static constexpr std::string_view kKnown[] = {"dangling", "driver", "id", "label", "label!", "name", "scope", "type"};
  const Filters filters = TRY(Filters::parse(call.query.get("filters"), kKnown));
  const std::optional<bool> dangling = TRY(filters.flag("dangling"));
  json answer = json::array();
  for (const NetworkDetails& network : world.loop.ask([&world] { return world.engine.list_networks(); })) {
    if (passes(network, filters, dangling)) answer.push_back(network_json(network, false));
  }
  return send_json(exchange, 200, answer);
}

Result<> show_network(Exchange& exchange, const Call& call, World& world) {
  const NetworkDetails network = TRY(world.loop.ask([&]() -> Result<NetworkDetails> {
    const NetworkId id = TRY(world.engine.find_network(call["id"]));
    return world.engine.inspect_network(id);
  }));
  return send_json(exchange, 200, network_json(network, true));
}

Result<engine::NetworkSpec> parse_network(const json& body) {
  Trouble trouble;
  const Fields fields(body, "", trouble);
  engine::NetworkSpec spec;
  spec.name = fields.text("Name");
  spec.driver = fields.text("Driver");
  spec.options = fields.text_map("Options");
  spec.internal = fields.flag("Internal");
  spec.attachable = fields.flag("Attachable");
  spec.enable_ipv4 = fields.optional_flag("EnableIPv4").value_or(true);
  spec.enable_ipv6 = fields.flag("EnableIPv6");
  spec.labels = fields.text_map("Labels");
  const Fields ipam = fields.object("IPAM");
  spec.ipam_driver = ipam.text("Driver");
  spec.ipam_options = ipam.text_map("Options");
  for (const Fields& pool : ipam.objects("Config")) {
    spec.pools.push_back({.subnet = pool.text("Subnet"),
                          .ip_range = pool.text("IPRange"),
                          .gateway = pool.text("Gateway"),
                          .aux_addresses = pool.text_map("AuxiliaryAddresses")});
  }
  for (const char* name : {"Ingress", "ConfigOnly"}) {
    if (fields.flag(name)) fields.refuse(unsupported(std::string(name) + " networks are not supported"));
  }
  if (!fields.object("ConfigFrom").text("Network").empty()) fields.refuse(unsupported("ConfigFrom is not supported"));
  if (const std::string scope = fields.text("Scope"); !scope.empty() && scope != "local") {
    fields.refuse(unsupported("networks of scope " + gantry::quoted(scope) + " are not supported"));
  }
  if (trouble) return *trouble;
  if (spec.name.empty()) return invalid("invalid name: name is empty");
  return spec;
}

Result<> create_network(Exchange& exchange, const Call&, World& world) {
  const json body = TRY(read_json(exchange));
  engine::NetworkSpec spec = TRY(parse_network(body));
  const NetworkId id = TRY(await<NetworkId>(exchange, world.loop, [&world, spec = std::move(spec)](auto reply) mutable {
    world.engine.create_network(std::move(spec), std::move(reply));
  }));
  return send_json(exchange, 201, {{"Id", id.str()}, {"Warning", ""}});
}

Result<> connect(Exchange& exchange, const Call& call, World& world) {
  const json body = TRY(read_json(exchange));
  Trouble trouble;
  const Fields fields(body, "", trouble);
  const NetworkId network = TRY(find_network(world, call["id"]));
  engine::EndpointSpec endpoint = parse_endpoint(fields.object("EndpointConfig"), network.str());
  const std::string reference = fields.text("Container");
  if (trouble) return *trouble;
  const ContainerId container = TRY(find_container(world, reference));
  TRY(await<void>(exchange, world.loop,
                  [&world, network, container, endpoint = std::move(endpoint)](auto reply) mutable {
                    world.engine.connect_network(network, container, std::move(endpoint), std::move(reply));
                  }));
  return exchange.send(200, "", "");
}

Result<> disconnect(Exchange& exchange, const Call& call, World& world) {
  const json body = TRY(read_json(exchange));
  Trouble trouble;
  const Fields fields(body, "", trouble);
  const std::string reference = fields.text("Container");
  const bool force = fields.flag("Force");
  if (trouble) return *trouble;
  const NetworkId network = TRY(find_network(world, call["id"]));
  const ContainerId container = TRY(find_container(world, reference));
  TRY(await<void>(exchange, world.loop, [&world, network, container, force](auto reply) mutable {
    world.engine.disconnect_network(network, container, force, std::move(reply));
  }));
  return exchange.send(200, "", "");
}

Result<> remove_network(Exchange& exchange, World& world, const NetworkId& id) {
  return await<void>(exchange, world.loop,
                     [&world, id](auto reply) mutable { world.engine.remove_network(id, std::move(reply)); });
}

Result<> remove_network(Exchange& exchange, const Call& call, World& world) {
  const NetworkId id = TRY(find_network(world, call["id"]));
  const Result<> removed = remove_network(exchange, world, id);
  // In use is 403 here, not 409: clients tell the two apart.
  if (!removed.ok() && removed.error().code() == Code::conflict)
    return Error(Code::forbidden, removed.error().message());
  if (!removed.ok()) return removed;
  return send_nothing(exchange);
}

Result<> prune_networks(Exchange& exchange, const Call& call, World& world) {
  static constexpr std::string_view kKnown[] = {"label", "label!"};
  const Filters filters = TRY(Filters::parse(call.query.get("filters"), kKnown));
  json deleted = json::array();
  for (const NetworkDetails& network : world.loop.ask([&world] { return world.engine.list_networks(); })) {
    if (is_predefined(network) || !network.members.empty() || !filters.labels(network.spec.labels)) continue;
    const Result<> removed = remove_network(exchange, world, network.id);
    if (removed.ok()) deleted.push_back(network.spec.name);
    if (!removed.ok() && removed.error().code() == Code::cancelled) return removed;
  }
  return send_json(exchange, 200, {{"NetworksDeleted", deleted.empty() ? json() : std::move(deleted)}});
}

}  // namespace

void add_network_routes(Router& router, World& world) {
  const auto add = [&](const char* method, const char* path, Result<> (*handler)(Exchange&, const Call&, World&)) {
    router.add(method, path,
               [handler, &world](Exchange& exchange, const Call& call) { return handler(exchange, call, world); });
  };
  add("GET", "/networks", list_networks);
  add("GET", "/networks/", list_networks);
  add("POST", "/networks/create", create_network);
  add("POST", "/networks/prune", prune_networks);
  add("GET", "/networks/{id}", show_network);
  add("DELETE", "/networks/{id}", remove_network);
  add("POST", "/networks/{id}/connect", connect);
  add("POST", "/networks/{id}/disconnect", disconnect);
}

}  // namespace gantry::daemon::docker
