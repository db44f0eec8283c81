// volumes: the project's volumes.
#include <algorithm>
#include <set>

#include "cli/api_extra.h"
#include "cli/commands/commands.h"
#include "cli/format.h"
#include "cli/table.h"
#include "cli/targets.h"
#include "compose/labels.h"

namespace gantry::cli {

namespace {

constexpr Flag kVolumesFlags[] = {
    {.name = "quiet", .letter = 'q', .help = "Print names only"},
    {.name = "format", .kind = FlagKind::text, .value_name = "FORMAT", .help = "table, json or a template"},
};

// With services: those that their running containers have mounted.
Result<std::vector<VolumeDetails>> find_volumes(Session& session, const std::string& project,
                                                const std::vector<std::string>& services) {
  client::ApiClient* api = TRY(session.api());
  const std::string filters =
      filters_query({{"label", {std::string(compose::label::kProject) + "=" + project}}});
  auto volumes =
      TRY(parse_volume_details(TRY(TRY(api->request("GET", "/volumes?filters=" + filters)).ok_body())));
  if (!services.empty()) {
    std::set<std::string> mounted;
    for (const ContainerRow& row : TRY(find_containers(session, project, services, {"running"}))) {
      mounted.insert(row.mounts.begin(), row.mounts.end());
    }
    std::erase_if(volumes, [&](const VolumeDetails& volume) { return !mounted.contains(volume.name); });
  }
  std::sort(volumes.begin(), volumes.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return volumes;
}

Result<int> volumes(Session& session, const Arguments& arguments) {
  const auto target = TRY(session.find_project(arguments.positional()));
  const auto list = TRY(find_volumes(session, target.name, arguments.positional()));
  if (arguments.on("quiet")) {
    for (const VolumeDetails& volume : list) session.out.write(volume.name + "\n");
    return 0;
  }
  std::vector<std::string> lines;
  for (const VolumeDetails& volume : list) lines.push_back(volume_json(volume));
  session.out.write(TRY(formatted(arguments.text("format", "table"), lines,
                                  {{"DRIVER", "{{.Driver}}"}, {"VOLUME NAME", "{{.Name}}"}})));
  return 0;
}

}  // namespace

const Command kVolumes{.syntax = {.name = "volumes",
                                  .arguments = "[SERVICE...]",
                                  .summary = "List the project's volumes",
                                  .flags = kVolumesFlags},
                       .run = volumes};

}  // namespace gantry::cli
