// stats: what the project's containers use of the machine.
#include <cstdio>
#include <mutex>
#include <thread>

#include "base/strings.h"
#include "cli/api_extra.h"
#include "cli/commands/commands.h"
#include "cli/format.h"
#include "cli/targets.h"

namespace gantry::cli {

namespace {

constexpr Flag kStatsFlags[] = {
    {.name = "all", .letter = 'a', .help = "Show containers that don't run, too"},
    {.name = "format", .kind = FlagKind::text, .value_name = "FORMAT", .help = "table, json or a template"},
    {.name = "no-stream", .help = "Print the first result only"},
    {.name = "no-trunc", .help = "Don't cut ids"},
};

// Made when they are asked for: what is made before main() delays every command.
const std::vector<FormatColumn>& stats_columns() {
  static const std::vector<FormatColumn> kColumns = {
      {"CONTAINER ID", "{{.ID}}"},
      {"NAME", "{{.Name}}"},
      {"CPU %", "{{.CPUPerc}}"},
      {"MEM USAGE / LIMIT", "{{.MemUsage}}"},
      {"MEM %", "{{.MemPerc}}"},
      {"NET I/O", "{{.NetIO}}"},
      {"BLOCK I/O", "{{.BlockIO}}"},
      {"PIDS", "{{.PIDs}}"}};
  return kColumns;
}

// What is known of one container; nothing of one that does not run.
struct ContainerSample {
  ContainerRow container;
  std::optional<ContainerStats> stats;
};

std::string row_json(const ContainerSample& sample, bool whole_id) {
  const std::string id = whole_id ? sample.container.id : sample.container.id.substr(0, 12);
  const ContainerStats stats = sample.stats.value_or(ContainerStats());
  const auto shown = [&](std::string text) { return sample.stats ? text : std::string("--"); };
  return stats_json(
      {{"BlockIO", shown(human_size(stats.block_read) + " / " + human_size(stats.block_written))},
       {"CPUPerc", shown(percent(stats.cpu_percent))},
       {"Container", id},
       {"ID", id},
       {"MemPerc", shown(percent(stats.memory_percent()))},
       {"MemUsage", shown(binary_size(static_cast<double>(stats.memory)) + " / " +
                               binary_size(static_cast<double>(stats.memory_limit)))},
       {"Name", sample.container.name},
       {"NetIO", shown(human_size(stats.network_received) + " / " + human_size(stats.network_sent))},
       {"PIDs", shown(std::to_string(stats.pids))}});
}

// Reads one sample of each running container, side by side: the engine takes about a second for each.
Result<> read_samples(Session& session, std::vector<ContainerSample>& samples) {
  std::vector<std::unique_ptr<client::ApiClient>> connections(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    if (samples[i].container.state == "running") connections[i] = TRY(TRY(session.api())->another());
  }
  std::vector<std::thread> threads;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (!connections[i]) continue;
    threads.emplace_back([&, i] {
      auto answer = connections[i]->request("GET", container_path(samples[i].container.id, "stats") + "?stream=0");
      if (!answer.ok() || answer->status != 200) return;  // ended just now
      auto stats = parse_stats(answer->body);
      if (stats.ok()) samples[i].stats = *stats;
    });
  }
  for (std::thread& thread : threads) thread.join();
  return {};
}

Result<int> stats(Session& session, const Arguments& arguments) {
  const std::string project = TRY(session.project_name());
  const std::string format = arguments.text("format", "table");
  const bool live = !arguments.on("no-stream");
  for (;;) {
    std::vector<ContainerSample> samples;
    std::vector<std::string> states;
    if (!arguments.on("all")) states = {"running"};
    for (ContainerRow& row : TRY(find_containers(session, project, arguments.positional(), states))) {
      samples.push_back({.container = std::move(row), .stats = std::nullopt});
    }
    TRY(read_samples(session, samples));
    std::vector<std::string> rows;
    for (const ContainerSample& sample : samples) rows.push_back(row_json(sample, arguments.on("no-trunc")));
    const std::string text = TRY(formatted(format, rows, stats_columns()));
    const bool redraws = live && session.out.is_terminal() && format != "json";
    session.out.write((redraws ? "\x1b[H\x1b[J" : "") + text);
    if (!live || samples.empty()) return 0;
  }
}

}  // namespace

const Command kStats{.syntax = {.name = "stats",
                                .arguments = "[SERVICE]",
                                .summary = "Show what containers use of CPU, memory, network and disk",
                                .flags = kStatsFlags,
                                .most_arguments = 1},
                     .run = stats};

}  // namespace gantry::cli
