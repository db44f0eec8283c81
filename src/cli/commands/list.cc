// ls and version.
#include <regex>

#include "base/strings.h"
#include "base/version.h"
#include "cli/commands/commands.h"
#include "cli/table.h"
#include "compose/labels.h"

namespace gantry::cli {

namespace {

constexpr Flag kListFlags[] = {
    {.name = "all", .letter = 'a', .help = "Show projects without running containers, too"},
    {.name = "quiet", .letter = 'q', .help = "Print names only"},
    {.name = "filter", .kind = FlagKind::list, .value_name = "name=REGEX", .help = "Only projects with such a name"},
    {.name = "format", .kind = FlagKind::text, .value_name = "FORMAT", .help = "table or json"},
};
constexpr Flag kVersionFlags[] = {
    {.name = "format", .letter = 'f', .kind = FlagKind::text, .value_name = "FORMAT", .help = "pretty or json"},
    {.name = "short", .help = "Print the number only"},
};
struct Found {
  std::map<std::string, int> states;  // state → how many
  std::string config_files;
};

// "exited(1), running(2)"
std::string status_text(const std::map<std::string, int>& states) {
  std::vector<std::string> pieces;
  for (const auto& [state, count] : states) pieces.push_back(state + "(" + std::to_string(count) + ")");
  return join(pieces, ", ");
}

Result<std::map<std::string, Found>> find_projects(client::ApiClient& api, bool all) {
  std::map<std::string, Found> projects;
  const std::string path = "/containers/json?all=1&filters=" + filters_query({{"label", {compose::label::kProject}}});
  for (const ContainerRow& row : TRY(parse_containers(TRY(TRY(api.request("GET", path)).ok_body())))) {
    Found& project = projects[row.project()];
    ++project.states[row.state];
    if (project.config_files.empty()) project.config_files = row.label(compose::label::kConfigFiles);
  }
  // Projects that the daemon keeps although none of their containers is there (all services scaled to zero).
  for (const KnownProject& known : TRY(parse_projects(TRY(TRY(api.request("GET", "/gantry/v1/projects")).ok_body())))) {
    Found& project = projects[known.name];
    if (project.config_files.empty()) project.config_files = join(known.config_files, ",");
  }
  if (!all) std::erase_if(projects, [](const auto& entry) { return !entry.second.states.contains("running"); });
  return projects;
}

Result<std::optional<std::regex>> name_filter(const Arguments& arguments) {
  std::optional<std::regex> pattern;
  for (const std::string& filter : arguments.list("filter")) {
    if (!filter.starts_with("name=")) return invalid("invalid filter '" + filter.substr(0, filter.find('=')) + "'");
    try {
      pattern.emplace(filter.substr(5), std::regex::extended);
    } catch (const std::regex_error&) {
      return invalid("invalid filter " + gantry::quoted(filter) + ": no regular expression");
    }
  }
  return pattern;
}

Result<int> list_projects(Session& session, const Arguments& arguments) {
  const std::string format = arguments.text("format", "table");
  if (format != "table" && format != "json") return invalid("unsupported format " + gantry::quoted(format));
  const auto filter = TRY(name_filter(arguments));
  std::vector<ProjectListRow> rows;
  for (const auto& [name, project] : TRY(find_projects(*TRY(session.api()), arguments.on("all")))) {
    if (filter && !std::regex_search(name, *filter)) continue;
    rows.push_back({.name = name, .status = status_text(project.states), .config_files = project.config_files});
  }
  if (arguments.on("quiet")) {
    for (const ProjectListRow& row : rows) session.out.write(row.name + "\n");
  } else if (format == "json") {
    session.out.write(projects_json(rows));
  } else {
    Table table({"NAME", "STATUS", "CONFIG FILES"});
    for (const ProjectListRow& row : rows) table.add({row.name, row.status, row.config_files});
    session.out.write(table.text());
  }
  return 0;
}

Result<int> version(Session& session, const Arguments& arguments) {
  const std::string format = arguments.text("format", "pretty");
  if (arguments.on("short")) {
    session.out.write(std::string(gantry::kVersion) + "\n");
  } else if (format == "json") {
    session.out.write(version_json("v" + std::string(gantry::kVersion)));
  } else if (format == "pretty") {
    session.out.write("Gantry Compose version v" + std::string(gantry::kVersion) + "\n");
  } else {
    return invalid("unsupported format " + gantry::quoted(format));
  }
  return 0;
}

}  // namespace

const Command kList{.syntax = {.name = "ls", .summary = "List projects", .flags = kListFlags, .most_arguments = 0},
                    .run = list_projects};
const Command kVersion{
    .syntax = {.name = "version", .summary = "Print the version", .flags = kVersionFlags, .most_arguments = 0},
    .run = version};

}  // namespace gantry::cli
