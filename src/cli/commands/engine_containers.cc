// gantry ps, rm, stop, start, kill, inspect, logs and exec: containers of the engine by id or name.
#include <algorithm>

#include "base/strings.h"
#include "cli/attached_process.h"
#include "cli/commands/commands.h"
#include "cli/stream_hub.h"
#include "cli/table.h"

namespace gantry::cli {

namespace {

constexpr size_t kCommandWidth = 20;

constexpr Flag kPsFlags[] = {
    {.name = "all", .letter = 'a', .help = "Show stopped containers, too"},
    {.name = "quiet", .letter = 'q', .help = "Print ids only"},
    {.name = "no-trunc", .help = "Don't cut ids and commands"},
};
constexpr Flag kRemoveFlags[] = {
    {.name = "force", .letter = 'f', .help = "Kill the container if it runs"},
    {.name = "volumes", .letter = 'v', .help = "Remove anonymous volumes, too"},
};
constexpr Flag kStopFlags[] = {
    {.name = "time",
     .letter = 't',
     .kind = FlagKind::number,
     .value_name = "SECONDS",
     .help = "Time to stop before the container is killed"},
};
constexpr Flag kKillFlags[] = {
    {.name = "signal",
     .letter = 's',
     .kind = FlagKind::text,
     .value_name = "SIGNAL",
     .help = "Signal to send (SIGKILL if not given)"},
};
constexpr Flag kStartFlags[] = {
    {.name = "attach", .letter = 'a', .help = "", .refused = "start it, then use `gantry logs -f`"},
    {.name = "interactive", .letter = 'i', .help = "", .refused = "start it, then use `gantry exec`"},
};
constexpr Flag kLogsFlags[] = {
    {.name = "follow", .letter = 'f', .help = "Go on with what is written from now on"},
    {.name = "tail",
     .letter = 'n',
     .kind = FlagKind::text,
     .value_name = "LINES",
     .help = "Number of lines from the end"},
    {.name = "since", .kind = FlagKind::text, .value_name = "TIME", .help = "From a time or a duration ago on"},
    {.name = "until", .kind = FlagKind::text, .value_name = "TIME", .help = "Up to a time or a duration ago"},
    {.name = "timestamps", .letter = 't', .help = "Print times"},
};
constexpr Flag kExecFlags[] = {
    {.name = "detach", .letter = 'd', .help = "Run in the background"},
    {.name = "interactive", .letter = 'i', .help = "Send standard input"},
    {.name = "tty", .letter = 't', .help = "With a terminal"},
    {.name = "env",
     .letter = 'e',
     .kind = FlagKind::list,
     .value_name = "KEY=VALUE",
     .help = "Set an environment variable"},
    {.name = "user", .letter = 'u', .kind = FlagKind::text, .value_name = "USER", .help = "Run as this user"},
    {.name = "workdir", .letter = 'w', .kind = FlagKind::text, .value_name = "DIR", .help = "Run in this directory"},
    {.name = "privileged", .help = "Give the command all capabilities"},
};

Result<int> ps(Session& session, const Arguments& arguments) {
  const std::string path = std::string("/containers/json?all=") + (arguments.on("all") ? "1" : "0");
  const auto rows = TRY(parse_containers(TRY(TRY((*TRY(session.api())).request("GET", path)).ok_body())));
  const bool whole = arguments.on("no-trunc");
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(session.clock().wall().time_since_epoch()).count();
  Table table({"CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"});
  for (const ContainerRow& row : rows) {
    const std::string id = whole ? row.id : row.id.substr(0, 12);
    if (arguments.on("quiet")) {
      session.out.write(id + "\n");
      continue;
    }
    table.add({id, row.image, gantry::quoted(whole ? row.command : shorten(row.command, kCommandWidth)),
               human_duration(std::chrono::seconds(std::max<int64_t>(now - row.created, 0))) + " ago", row.status,
               ports_text(row.ports), row.name});
  }
  if (!arguments.on("quiet")) session.out.write(table.text());
  return 0;
}

// Does the same to each; a failure does not keep the others from it. → 1 if any failed
Result<int> for_each(Session& session, const std::vector<std::string>& names, const std::string& method,
                     const std::function<std::string(const std::string&)>& path) {
  client::ApiClient* api = TRY(session.api());
  int status = 0;
  for (const std::string& name : names) {
    const auto body = TRY(api->request(method, path(name))).ok_body();
    if (body.ok()) {
      session.out.write(name + "\n");
    } else {
      session.fail(body.error().message());
      status = 1;
    }
  }
  return status;
}

Result<int> remove(Session& session, const Arguments& arguments) {
  std::string query = std::string("?force=") + (arguments.on("force") ? "1" : "0");
  if (arguments.on("volumes")) query += "&v=1";
  return for_each(session, arguments.positional(), "DELETE",
                  [&](const std::string& name) { return container_path(name) + query; });
}

Result<int> stop(Session& session, const Arguments& arguments) {
  const auto time = TRY(seconds_of(arguments, "time"));
  const std::string query = time ? "?t=" + std::to_string(time->count()) : "";
  return for_each(session, arguments.positional(), "POST",
                  [&](const std::string& name) { return container_path(name, "stop") + query; });
}

Result<int> start(Session& session, const Arguments& arguments) {
  return for_each(session, arguments.positional(), "POST",
                  [](const std::string& name) { return container_path(name, "start"); });
}

Result<int> kill(Session& session, const Arguments& arguments) {
  const std::string query = arguments.given("signal") ? "?signal=" + client::url_encode(arguments.text("signal")) : "";
  return for_each(session, arguments.positional(), "POST",
                  [&](const std::string& name) { return container_path(name, "kill") + query; });
}

// A container, image, network or volume: the first kind that knows the name.
Result<std::string> inspect_one(client::ApiClient& api, const std::string& name) {
  const std::string encoded = client::url_encode(name);
  for (const std::string& path :
       {container_path(name, "json"), image_path(name, "json"), "/networks/" + encoded, "/volumes/" + encoded}) {
    auto answer = TRY(api.request("GET", path));
    const bool next_kind = answer.status == 404 || answer.body.find("invalid reference format") != std::string::npos;
    if (!next_kind) return std::move(answer).ok_body();
  }
  return not_found("No such object: " + name);
}

Result<int> inspect(Session& session, const Arguments& arguments) {
  client::ApiClient* api = TRY(session.api());
  std::vector<std::string> objects;
  int status = 0;
  for (const std::string& name : arguments.positional()) {
    auto object = inspect_one(*api, name);
    if (object.ok()) {
      objects.push_back(std::move(object).value());
    } else {
      session.fail(object.error().message());
      status = 1;
    }
  }
  session.out.write(TRY(indented("[" + join(objects, ",") + "]")) + "\n");
  return status;
}

Result<int> logs(Session& session, const Arguments& arguments) {
  client::ApiClient* api = TRY(session.api());
  const std::string& name = arguments.positional()[0];
  LogRequest request{.follow = arguments.on("follow"), .timestamps = arguments.on("timestamps")};
  if (const std::string tail = arguments.text("tail", "all"); tail != "all") request.tail = tail;
  const WallTime now = session.clock().wall();
  if (arguments.given("since")) request.since = TRY(api_time(arguments.text("since"), now).within("--since"));
  if (arguments.given("until")) request.until = TRY(api_time(arguments.text("until"), now).within("--until"));
  const auto details = TRY(parse_container(TRY(TRY(api->request("GET", container_path(name, "json"))).ok_body())));
  TRY(read_log(*api, details.id, details.tty, request, [&](StreamKind kind, std::string_view line) {
    (kind == StreamKind::stdout_stream ? session.out : session.err).write(std::string(line) + "\n");
  }));
  return 0;
}

Result<int> exec(Session& session, const Arguments& arguments) {
  const auto& words = arguments.positional();
  const bool detach = arguments.on("detach");
  const auto terminal = TRY(choose_terminal(
      session, {.tty = arguments.on("tty") && !detach, .interactive = arguments.on("interactive") && !detach}));
  return run_exec(session, words[0],
                  {.command = {words.begin() + 1, words.end()},
                   .environment = arguments.list("env"),
                   .user = arguments.text("user"),
                   .working_dir = arguments.text("workdir"),
                   .tty = terminal.tty,
                   .attach_stdin = terminal.interactive,
                   .privileged = arguments.on("privileged")},
                  detach);
}

constexpr std::string_view kContainers = "CONTAINER [CONTAINER...]";

}  // namespace

const Command kEnginePs{.syntax = {.name = "ps", .summary = "List containers", .flags = kPsFlags, .most_arguments = 0},
                        .run = ps};
const Command kEngineRemove{.syntax = {.name = "rm",
                                       .arguments = kContainers,
                                       .summary = "Remove containers",
                                       .flags = kRemoveFlags,
                                       .least_arguments = 1},
                            .run = remove};
const Command kEngineStop{.syntax = {.name = "stop",
                                     .arguments = kContainers,
                                     .summary = "Stop containers",
                                     .flags = kStopFlags,
                                     .least_arguments = 1},
                          .run = stop};
const Command kEngineStart{.syntax = {.name = "start",
                                      .arguments = kContainers,
                                      .summary = "Start stopped containers",
                                      .flags = kStartFlags,
                                      .least_arguments = 1},
                           .run = start};
const Command kEngineKill{.syntax = {.name = "kill",
                                     .arguments = kContainers,
                                     .summary = "Send a signal to containers",
                                     .flags = kKillFlags,
                                     .least_arguments = 1},
                          .run = kill};
const Command kEngineInspect{.syntax = {.name = "inspect",
                                        .arguments = "NAME [NAME...]",
                                        .summary = "Print all about containers, images, networks or volumes as JSON",
                                        .least_arguments = 1},
                             .run = inspect};
const Command kEngineLogs{.syntax = {.name = "logs",
                                     .arguments = "CONTAINER",
                                     .summary = "Show what a container wrote",
                                     .flags = kLogsFlags,
                                     .least_arguments = 1,
                                     .most_arguments = 1},
                          .run = logs};
const Command kEngineExec{.syntax = {.name = "exec",
                                     .arguments = "CONTAINER COMMAND [ARGS...]",
                                     .summary = "Run a command in a running container",
                                     .flags = kExecFlags,
                                     .least_arguments = 2,
                                     .interspersed = false},
                          .run = exec};

}  // namespace gantry::cli
