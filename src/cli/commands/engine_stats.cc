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

constexpr Flag kEngineStatsFlags[] = {
    {.name = "all", .letter = 'a', .help = "Stopped containers, too"},
    {.name = "format", .kind = K::text, .value_name = "FORMAT", .help = "table, json, or a template"},
    {.name = "no-stream", .help = "Once, not again and again"},
    {.name = "no-trunc", .help = "Don't cut ids"},
};
constexpr Column kStatsColumns[] = {{"BlockIO", "BLOCK I/O"}, {"CPUPerc", "CPU %"},   {"Container", "CONTAINER"},
                                    {"ID", "CONTAINER ID"},   {"MemPerc", "MEM %"},   {"MemUsage", "MEM USAGE / LIMIT"},
                                    {"Name", "NAME"},         {"NetIO", "NET I/O"},   {"PIDs", "PIDS"}};
constexpr std::string_view kTable =
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

double cpu_percent(const Value& sample) {
  const auto usage = [](const Value& stats) { return static_cast<double>(number_of(member_of(stats, "cpu_usage"), "total_usage")); };
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
  const int64_t cache = details.contains("total_inactive_file") ? number_of(details, "total_inactive_file") : number_of(details, "inactive_file");
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
  // Instead of all that: the id of a container that has just started, or that nobody tells of them any more.
  std::string started;
  bool is_watch_over = false;
};

class Streams {
 public:
  Result<> open(client::ApiClient& api, size_t container, const std::string& name, bool again) {
    const std::string path = container_path(name, "stats") + (again ? "?stream=1" : "?stream=0");
    return run(api, [this, container, path](client::ApiClient& own) {
      const auto result = own.stream_lines("GET", path, "", [&](std::string_view line) {
        Value value = Value::parse(line, nullptr, false);
        if (!value.is_discarded()) samples_.put({.container = container, .value = std::move(value)});
        return true;
      });
      samples_.put({.container = container, .problem = result.ok() ? "" : result.error().message()});
    });
  }
  // Tells of containers that start from now on.
  Result<> watch_starts(client::ApiClient& api) {
    const std::string path = "/events?filters=" + client::url_encode(R"({"type":["container"],"event":["start"]})");
    return run(api, [this, path](client::ApiClient& own) {
      const auto result = own.stream_lines("GET", path, "", [&](std::string_view line) {
        const Value event = Value::parse(line, nullptr, false);
        if (!event.is_discarded()) samples_.put({.started = text_of(event, "id")});
        return true;
      });
      samples_.put({.problem = result.ok() ? "" : result.error().message(), .is_watch_over = true});
    });
  }
  ~Streams() {
    for (const auto& api : apis_) api->interrupt();
    for (std::thread& thread : threads_) thread.join();
  }
  Sample take() { return samples_.take(); }

 private:
  Result<> run(client::ApiClient& api, std::function<void(client::ApiClient&)> work) {
    apis_.push_back(TRY(api.another()));
    threads_.emplace_back([own = apis_.back().get(), work = std::move(work)] { work(*own); });
    return {};
  }

  Mailbox<Sample> samples_;
  std::vector<std::unique_ptr<client::ApiClient>> apis_;
  std::vector<std::thread> threads_;
};

struct Watched {
  std::string name;  // as it was given, or the id
  bool is_living = true;
  bool is_fresh = false;  // has told something since the last drawing
  std::optional<Value> row;
};

Result<std::vector<std::string>> chosen(Session& session, const Arguments& arguments) {
  if (!arguments.positional().empty()) return arguments.positional();
  const Value list = TRY(api_json(session, "GET", std::string("/containers/json") + (arguments.on("all") ? "?all=1" : "")));
  std::vector<std::string> names;
  for (const Value& container : list) names.push_back(text_of(container, "Id"));
  return names;
}

// One run of the command.
class Board {
 public:
  Board(Session& session, const Arguments& arguments)
      : session_(session),
        arguments_(arguments),
        again_(!arguments.on("no-stream")),
        watches_all_(again_ && arguments.positional().empty()) {}

  Result<int> run() {
    client::ApiClient& api = *TRY(session_.api());
    if (watches_all_) TRY(streams_.watch_starts(api));  // before the list, so that none falls between
    for (const std::string& name : TRY(chosen(session_, arguments_))) TRY(add(api, name));
    if (watched_.empty()) TRY(draw());
    while (watches_all_ || living() > 0) {
      Sample sample = streams_.take();
      if (sample.is_watch_over) {
        return Error(Code::unavailable, sample.problem.empty() ? "the daemon has ended the stream of events" : sample.problem);
      }
      if (sample.started.empty()) TRY(take(std::move(sample)));
      else if (!knows(sample.started)) TRY(add(api, sample.started));
    }
    if (!again_ && !watched_.empty()) TRY(draw());
    return status_;
  }

 private:
  Result<> add(client::ApiClient& api, const std::string& name) {
    watched_.push_back({.name = name, .row = {}});
    return streams_.open(api, watched_.size() - 1, name, again_);
  }
  bool knows(const std::string& id) const {
    return std::ranges::any_of(watched_, [&](const Watched& watched) { return watched.is_living && watched.name == id; });
  }
  ptrdiff_t living() const { return std::ranges::count(watched_, true, &Watched::is_living); }

  Result<> take(Sample sample) {
    Watched& watched = watched_[sample.container];
    if (sample.value) {
      watched.row = row_of(*sample.value, watched.name, arguments_.on("no-trunc"));
      watched.is_fresh = true;
    } else {
      watched.is_living = watched.is_fresh = false;
      if (!sample.problem.empty() && !watches_all_) {
        session_.fail(sample.problem);
        status_ = 1;
      }
      if (again_) watched.row.reset();
      if (living() > 0 || !watches_all_) return {};
    }
    // A round is complete when everybody who lives has told something new.
    if (!again_ || std::ranges::count(watched_, true, &Watched::is_fresh) < living()) return {};
    for (Watched& each : watched_) each.is_fresh = false;
    return draw();
  }

  Result<> draw() {
    std::vector<Value> known;
    for (const Watched& watched : watched_) {
      if (watched.row) known.push_back(*watched.row);
    }
    const bool in_place = again_ && session_.out.is_terminal();
    session_.out.write((in_place ? "\x1b[H\x1b[2J" : "") + TRY(format_list({kStatsColumns, kTable}, arguments_.text("format"), known)));
    return {};
  }

  Session& session_;
  const Arguments& arguments_;
  const bool again_;
  const bool watches_all_;  // whatever runs, and what starts later
  Streams streams_;
  std::vector<Watched> watched_;
  int status_ = 0;
};

Result<int> container_stats(Session& session, const Arguments& arguments) { return Board(session, arguments).run(); }

}  // namespace

const Command kEngineStats{.syntax = {.name = "stats", .arguments = "[CONTAINER...]", .summary = "Show what containers use", .flags = kEngineStatsFlags}, .run = container_stats};

}  // namespace gantry::cli
