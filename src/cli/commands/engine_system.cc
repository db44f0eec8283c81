// gantry version, info, system df and system prune.
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "base/version.h"
#include "cli/commands/commands.h"
#include "cli/commands/engine_helpers.h"

namespace gantry::cli {

namespace {

using K = FlagKind;

constexpr Flag kVersionAndInfoFlags[] = {{.name = "format", .letter = 'f', .kind = K::text, .value_name = "FORMAT", .help = "json, or a template"}};
constexpr Flag kDfFlags[] = {
    {.name = "format", .kind = K::text, .value_name = "FORMAT", .help = "table, json, or a template"},
    {.name = "verbose", .letter = 'v', .help = "List everything"},
};
constexpr Flag kSystemPruneFlags[] = {
    {.name = "all", .letter = 'a', .help = "All images that no container uses, not only those without a name"},
    {.name = "filter", .kind = K::list, .value_name = "KEY=VALUE", .help = "Only what matches"},
    {.name = "force", .letter = 'f', .help = "Don't ask"},
    {.name = "volumes", .help = "Anonymous volumes, too"},
};

Result<int> versions_of_both(Session& session, const Arguments& arguments) {
  const Value server = TRY(api_json(session, "GET", "/version"));
  const std::string api = text_of(server, "ApiVersion");
  std::string text = "Client: " + std::string(gantry::kVersion) + "\nDaemon: " + text_of(server, "Version") + " (API " + api + ")";
  if (const std::string format = arguments.text("format"); !format.empty()) {
    const Template line = TRY(Template::parse(format == "json" ? "{{json .}}" : format));
    text = TRY(line.run({{"Client", {{"Version", gantry::kVersion}, {"ApiVersion", api}, {"DefaultAPIVersion", api}, {"Os", "linux"}}},
                         {"Server", server}}));
  }
  session.out.write(text + "\n");
  return 0;
}

Result<int> info(Session& session, const Arguments& arguments) {
  const Value all = TRY(api_json(session, "GET", "/info"));
  const std::string format = arguments.text("format");
  if (!format.empty()) {
    const Template line = TRY(Template::parse(format == "json" ? "{{json .}}" : format));
    session.out.write(TRY(line.run(all)) + "\n");
    return 0;
  }
  const auto number = [&](const char* member) { return std::to_string(number_of(all, member)); };
  std::string text = "Server:\n";
  const auto line = [&](const std::string& name, const std::string& value) { text += " " + name + ": " + value + "\n"; };
  line("Containers", number("Containers"));
  line(" Running", number("ContainersRunning"));
  line(" Paused", number("ContainersPaused"));
  line(" Stopped", number("ContainersStopped"));
  line("Images", number("Images"));
  line("Server Version", text_of(all, "ServerVersion"));
  line("Storage Driver", text_of(all, "Driver"));
  line("Logging Driver", text_of(all, "LoggingDriver"));
  line("Cgroup Driver", text_of(all, "CgroupDriver"));
  line("Cgroup Version", text_of(all, "CgroupVersion"));
  line("Kernel Version", text_of(all, "KernelVersion"));
  line("Operating System", text_of(all, "OperatingSystem"));
  line("OSType", text_of(all, "OSType"));
  line("Architecture", text_of(all, "Architecture"));
  line("CPUs", number("NCPU"));
  line("Total Memory", human_size(static_cast<uint64_t>(number_of(all, "MemTotal"))));
  line("Name", text_of(all, "Name"));
  line("ID", text_of(all, "ID"));
  line("Docker Root Dir", text_of(all, "DockerRootDir"));
  session.out.write(text);
  for (const Value& warning : member_of(all, "Warnings")) {
    if (warning.is_string()) session.err.write(warning.get<std::string>() + "\n");
  }
  return 0;
}

constexpr Column kDfColumns[] = {{"Active", "ACTIVE"}, {"Reclaimable", "RECLAIMABLE"}, {"Size", "SIZE"},
                                 {"TotalCount", "TOTAL"}, {"Type", "TYPE"}};

struct Usage {
  int64_t total = 0;
  int64_t active = 0;
  int64_t size = 0;
  int64_t reclaimable = 0;
};

Value df_row(const char* type, const Usage& usage) {
  std::string reclaimable = human_size(static_cast<uint64_t>(std::max<int64_t>(usage.reclaimable, 0)));
  if (usage.size > 0) reclaimable += " (" + std::to_string(usage.reclaimable * 100 / usage.size) + "%)";
  return make_row({{"Active", std::to_string(usage.active)}, {"Reclaimable", reclaimable},
                   {"Size", human_size(static_cast<uint64_t>(usage.size))}, {"TotalCount", std::to_string(usage.total)},
                   {"Type", type}});
}

Result<int> df(Session& session, const Arguments& arguments) {
  const Value all = TRY(api_json(session, "GET", "/system/df"));
  Usage images{.size = number_of(all, "LayersSize")};
  int64_t used_images = 0;
  for (const Value& image : member_of(all, "Images")) {
    ++images.total;
    const bool active = number_of(image, "Containers") > 0;
    images.active += active;
    if (active) used_images += number_of(image, "Size");
  }
  images.reclaimable = std::max<int64_t>(0, images.size - used_images);
  Usage containers;
  for (const Value& container : member_of(all, "Containers")) {
    ++containers.total;
    const std::string state = text_of(container, "State");
    const bool active = state == "running" || state == "paused" || state == "restarting";
    containers.active += active;
    containers.size += number_of(container, "SizeRw");
    if (!active) containers.reclaimable += number_of(container, "SizeRw");
  }
  Usage volumes;
  for (const Value& volume : member_of(all, "Volumes")) {
    ++volumes.total;
    const Value& usage = member_of(volume, "UsageData");
    const int64_t size = std::max<int64_t>(0, number_of(usage, "Size"));
    volumes.active += number_of(usage, "RefCount") > 0;
    volumes.size += size;
    if (number_of(usage, "RefCount") <= 0) volumes.reclaimable += size;
  }
  Usage cache;
  for (const Value& entry : member_of(all, "BuildCache")) {
    ++cache.total;
    const bool active = member_of(entry, "InUse") == true;
    cache.active += active;
    cache.size += number_of(entry, "Size");
    if (!active) cache.reclaimable += number_of(entry, "Size");
  }
  const std::vector<Value> rows = {df_row("Images", images), df_row("Containers", containers),
                                   df_row("Local Volumes", volumes), df_row("Build Cache", cache)};
  session.out.write(TRY(format_list({kDfColumns, "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"},
                                    arguments.text("format"), rows)));
  if (!arguments.on("verbose")) return 0;
  std::string text = "\nCONTAINER ID\tIMAGE\tSIZE\tNAMES\n";
  for (const Value& container : member_of(all, "Containers")) {
    const Value& names = member_of(container, "Names");
    text += text_of(container, "Id").substr(0, 12) + "\t" + text_of(container, "Image") + "\t" +
            human_size(static_cast<uint64_t>(number_of(container, "SizeRw"))) + "\t" + (names.empty() ? "" : names[0].get<std::string>().substr(1)) + "\n";
  }
  std::string volume_text = "\nVOLUME NAME\tLINKS\tSIZE\n";
  for (const Value& volume : member_of(all, "Volumes")) {
    const Value& usage = member_of(volume, "UsageData");
    volume_text += text_of(volume, "Name") + "\t" + std::to_string(number_of(usage, "RefCount")) + "\t" +
                   human_size(static_cast<uint64_t>(std::max<int64_t>(0, number_of(usage, "Size")))) + "\n";
  }
  session.out.write("\n" + aligned(std::string_view(text).substr(1)) + "\n" + aligned(std::string_view(volume_text).substr(1)));
  return 0;
}

Result<int> prune_system(Session& session, const Arguments& arguments) {
  const bool everything = arguments.on("all");
  std::string question = "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n";
  if (arguments.on("volumes")) question += "  - all anonymous volumes not used by at least one container\n";
  question += everything ? "  - all images without at least one container associated to them\n  - all build cache\n"
                         : "  - all dangling images\n  - unused build cache\n";
  if (!arguments.on("force") && !confirmed(session, question + "\nAre you sure you want to continue?")) return 0;
  std::map<std::string, std::vector<std::string>> filters;
  for (const std::string& filter : arguments.list("filter")) {
    const size_t equals = filter.find('=');
    if (equals == std::string::npos) return invalid("invalid filter '" + filter + "'");
    filters[filter.substr(0, equals)].push_back(filter.substr(equals + 1));
  }
  int64_t reclaimed = 0;
  const auto one = [&](const char* path, const char* member, const char* title,
                       const std::map<std::string, std::vector<std::string>>& which) -> Result<> {
    const Value answer = TRY(api_json(session, "POST", path + query_of({{"filters", which.empty() ? "" : filters_query(which)}})));
    reclaimed += number_of(answer, "SpaceReclaimed");
    const Value& deleted = member_of(answer, member);
    if (!deleted.is_array() || deleted.empty()) return {};
    std::string text = std::string(title) + ":\n";
    for (const Value& item : deleted) {
      if (item.is_string()) text += item.get<std::string>() + "\n";
      if (const std::string name = text_of(item, "Untagged"); !name.empty()) text += "untagged: " + name + "\n";
      if (const std::string name = text_of(item, "Deleted"); !name.empty()) text += "deleted: " + name + "\n";
    }
    session.out.write(text + "\n");
    return {};
  };
  TRY(one("/containers/prune", "ContainersDeleted", "Deleted Containers", filters));
  TRY(one("/networks/prune", "NetworksDeleted", "Deleted Networks", filters));
  if (arguments.on("volumes")) TRY(one("/volumes/prune", "VolumesDeleted", "Deleted Volumes", filters));
  auto images = filters;
  images["dangling"] = {everything ? "false" : "true"};
  TRY(one("/images/prune", "ImagesDeleted", "Deleted Images", images));
  TRY(one(everything ? "/build/prune?all=1" : "/build/prune", "CachesDeleted", "Deleted build cache objects", {}));
  session.out.write("Total reclaimed space: " + human_size(static_cast<uint64_t>(reclaimed)) + "\n");
  return 0;
}

}  // namespace

const Command kEngineVersion{.syntax = {.name = "version", .summary = "Print the versions of client and daemon", .flags = kVersionAndInfoFlags, .most_arguments = 0},
                             .run = versions_of_both};
const Command kEngineInfo{.syntax = {.name = "info", .arguments = "", .summary = "Show what the daemon knows about itself and its machine", .flags = kVersionAndInfoFlags, .most_arguments = 0}, .run = info};
const Command kEngineSystemDf{.syntax = {.name = "system df", .arguments = "", .summary = "Show what is taken on disk", .flags = kDfFlags, .most_arguments = 0}, .run = df};
const Command kEngineSystemPrune{.syntax = {.name = "system prune", .arguments = "", .summary = "Remove what is not used", .flags = kSystemPruneFlags, .most_arguments = 0}, .run = prune_system};

}  // namespace gantry::cli
