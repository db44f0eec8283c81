// ps: the project's containers.
#include <algorithm>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/table.h"

namespace gantry::cli {

namespace {

constexpr size_t kCommandWidth = 20;

constexpr Flag kFlags[] = {
    {.name = "all", .letter = 'a', .help = "Show stopped containers and those of run, too"},
    {.name = "quiet", .letter = 'q', .help = "Print ids only"},
    {.name = "services", .help = "Print services only"},
    {.name = "format", .kind = FlagKind::text, .value_name = "FORMAT", .help = "table or json"},
    {.name = "filter", .kind = FlagKind::list, .value_name = "KEY=VALUE", .help = "Only containers with status=VALUE"},
    {.name = "status",
     .kind = FlagKind::list,
     .value_name = "STATUS",
     .help = "Only containers that are paused, restarting, removing, running, dead, created or exited"},
    {.name = "no-trunc", .help = "Don't cut ids and commands"},
    {.name = "orphans", .help = "Show containers of services that are not in the file (on if not given)"},
};

Result<std::vector<std::string>> wanted_states(const Arguments& arguments) {
  std::vector<std::string> states = arguments.list("status");
  for (const std::string& filter : arguments.list("filter")) {
    const size_t equals = filter.find('=');
    if (equals == std::string::npos) return invalid("arguments to --filter should be in form KEY=VAL");
    if (filter.substr(0, equals) != "status") return invalid("unknown filter " + filter.substr(0, equals));
    states.push_back(filter.substr(equals + 1));
  }
  return states;
}

std::string services_text(const std::vector<ContainerRow>& rows) {
  std::vector<std::string> names;
  for (const ContainerRow& row : rows) {
    if (std::find(names.begin(), names.end(), row.service()) == names.end()) names.push_back(row.service());
  }
  return join(names, "\n") + "\n";
}

std::string table_text(const std::vector<ContainerRow>& rows, bool whole, int64_t now) {
  Table table({"NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"});
  for (const ContainerRow& row : rows) {
    const auto age = std::chrono::seconds(std::max<int64_t>(now - row.created, 0));
    table.add({row.name, row.image, gantry::quoted(whole ? row.command : shorten(row.command, kCommandWidth)),
               row.service(), human_duration(age) + " ago", row.status, ports_text(row.ports)});
  }
  return table.text();
}

bool contains(const std::vector<std::string>& list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

Result<std::vector<ContainerRow>> selected(Session& session, const Arguments& arguments) {
  const auto target = TRY(session.find_project(arguments.positional()));
  const auto states = TRY(wanted_states(arguments));
  const bool all = arguments.on("all") || !states.empty();
  auto rows = TRY(session.containers(target.name, all));
  const bool orphans = !arguments.given("orphans") || arguments.on("orphans");
  std::erase_if(rows, [&](const ContainerRow& row) {
    const bool orphan = target.project && !target.project->services.contains(row.service()) &&
                        !contains(target.project->disabled_services, row.service());
    return (!arguments.positional().empty() && !contains(arguments.positional(), row.service())) ||
           (!states.empty() && !contains(states, row.state)) || (!all && row.one_off()) || (orphan && !orphans);
  });
  return rows;
}

Result<int> ps(Session& session, const Arguments& arguments) {
  const std::string format = arguments.text("format", "table");
  if (format != "table" && format != "json") {
    return invalid("format value " + gantry::quoted(format) + " could not be parsed: give table or json");
  }
  const auto rows = TRY(selected(session, arguments));
  const int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(session.clock().wall().time_since_epoch()).count();
  std::string text;
  if (arguments.on("quiet")) {
    for (const ContainerRow& row : rows) text += row.id + "\n";
  } else if (arguments.on("services")) {
    text = services_text(rows);
  } else if (format == "json") {
    for (const ContainerRow& row : rows) text += ps_json(row, arguments.on("no-trunc"), now);
  } else {
    text = table_text(rows, arguments.on("no-trunc"), now);
  }
  session.out.write(text);
  return 0;
}

}  // namespace

const Command kPs{.syntax = {.name = "ps", .arguments = "[SERVICE...]", .summary = "List containers", .flags = kFlags},
                  .run = ps};

}  // namespace gantry::cli
