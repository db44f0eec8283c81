#include "cli/api_extra.h"

#include "base/strings.h"
#include "cli/json_view.h"

namespace gantry::cli {

namespace {

// As Docker's command line counts: the share of the machine's CPU time times the number of CPUs.
double cpu_percent(View stats) {
  const View now = stats["cpu_stats"];
  const View before = stats["precpu_stats"];
  const double used = now["cpu_usage"]["total_usage"].real() - before["cpu_usage"]["total_usage"].real();
  const double system = now["system_cpu_usage"].real() - before["system_cpu_usage"].real();
  if (used <= 0 || system <= 0) return 0;
  double cpus = now["online_cpus"].real();
  if (cpus == 0) cpus = static_cast<double>(now["cpu_usage"]["percpu_usage"].items().size());
  return used / system * cpus * 100.0;
}

// cgroup v1 tells total_inactive_file, v2 inactive_file.
uint64_t memory_without_cache(View memory) {
  const uint64_t usage = memory["usage"].size();
  for (const char* name : {"total_inactive_file", "inactive_file"}) {
    const uint64_t cache = memory["stats"][name].size();
    if (cache != 0 && cache < usage) return usage - cache;
  }
  return usage;
}

}  // namespace

Result<ProcessTable> parse_processes(std::string_view text) {
  const Json json = TRY(parsed(text));
  const View view(&json);
  ProcessTable table{.titles = view["Titles"].texts()};
  for (const View& row : view["Processes"].items()) {
    table.rows.push_back(row.texts());
    table.rows.back().resize(table.titles.size());
  }
  return table;
}

Result<ContainerStats> parse_stats(std::string_view text) {
  const Json json = TRY(parsed(text));
  const View view(&json);
  ContainerStats stats{.cpu_percent = cpu_percent(view),
                       .memory = memory_without_cache(view["memory_stats"]),
                       .memory_limit = view["memory_stats"]["limit"].size(),
                       .pids = view["pids_stats"]["current"].size()};
  for (const std::string& name : view["networks"].keys()) {
    stats.network_received += view["networks"][name.c_str()]["rx_bytes"].size();
    stats.network_sent += view["networks"][name.c_str()]["tx_bytes"].size();
  }
  for (const View& entry : view["blkio_stats"]["io_service_bytes_recursive"].items()) {
    const std::string operation = to_lower(entry["op"].text());
    if (operation == "read") stats.block_read += entry["value"].size();
    if (operation == "write") stats.block_written += entry["value"].size();
  }
  return stats;
}

std::string stats_json(const std::vector<std::pair<std::string, std::string>>& fields) {
  nlohmann::ordered_json line;
  for (const auto& [name, value] : fields) line[name] = value;
  return dumped(line) + "\n";
}

Result<std::string> parse_last_tag_time(std::string_view text) {
  const Json json = TRY(parsed(text));
  return View(&json)["Metadata"]["LastTagTime"].text();
}

Result<ContainerStory> parse_story(std::string_view text) {
  const Json json = TRY(parsed(text));
  const View view(&json);
  const View state = view["State"];
  const View host = view["HostConfig"];
  ContainerStory story{.id = view["Id"].text(),
                       .name = view["Name"].text(),
                       .state = state["Status"].text(),
                       .exit_code = static_cast<int>(state["ExitCode"].number()),
                       .error = state["Error"].text(),
                       .oom_killed = state["OOMKilled"].flag(),
                       .restart_count = static_cast<int>(view["RestartCount"].number()),
                       .restart_policy = host["RestartPolicy"]["Name"].text(),
                       .health = state["Health"]["Status"].text(),
                       .memory_limit = host["Memory"].number(),
                       .started_at = state["StartedAt"].text(),
                       .finished_at = state["FinishedAt"].text(),
                       .cause = host["Annotations"]["dev.gantry.cause"].text()};
  if (story.name.starts_with('/')) story.name.erase(0, 1);
  if (story.health == "none") story.health.clear();
  for (const View& probe : state["Health"]["Log"].items()) {
    story.probes.push_back({.exit_code = static_cast<int>(probe["ExitCode"].number()), .output = probe["Output"].text()});
  }
  return story;
}

Result<PathStat> parse_path_stat(std::string_view header) {
  const auto text = base64_decode(header);
  if (!text) return internal_error("the daemon's answer has no X-Docker-Container-Path-Stat");
  const Json json = TRY(parsed(*text));
  const View view(&json);
  return PathStat{.name = view["name"].text(),
                  .size = view["size"].size(),
                  .mode = static_cast<uint32_t>(view["mode"].number()),
                  .link_target = view["linkTarget"].text()};
}

Result<std::vector<VolumeDetails>> parse_volume_details(std::string_view text) {
  const Json json = TRY(parsed(text));
  std::vector<VolumeDetails> volumes;
  for (const View& view : View(&json)["Volumes"].items()) {
    volumes.push_back({.name = view["Name"].text(),
                       .driver = view["Driver"].text(),
                       .mountpoint = view["Mountpoint"].text(),
                       .scope = view["Scope"].text(),
                       .labels = view["Labels"].text_map()});
  }
  return volumes;
}

std::string volume_json(const VolumeDetails& volume) {
  const std::string none = "N/A";
  return dumped({{"Availability", none},
                 {"Driver", volume.driver},
                 {"Group", none},
                 {"Labels", comma_list(volume.labels)},
                 {"Links", none},
                 {"Mountpoint", volume.mountpoint},
                 {"Name", volume.name},
                 {"Scope", volume.scope},
                 {"Size", none},
                 {"Status", none}}) +
         "\n";
}

std::string event_json(const EngineEvent& event, std::string_view service, std::string_view time) {
  return dumped({{"action", event.action},
                 {"attributes", event.attributes.empty() ? Json::object() : Json(event.attributes)},
                 {"id", event.id},
                 {"service", service},
                 {"time", time},
                 {"type", "container"}}) +
         "\n";
}

}  // namespace gantry::cli
