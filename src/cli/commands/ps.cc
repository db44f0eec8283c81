// ps: the project's containers.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/format.h"
#include "cli/ps_row.h"
#include "cli/table.h"
#include "cli/targets.h"

namespace gantry::cli {

namespace {

constexpr Flag kPsFlags[] = {
    {.name = "all", .letter = 'a', .help = "Show stopped containers and those of run, too"},
    {.name = "quiet", .letter = 'q', .help = "Print ids only"},
    {.name = "services", .help = "Print services only"},
    {.name = "format", .kind = FlagKind::text, .value_name = "FORMAT", .help = "table, json or a template"},
    {.name = "filter", .kind = FlagKind::list, .value_name = "KEY=VALUE", .help = "Only containers with status=VALUE"},
    {.name = "status",
     .kind = FlagKind::list,
     .value_name = "STATUS",
     .help = "Only containers that are paused, restarting, removing, running, dead, created or exited"},
    {.name = "no-trunc", .help = "Don't cut ids and commands"},
    {.name = "orphans", .help = "Show containers of services that are not in the file (on if not given)"},
};

// Made when they are asked for: what is made before main() delays every command.
const std::vector<FormatColumn>& ps_columns() {
  static const std::vector<FormatColumn> kColumns = {
      {"NAME", "{{.Name}}"},
      {"IMAGE", "{{.Image}}"},
      {"COMMAND", "{{.Command}}"},
      {"SERVICE", "{{.Service}}"},
      {"CREATED", "{{.RunningFor}}"},
      {"STATUS", "{{.Status}}"},
      {"PORTS", "{{.Ports}}"}};
  return kColumns;
}

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

bool is_plain_table(const Arguments& arguments) {
  const std::string format = arguments.text("format", "table");
  return format.empty() || format == "table";
}

std::string table_text(const std::vector<ContainerRow>& rows, bool whole, int64_t now) {
  std::vector<std::string> header;
  for (const FormatColumn& column : ps_columns()) header.push_back(column.header);
  Table table(header);
  for (const ContainerRow& row : rows) table.add(ps_cells(row, whole, now));
  return table.text();
}

Result<std::vector<ContainerRow>> selected(Session& session, const Arguments& arguments) {
  const auto target = TRY(session.find_project(arguments.positional()));
  const auto states = TRY(wanted_states(arguments));
  const bool all = arguments.on("all") || !states.empty();
  using Labels = Session::Labels;
  auto rows = TRY(session.containers(target.name, all, is_plain_table(arguments) ? Labels::service : Labels::all));
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
  const bool whole = arguments.on("no-trunc");
  const auto rows = TRY(selected(session, arguments));
  const int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(session.clock().wall().time_since_epoch()).count();
  std::string text;
  if (arguments.on("quiet")) {
    for (const ContainerRow& row : rows) text += row.id + "\n";
  } else if (arguments.on("services")) {
    text = services_text(rows);
  } else if (is_plain_table(arguments)) {
    text = table_text(rows, whole, now);
  } else {
    std::vector<Value> lines;
    for (const ContainerRow& row : rows) lines.push_back(ps_row(row, whole, now));
    text = TRY(formatted_rows(arguments.text("format"), lines, ps_columns()));
  }
  session.out.write(text);
  return 0;
}

}  // namespace

const Command kPs{.syntax = {.name = "ps", .arguments = "[SERVICE...]", .summary = "List containers", .flags = kPsFlags},
                  .run = ps};

}  // namespace gantry::cli
