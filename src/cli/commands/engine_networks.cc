// gantry network ls, create, rm, inspect, connect, disconnect, prune.
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/fd.h"
#include "base/strings.h"
#include "cli/api_types.h"
#include "cli/commands/commands.h"
#include "cli/network_bodies.h"
#include "cli/table.h"
#include "client/api_client.h"

namespace gantry::cli {

namespace {

constexpr Flag kShowHelp{.name = "help", .letter = 'h', .help = "Show this help"};

constexpr Flag kNetworkListFlags[] = {
    {.name = "filter", .letter = 'f', .kind = FlagKind::list, .value_name = "KEY=VALUE",
     .help = "Show only networks with this driver, id, label, name, scope, type or dangling"},
    {.name = "quiet", .letter = 'q', .help = "Print ids only"},
    {.name = "no-trunc", .help = "Don't cut ids"},
    kShowHelp,
};
constexpr Flag kNetworkCreateFlags[] = {
    {.name = "driver", .letter = 'd', .kind = FlagKind::text, .value_name = "DRIVER",
     .help = "bridge (the default), macvlan or ipvlan"},
    {.name = "opt", .letter = 'o', .kind = FlagKind::list, .value_name = "KEY=VALUE", .help = "Option of the driver"},
    {.name = "label", .kind = FlagKind::list, .value_name = "KEY=VALUE", .help = "Label"},
    {.name = "subnet", .kind = FlagKind::list, .value_name = "CIDR", .help = "Subnet, one a family; macvlan, ipvlan: any number"},
    {.name = "ip-range", .kind = FlagKind::list, .value_name = "CIDR", .help = "Give addresses of this part only"},
    {.name = "gateway", .kind = FlagKind::list, .value_name = "ADDRESS", .help = "The gateway's address"},
    {.name = "aux-address", .kind = FlagKind::list, .value_name = "NAME=ADDRESS", .help = "Address not to be given"},
    {.name = "ipam-driver", .kind = FlagKind::text, .value_name = "DRIVER", .help = "Only \"default\""},
    {.name = "ipam-opt", .kind = FlagKind::list, .value_name = "KEY=VALUE", .help = "Option of the IPAM driver"},
    {.name = "internal", .help = "No way out of the network, and none in"},
    {.name = "attachable", .help = "Kept as a mark; containers can join every network by hand"},
    {.name = "ipv4", .help = "IPv4 addresses (on unless --ipv4=false)"},
    {.name = "ipv6", .help = "IPv6 addresses"},
    kShowHelp,
};
constexpr Flag kConnectFlags[] = {
    {.name = "alias", .kind = FlagKind::list, .value_name = "NAME", .help = "Further name in this network"},
    {.name = "ip", .kind = FlagKind::text, .value_name = "ADDRESS", .help = "IPv4 address"},
    {.name = "ip6", .kind = FlagKind::text, .value_name = "ADDRESS", .help = "IPv6 address"},
    {.name = "link", .kind = FlagKind::list, .value_name = "CONTAINER:ALIAS", .help = "Another container's alias"},
    {.name = "link-local-ip", .kind = FlagKind::list, .value_name = "ADDRESS", .help = "Link-local address"},
    {.name = "driver-opt", .kind = FlagKind::list, .value_name = "KEY=VALUE", .help = "Option of the endpoint"},
    {.name = "gw-priority", .kind = FlagKind::number, .value_name = "N",
     .help = "The network with the highest number gives the default route"},
    kShowHelp,
};
constexpr Flag kDisconnectFlags[] = {
    {.name = "force", .letter = 'f', .help = "No error if the container is not connected"},
    kShowHelp,
};
constexpr Flag kNetworkPruneFlags[] = {
    {.name = "force", .letter = 'f', .help = "Don't ask"},
    {.name = "filter", .kind = FlagKind::list, .value_name = "KEY=VALUE", .help = "Only networks with this label"},
    kShowHelp,
};
constexpr Flag kForceFlags[] = {
    {.name = "force", .letter = 'f', .help = "No error if a network does not exist"},
    kShowHelp,
};
constexpr Flag kNetworkInspectFlags[] = {kShowHelp};

std::string network_path(const std::string& name, const std::string& action = {}) {
  return "/networks/" + client::url_encode(name) + (action.empty() ? "" : "/" + action);
}

Result<std::map<std::string, std::string>> pairs_of(const Arguments& arguments, std::string_view flag) {
  std::map<std::string, std::string> pairs;
  for (const std::string& text : arguments.list(flag)) {
    const size_t equals = text.find('=');
    if (equals == 0) return invalid("invalid --" + std::string(flag) + " " + gantry::quoted(text) + ": no key");
    pairs[text.substr(0, equals)] = equals == std::string::npos ? "" : text.substr(equals + 1);
  }
  return pairs;
}

Result<int> list_networks(Session& session, const Arguments& arguments) {
  std::string path = "/networks";
  if (arguments.given("filter")) {
    path += "?filters=" + client::url_encode(TRY(filters_text(arguments.list("filter"))));
  }
  auto rows = TRY(parse_networks(TRY(TRY((*TRY(session.api())).request("GET", path)).ok_body())));
  std::sort(rows.begin(), rows.end(), [](const NetworkRow& a, const NetworkRow& b) { return a.name < b.name; });
  const auto shown = [&](const std::string& id) { return arguments.on("no-trunc") ? id : id.substr(0, 12); };
  Table table({"NETWORK ID", "NAME", "DRIVER", "SCOPE"});
  for (const NetworkRow& row : rows) {
    if (arguments.on("quiet")) session.out.write(shown(row.id) + "\n");
    table.add({shown(row.id), row.name, row.driver, row.scope});
  }
  if (!arguments.on("quiet")) session.out.write(table.text());
  return 0;
}

Result<int> create_network(Session& session, const Arguments& arguments) {
  NetworkRequest request{.name = arguments.positional()[0], .driver = arguments.text("driver", "bridge")};
  request.options = TRY(pairs_of(arguments, "opt"));
  request.labels = TRY(pairs_of(arguments, "label"));
  request.pools = TRY(pools_of(arguments.list("subnet"), arguments.list("ip-range"), arguments.list("gateway"),
                               arguments.list("aux-address")));
  request.ipam_driver = arguments.text("ipam-driver", "default");
  request.ipam_options = TRY(pairs_of(arguments, "ipam-opt"));
  request.internal = arguments.on("internal");
  request.attachable = arguments.on("attachable");
  request.ipv4 = !arguments.given("ipv4") || arguments.on("ipv4");
  request.ipv6 = arguments.on("ipv6");
  auto answer = TRY((*TRY(session.api())).request("POST", "/networks/create", network_body(request)));
  session.out.write(TRY(created_id(TRY(std::move(answer).ok_body()))) + "\n");
  return 0;
}

Result<int> remove_networks(Session& session, const Arguments& arguments) {
  client::ApiClient* api = TRY(session.api());
  int status = 0;
  for (const std::string& name : arguments.positional()) {
    auto answer = TRY(api->request("DELETE", network_path(name)));
    if (answer.status == 404 && arguments.on("force")) continue;
    const auto done = std::move(answer).ok_body();
    if (done.ok()) {
      session.out.write(name + "\n");
    } else {
      session.fail(done.error().message());
      status = 1;
    }
  }
  return status;
}

Result<int> inspect_networks(Session& session, const Arguments& arguments) {
  client::ApiClient* api = TRY(session.api());
  std::vector<std::string> networks;
  int status = 0;
  for (const std::string& name : arguments.positional()) {
    auto body = TRY(api->request("GET", network_path(name))).ok_body();
    if (body.ok()) {
      networks.push_back(*std::move(body));
    } else {
      session.fail(body.error().message());
      status = 1;
    }
  }
  session.out.write(TRY(indented("[" + join(networks, ",") + "]")) + "\n");
  return status;
}

Result<int> connect(Session& session, const Arguments& arguments) {
  ConnectRequest request{.container = arguments.positional()[1],
                         .aliases = arguments.list("alias"),
                         .links = arguments.list("link"),
                         .ipv4 = arguments.text("ip"),
                         .ipv6 = arguments.text("ip6"),
                         .link_local = arguments.list("link-local-ip"),
                         .gw_priority = arguments.number("gw-priority")};
  request.driver_options = TRY(pairs_of(arguments, "driver-opt"));
  TRY(post(*TRY(session.api()), network_path(arguments.positional()[0], "connect"), connect_body(request)));
  return 0;
}

Result<int> disconnect(Session& session, const Arguments& arguments) {
  const std::string body = disconnect_body(arguments.positional()[1], arguments.on("force"));
  TRY(post(*TRY(session.api()), network_path(arguments.positional()[0], "disconnect"), body));
  return 0;
}

// "y" on standard input; everything else, and no terminal to ask at, means no.
bool agrees(Session& session) {
  session.err.write("WARNING! This will remove all networks that no container uses.\nAre you sure? [y/N] ");
  std::string line;
  char c = 0;
  while (line.size() < 16 && ::read(session.in, &c, 1) == 1 && c != '\n') line += c;
  return line == "y" || line == "Y";
}

Result<int> prune_networks(Session& session, const Arguments& arguments) {
  if (!arguments.on("force") && !agrees(session)) return 1;
  const std::string path =
      "/networks/prune?filters=" + client::url_encode(TRY(filters_text(arguments.list("filter"))));
  const auto names = TRY(pruned_networks(TRY(TRY((*TRY(session.api())).request("POST", path)).ok_body())));
  if (!names.empty()) session.out.write("Deleted Networks:\n" + join(names, "\n") + "\n");
  return 0;
}

const std::array<Command, 7> kNetworkCommands = {{
    {.syntax = {.name = "connect",
                .arguments = "NETWORK CONTAINER",
                .summary = "Connect a container, running or not, to a network",
                .flags = kConnectFlags,
                .least_arguments = 2,
                .most_arguments = 2},
     .run = connect},
    {.syntax = {.name = "create",
                .arguments = "NAME",
                .summary = "Create a network",
                .flags = kNetworkCreateFlags,
                .least_arguments = 1,
                .most_arguments = 1},
     .run = create_network},
    {.syntax = {.name = "disconnect",
                .arguments = "NETWORK CONTAINER",
                .summary = "Disconnect a container from a network",
                .flags = kDisconnectFlags,
                .least_arguments = 2,
                .most_arguments = 2},
     .run = disconnect},
    {.syntax = {.name = "inspect",
                .arguments = "NETWORK [NETWORK...]",
                .summary = "Print all about networks as JSON",
                .flags = kNetworkInspectFlags,
                .least_arguments = 1},
     .run = inspect_networks},
    {.syntax = {.name = "ls", .summary = "List networks", .flags = kNetworkListFlags, .most_arguments = 0}, .run = list_networks},
    {.syntax = {.name = "prune",
                .summary = "Remove all networks that no container uses",
                .flags = kNetworkPruneFlags,
                .most_arguments = 0},
     .run = prune_networks},
    {.syntax = {.name = "rm",
                .arguments = "NETWORK [NETWORK...]",
                .summary = "Remove networks",
                .flags = kForceFlags,
                .least_arguments = 1},
     .run = remove_networks},
}};

std::string overview() {
  std::string text = "Usage:  gantry network COMMAND\n\nManage networks\n\nCommands:\n";
  for (const Command& command : kNetworkCommands) {
    const std::string name(command.syntax.name);
    text += "  " + name + std::string(12 - name.size(), ' ') + std::string(command.syntax.summary) + "\n";
  }
  return text + "\nRun 'gantry network COMMAND --help' for more about a command.\n";
}

Result<int> network(Session& session, const Arguments& arguments) {
  const auto& words = arguments.positional();
  if (words.empty() || words[0] == "help") {
    session.out.write(overview());
    return 0;
  }
  const std::string wanted = words[0] == "list" ? "ls" : words[0] == "remove" ? "rm" : words[0];
  std::vector<std::string> known;
  for (const Command& command : kNetworkCommands) {
    known.emplace_back(command.syntax.name);
    if (command.syntax.name != wanted) continue;
    const Arguments given = TRY(parse(command.syntax, {}, std::span(words).subspan(1)));
    if (given.on("help")) {
      session.out.write(help_page("gantry network", command.syntax, {}));
      return 0;
    }
    return command.run(session, given);
  }
  return invalid("unknown command: " + gantry::quoted("gantry network " + words[0]) + suggestion(words[0], known) +
                 "\nRun 'gantry network' for the list of commands");
}

}  // namespace

const Command kEngineNetworks{.syntax = {.name = "network",
                                         .arguments = "COMMAND",
                                         .summary = "Manage networks",
                                         .interspersed = false},
                              .run = network};

}  // namespace gantry::cli
