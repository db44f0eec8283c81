// gantry stats: what containers use, each told by a stream of its own.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/commands/engine_helpers.h"
#include "cli/mailbox.h"

namespace gantry::cli {

namespace {

using K = FlagKind;

constexpr Flag kFlags[] = {
    {.name = "all", .letter = 'a', .help = "Stopped containers, too"},
    {.name = "format", .kind = K::text, .value_name = "FORMAT", .help = "table, json, or a template"},
    {.name = "no-stream", .help = "Once, not again and again"},
    {.name = "no-trunc", .help = "Don't cut ids"},
};
constexpr Column kColumns[] = {{"BlockIO", "BLOCK I/O"}, {"CPUPerc", "CPU %"}, {"Container", "CONTAINER"},
                               {"ID", "CONTAINER ID"},   {"MemPerc", "MEM %"}, {"MemUsage", "MEM USAGE / LIMIT"},
                               {"Name", "NAME"},         {"NetIO", "NET I/O"}, {"PIDs", "PIDS"}};
constexpr std::string_view kTable =
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

std::string percent(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f%%", value);
  return text;
}

// "12.3MiB": binary units, four significant digits.
std::string binary_size(double bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.4g%s", bytes, kUnits[unit]);
  return text;
}

double cpu_percent(const Value& sample) {
  const auto usage = [](const Value& stats) {
    return static_cast<double>(number_of(member_of(stats, "cpu_usage"), "total_usage"));
  };
  const Value& now = member_of(sample, "cpu_stats");
  const Value& before = member_of(sample, "precpu_stats");
  const double used = usage(now) - usage(before);
  const double system = static_cast<double>(number_of(now, "system_cpu_usage") - number_of(before, "system_cpu_usage"));
  const double processors = std::max<double>(1, static_cast<double>(number_of(now, "online_cpus")));
  return used > 0 && system > 0 ? used / system * processors * 100 : 0;
}

std::string block_io(const Value& sample) {
  uint64_t read = 0, written = 0;
  const Value& entries = member_of(member_of(sample, "blkio_stats"), "io_service_bytes_recursive");
  if (entries.is_array()) {
    for (const Value& entry : entries) {
      const std::string op = to_lower(text_of(entry, "op"));
      if (op.starts_with('r')) read += static_cast<uint64_t>(number_of(entry, "value"));
      if (op.starts_with('w')) written += static_cast<uint64_t>(number_of(entry, "value"));
    }
  }
  return human_size(read) + " / " + human_size(written);
}

std::string net_io(const Value& sample) {
  uint64_t received = 0, sent = 0;
  if (const Value& networks = member_of(sample, "networks"); networks.is_object()) {
    for (const auto& [name, network] : networks.items()) {
      received += static_cast<uint64_t>(number_of(network, "rx_bytes"));
      sent += static_cast<uint64_t>(number_of(network, "tx_bytes"));
    }
  }
  return human_size(received) + " / " + human_size(sent);
}

Value row_of(const Value& sample, const std::string& given, bool whole) {
  const Value& memory = member_of(sample, "memory_stats");
  const Value& details = member_of(memory, "stats");
  const int64_t cache = details.contains("total_inactive_file") ? number_of(details, "total_inactive_file")
                                                                : number_of(details, "inactive_file");
  double used = static_cast<double>(number_of(memory, "usage"));
  if (static_cast<double>(cache) < used) used -= static_cast<double>(cache);
  const double limit = static_cast<double>(number_of(memory, "limit"));
  std::string name = text_of(sample, "name");
  if (name.starts_with('/')) name.erase(0, 1);
  const std::string id = text_of(sample, "id");
  return make_row({{"BlockIO", block_io(sample)},
                   {"CPUPerc", percent(cpu_percent(sample))},
                   {"Container", given},
                   {"ID", whole ? id : id.substr(0, 12)},
                   {"MemPerc", percent(limit > 0 ? used / limit * 100 : 0)},
                   {"MemUsage", binary_size(used) + " / " + binary_size(limit)},
                   {"Name", name},
                   {"NetIO", net_io(sample)},
                   {"PIDs", std::to_string(number_of(member_of(sample, "pids_stats"), "current"))}});
}

struct Sample {
  size_t container = 0;
  std::optional<Value> value;  // nothing: the stream has ended
  std::string problem;
};

class Streams {
 public:
  Result<> open(client::ApiClient& api, const std::vector<std::string>& names, bool again) {
    for (size_t i = 0; i < names.size(); ++i) {
      apis_.push_back(TRY(api.another()));
      threads_.emplace_back([this, i, api = apis_.back().get(),
                             path = container_path(names[i], "stats") + (again ? "?stream=1" : "?stream=0")] {
        const auto result = api->stream_lines("GET", path, "", [&](std::string_view line) {
          Value value = Value::parse(line, nullptr, false);
          if (!value.is_discarded()) samples_.put({.container = i, .value = std::move(value), .problem = {}});
          return true;
        });
        samples_.put({.container = i, .value = {}, .problem = result.ok() ? "" : result.error().message()});
      });
    }
    return {};
  }
  ~Streams() {
    for (const auto& api : apis_) api->interrupt();
    for (std::thread& thread : threads_) thread.join();
  }
  Sample take() { return samples_.take(); }

 private:
  Mailbox<Sample> samples_;
  std::vector<std::unique_ptr<client::ApiClient>> apis_;
  std::vector<std::thread> threads_;
};

Result<std::vector<std::string>> chosen(Session& session, const Arguments& arguments) {
  if (!arguments.positional().empty()) return arguments.positional();
  const Value list =
      TRY(api_json(session, "GET", std::string("/containers/json") + (arguments.on("all") ? "?all=1" : "")));
  std::vector<std::string> names;
  for (const Value& container : list) names.push_back(text_of(container, "Id"));
  return names;
}

Result<int> stats(Session& session, const Arguments& arguments) {
  const std::vector<std::string> names = TRY(chosen(session, arguments));
  const bool again = !arguments.on("no-stream");
  const ListFormat list{kColumns, kTable};
  const bool redraw = again && session.out.is_terminal();
  std::vector<std::optional<Value>> rows(names.size());
  const auto draw = [&]() -> Result<> {
    std::vector<Value> known;
    for (const auto& row : rows) {
      if (row) known.push_back(*row);
    }
    session.out.write((redraw ? "\x1b[H\x1b[2J" : "") + TRY(format_list(list, arguments.text("format"), known)));
    return {};
  };
  if (names.empty()) {
    TRY(draw());
    return 0;
  }
  Streams streams;
  TRY(streams.open(*TRY(session.api()), names, again));
  size_t living = names.size();
  std::vector<bool> fresh(names.size(), false);
  int status = 0;
  while (living > 0) {
    const Sample sample = streams.take();
    if (!sample.value) {
      --living;
      if (!sample.problem.empty()) {
        session.fail(sample.problem);
        status = 1;
      }
      if (again) rows[sample.container].reset();
      continue;
    }
    rows[sample.container] = row_of(*sample.value, names[sample.container], arguments.on("no-trunc"));
    fresh[sample.container] = true;
    // A round is complete when everybody who lives has told something new.
    if (again && static_cast<size_t>(std::ranges::count(fresh, true)) >= living) {
      fresh.assign(names.size(), false);
      TRY(draw());
    }
  }
  if (!again) TRY(draw());
  return status;
}

}  // namespace

const Command kEngineStats{
    .syntax = {.name = "stats", .arguments = "[CONTAINER...]", .summary = "Show what containers use", .flags = kFlags},
    .run = stats};

}  // namespace gantry::cli
