// logs: what the project's containers wrote.
#include <algorithm>
#include <mutex>
#include <thread>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/container_watch.h"
#include "cli/log_filter.h"
#include "cli/log_printer.h"
#include "cli/log_sources.h"
#include "cli/operation.h"

namespace gantry::cli {

namespace {

constexpr Flag kLogsFlags[] = {
    {.name = "follow", .letter = 'f', .help = "Go on with what is written from now on"},
    {.name = "tail",
     .letter = 'n',
     .kind = FlagKind::text,
     .value_name = "LINES",
     .help = "Number of lines from the end of each log (all if not given)"},
    {.name = "since",
     .kind = FlagKind::text,
     .value_name = "TIME",
     .help = "From a time (2026-01-02T13:23:37Z) or 42m ago on"},
    {.name = "until",
     .kind = FlagKind::text,
     .value_name = "TIME",
     .help = "Up to a time (2026-01-02T13:23:37Z) or 42m ago"},
    {.name = "timestamps", .letter = 't', .help = "Print times"},
    {.name = "no-color", .help = "Without colours"},
    {.name = "no-log-prefix", .help = "Without the container's name"},
    {.name = "grep", .kind = FlagKind::text, .value_name = "REGEX", .help = "Only lines that match"},
    {.name = "level",
     .kind = FlagKind::text,
     .value_name = "LEVEL",
     .help = "Only lines of this level or a worse one: debug, info, warn, error"},
    {.name = "run",
     .kind = FlagKind::text,
     .value_name = "N",
     .help = "The N-th container of each replica since the last down, though it was replaced; -1: the one before, all"},
    {.name = "merge", .help = "One stream in the order of time, across services and replicas"},
    {.name = "index", .kind = FlagKind::number, .value_name = "N", .help = "Only the N-th container of the service"},
};

Result<LogRequest> log_request(const Session& session, const Arguments& arguments) {
  LogRequest request{.follow = arguments.on("follow"), .timestamps = arguments.on("timestamps")};
  const std::string tail = arguments.text("tail", "all");
  if (tail != "all" && !tail.starts_with('-')) {
    if (!parse_unsigned(tail))
      return invalid("invalid --tail value " + gantry::quoted(tail) + ": give a number or all");
    request.tail = tail;
  }
  const WallTime now = session.clock().wall();
  if (arguments.given("since")) request.since = TRY(api_time(arguments.text("since"), now).within("--since"));
  if (arguments.given("until")) request.until = TRY(api_time(arguments.text("until"), now).within("--until"));
  return request;
}

// Services whose logs are wanted: the named ones, else all that do not say `attach: false`. Empty: all.
std::set<std::string> wanted_services(const Session::NamedProject& target, const std::vector<std::string>& named) {
  std::set<std::string> services(named.begin(), named.end());
  if (!services.empty() || !target.project) return services;
  const auto& all = target.project->services;
  const bool some_are_silent =
      std::any_of(all.begin(), all.end(), [](const auto& entry) { return entry.second.attach == false; });
  if (!some_are_silent) return {};
  for (const auto& [name, service] : all) {
    if (service.attach != false) services.insert(name);
  }
  return services;
}

Result<bool> has_terminal(client::ApiClient& api, const LogSource& source) {
  if (source.tty) return *source.tty;
  const auto body = TRY(TRY(api.request("GET", container_path(source.container, "json"))).ok_body());
  return TRY(parse_container(body)).tty;
}

std::vector<std::string> source_names(const std::vector<LogSource>& sources) {
  std::vector<std::string> names;
  for (const LogSource& source : sources) names.push_back(source.name);
  return names;
}

// All logs at once: they are printed as they come, not merged by time.
Result<int> print_logs(Session& session, const std::vector<LogSource>& sources, const LogRequest& request,
                       LogStyle style, const LogFilter& filter) {
  client::ApiClient* api = TRY(session.api());
  LogPrinter printer(style, session.out, session.out);
  printer.announce(source_names(sources));
  std::mutex mutex;
  std::vector<std::unique_ptr<client::ApiClient>> connections;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < sources.size(); ++i) connections.push_back(TRY(api->another()));
  for (size_t i = 0; i < sources.size(); ++i) {
    threads.emplace_back([&, i, &source = sources[i]] {
      const auto print = [&](StreamKind kind, std::string_view line) {
        if (!filter.passes(line)) return;
        std::lock_guard lock(mutex);
        printer.line(source.name, kind, line);
      };
      auto tty = has_terminal(*connections[i], source);
      auto result = !tty.ok() ? Result<>(std::move(tty).error())
                              : read_log_at(*connections[i], source.path, *tty, request, print);
      if (result.ok()) return;
      std::lock_guard lock(mutex);
      session.warn("Can't retrieve logs for " + gantry::quoted(source.name) + ": " + result.error().message());
    });
  }
  for (std::thread& thread : threads) thread.join();
  return 0;
}

// A line with the time at which the engine got it, in front of everything.
struct TimedLine {
  std::string time;
  size_t source = 0;
  StreamKind kind = StreamKind::stdout_stream;
  std::string text;
};

// Everything is read first: the last line of one container may be older than the first of another.
Result<int> print_merged(Session& session, const std::vector<LogSource>& sources, LogRequest request, LogStyle style,
                         const LogFilter& filter) {
  client::ApiClient* api = TRY(session.api());
  const bool times = request.timestamps;
  request.timestamps = true;
  std::vector<TimedLine> lines;
  for (size_t i = 0; i < sources.size(); ++i) {
    const bool tty = TRY(has_terminal(*api, sources[i]));
    TRY(read_log_at(*api, sources[i].path, tty, request, [&](StreamKind kind, std::string_view line) {
      const size_t space = line.find(' ');
      const std::string_view text = space == std::string_view::npos ? "" : line.substr(space + 1);
      if (!filter.passes(text)) return;
      lines.push_back({.time = std::string(line.substr(0, space)), .source = i, .kind = kind, .text = std::string(text)});
    }));
  }
  std::stable_sort(lines.begin(), lines.end(), [](const auto& a, const auto& b) { return a.time < b.time; });
  LogPrinter printer(style, session.out, session.out);
  printer.announce(source_names(sources));
  for (const TimedLine& line : lines) {
    printer.line(sources[line.source].name, line.kind, times ? line.time + " " + line.text : line.text);
  }
  return 0;
}

// Of these services, or all; of one replica, or all.
Result<std::vector<PastRunRow>> past_runs(Session& session, const std::string& project,
                                          const std::set<std::string>& services, std::optional<int64_t> index) {
  client::ApiClient* api = TRY(session.api());
  auto rows = TRY(parse_past_runs(TRY(TRY(api->request("GET", project_path(project, "runs"))).ok_body())));
  std::erase_if(rows, [&](const PastRunRow& row) {
    return (!services.empty() && !services.contains(row.service)) || (index && row.replica != *index);
  });
  return rows;
}

Result<int> logs(Session& session, const Arguments& arguments) {
  const auto& named = arguments.positional();
  const auto index = arguments.number("index");
  if (index && named.size() != 1) return invalid("--index requires one service to be selected");
  const LogRequest request = TRY(log_request(session, arguments));
  std::optional<RunWish> run;
  if (arguments.given("run")) run = TRY(parse_run_wish(arguments.text("run")));
  if (run && request.follow) return invalid("--run shows what was written, and cannot be used with --follow");
  const auto target = TRY(session.find_project(named));
  const LogStyle style{.prefix = !arguments.on("no-log-prefix"),
                       .colour = !arguments.on("no-color") && session.colour_on(session.out)};
  const LogFilter filter = TRY(LogFilter::create(arguments.text("grep"), arguments.text("level")));
  const auto services = wanted_services(target, named);
  if (request.follow && !index) {
    ContainerWatch watch(session, {.project = target.name,
                                   .services = services,
                                   .timestamps = request.timestamps,
                                   .existing = request,
                                   .show_stopped = true,
                                   .stderr_to_stdout = true,
                                   .style = style,
                                   .filter = filter});
    TRY(watch.attach(false));
    return watch.run();
  }
  auto rows = TRY(session.containers(target.name, true));
  std::erase_if(rows, [&](const ContainerRow& row) {
    return row.one_off() || row.state == "created" || (!services.empty() && !services.contains(row.service())) ||
           (index && row.number() != *index);
  });
  const auto sources = run ? TRY(select_runs(target.name, rows, TRY(past_runs(session, target.name, services, index)), *run))
                           : sources_of(target.name, rows);
  if (arguments.on("merge")) return print_merged(session, sources, request, style, filter);
  return print_logs(session, sources, request, style, filter);
}

}  // namespace

const Command kLogs{
    .syntax = {.name = "logs", .arguments = "[SERVICE...]", .summary = "Show what containers wrote", .flags = kLogsFlags},
    .run = logs};

}  // namespace gantry::cli
