// gantry volume create, ls, rm and prune.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/commands/engine_helpers.h"

namespace gantry::cli {

namespace {

using K = FlagKind;

constexpr Flag kVolumeCreateFlags[] = {
    {.name = "driver", .letter = 'd', .kind = K::text, .value_name = "NAME", .help = "Driver (local)"},
    {.name = "label", .kind = K::list, .value_name = "KEY=VALUE", .help = "Set a label"},
    {.name = "opt", .letter = 'o', .kind = K::list, .value_name = "KEY=VALUE", .help = "Option of the driver"},
};
constexpr Flag kVolumeListFlags[] = {
    {.name = "filter", .letter = 'f', .kind = K::list, .value_name = "KEY=VALUE", .help = "Only those that match"},
    {.name = "format", .kind = K::text, .value_name = "FORMAT", .help = "table, json, or a template"},
    {.name = "quiet", .letter = 'q', .help = "Print names only"},
};
constexpr Flag kVolumeRemoveFlags[] = {{.name = "force", .letter = 'f', .help = "One that is not there is no error"}};
constexpr Flag kVolumePruneFlags[] = {
    {.name = "all", .letter = 'a', .help = "Named ones, too"},
    {.name = "filter", .kind = K::list, .value_name = "KEY=VALUE", .help = "Only those that match"},
    {.name = "force", .letter = 'f', .help = "Don't ask"},
};

constexpr Column kVolumeColumns[] = {{"Availability", "AVAILABILITY"}, {"Driver", "DRIVER"}, {"Group", "GROUP"},
                                     {"Labels", "LABELS"}, {"Links", "LINKS"}, {"Mountpoint", "MOUNTPOINT"},
                                     {"Name", "VOLUME NAME"}, {"Scope", "SCOPE"}, {"Size", "SIZE"}, {"Status", "STATUS"}};

void add_pairs(Value& body, const char* member, const std::vector<std::string>& pairs) {
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    body[member][pair.substr(0, equals)] = equals == std::string::npos ? "" : pair.substr(equals + 1);
  }
}

Result<int> create_volume(Session& session, const Arguments& arguments) {
  Value body = Value::object();
  if (!arguments.positional().empty()) body["Name"] = arguments.positional()[0];
  if (arguments.given("driver")) body["Driver"] = arguments.text("driver");
  add_pairs(body, "DriverOpts", arguments.list("opt"));
  add_pairs(body, "Labels", arguments.list("label"));
  const Value made = TRY(api_json(session, "POST", "/volumes/create", body.dump()));
  session.out.write(text_of(made, "Name") + "\n");
  return 0;
}

Result<int> list_volumes(Session& session, const Arguments& arguments) {
  const std::string filters = TRY(filters_of(arguments));
  const Value answer = TRY(api_json(session, "GET", "/volumes" + query_of({{"filters", filters}})));
  std::vector<Value> rows;
  for (const Value& volume : member_of(answer, "Volumes")) {
    Value row = make_row({{"Availability", "N/A"}, {"Driver", text_of(volume, "Driver")}, {"Group", "N/A"},
                          {"Labels", labels_text(member_of(volume, "Labels"))}, {"Links", "N/A"},
                          {"Mountpoint", text_of(volume, "Mountpoint")}, {"Name", text_of(volume, "Name")},
                          {"Scope", text_of(volume, "Scope")}, {"Size", "N/A"}, {"Status", "N/A"}});
    row[std::string(1, kHiddenMember) + "Label"] = member_of(volume, "Labels").is_object() ? member_of(volume, "Labels") : Value::object();
    rows.push_back(std::move(row));
  }
  std::ranges::sort(rows, {}, [](const Value& row) { return row["Name"].get<std::string>(); });
  if (arguments.on("quiet") && arguments.text("format").empty()) {
    for (const Value& row : rows) session.out.write(row["Name"].get<std::string>() + "\n");
    return 0;
  }
  session.out.write(TRY(format_list({kVolumeColumns, "{{.Driver}}\t{{.Name}}"}, arguments.text("format"), rows)));
  return 0;
}

Result<int> remove_volumes(Session& session, const Arguments& arguments) {
  const std::string query = arguments.on("force") ? "?force=1" : "";
  return for_each_name(session, arguments.positional(), [&](client::ApiClient& api, const std::string& name) -> Result<> {
    TRY(TRY(api.request("DELETE", "/volumes/" + client::url_encode(name) + query)).ok_body());
    return {};
  });
}

Result<int> prune_volumes(Session& session, const Arguments& arguments) {
  const char* what = arguments.on("all") ? "WARNING! This will remove all volumes not used by at least one container."
                                         : "WARNING! This will remove anonymous local volumes not used by at least one container.";
  if (!arguments.on("force") && !confirmed(session, std::string(what) + "\nAre you sure you want to continue?")) return 0;
  std::map<std::string, std::vector<std::string>> filters;
  for (const std::string& filter : arguments.list("filter")) {
    const size_t equals = filter.find('=');
    if (equals == std::string::npos) return invalid("invalid filter '" + filter + "'");
    filters[filter.substr(0, equals)].push_back(filter.substr(equals + 1));
  }
  if (arguments.on("all")) filters["all"] = {"true"};
  const Value answer = TRY(api_json(session, "POST", "/volumes/prune" + query_of({{"filters", filters.empty() ? "" : filters_query(filters)}})));
  const Value& deleted = member_of(answer, "VolumesDeleted");
  if (deleted.is_array() && !deleted.empty()) {
    session.out.write("Deleted Volumes:\n");
    for (const Value& name : deleted) session.out.write(name.get<std::string>() + "\n");
    session.out.write("\n");
  }
  session.out.write("Total reclaimed space: " + human_size(static_cast<uint64_t>(number_of(answer, "SpaceReclaimed"))) + "\n");
  return 0;
}

}  // namespace

const Command kEngineVolumeCreate{.syntax = {.name = "volume create", .arguments = "[NAME]", .summary = "Make a volume", .flags = kVolumeCreateFlags, .most_arguments = 1}, .run = create_volume};
const Command kEngineVolumeList{.syntax = {.name = "volume ls", .arguments = "", .summary = "List volumes", .flags = kVolumeListFlags, .most_arguments = 0}, .run = list_volumes};
const Command kEngineVolumeRemove{.syntax = {.name = "volume rm", .arguments = "VOLUME [VOLUME...]", .summary = "Remove volumes", .flags = kVolumeRemoveFlags, .least_arguments = 1}, .run = remove_volumes};
const Command kEngineVolumePrune{.syntax = {.name = "volume prune", .arguments = "", .summary = "Remove volumes that no container uses", .flags = kVolumePruneFlags, .most_arguments = 0}, .run = prune_volumes};

}  // namespace gantry::cli
