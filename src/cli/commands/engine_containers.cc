// gantry ps, exec and logs.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "cli/attached_process.h"
#include "cli/commands/commands.h"
#include "cli/commands/engine_helpers.h"
#include "cli/stream_hub.h"

namespace gantry::cli {

namespace {

using K = FlagKind;

constexpr size_t kMountWidth = 15;

constexpr Flag kEnginePsFlags[] = {
    {.name = "all", .letter = 'a', .help = "Show stopped containers, too"},
    {.name = "filter", .letter = 'f', .kind = K::list, .value_name = "KEY=VALUE", .help = "Only those that match"},
    {.name = "format", .kind = K::text, .value_name = "FORMAT", .help = "table, json, or a template"},
    {.name = "last", .letter = 'n', .kind = K::number, .value_name = "N", .help = "The N that were made last, in any state"},
    {.name = "latest", .letter = 'l', .help = "The one that was made last, in any state"},
    {.name = "no-trunc", .help = "Don't cut ids and commands"},
    {.name = "quiet", .letter = 'q', .help = "Print ids only"},
    {.name = "size", .letter = 's', .help = "Show what the containers take on disk"},
};
constexpr Flag kEngineLogsFlags[] = {
    {.name = "details", .help = "Show what the log options add to each line"},
    {.name = "follow", .letter = 'f', .help = "Go on with what is written from now on"},
    {.name = "tail", .letter = 'n', .kind = K::text, .value_name = "LINES", .help = "Number of lines from the end"},
    {.name = "since", .kind = K::text, .value_name = "TIME", .help = "From a time or a duration ago on"},
    {.name = "until", .kind = K::text, .value_name = "TIME", .help = "Up to a time or a duration ago"},
    {.name = "timestamps", .letter = 't', .help = "Print times"},
};
constexpr Flag kEngineExecFlags[] = {
    {.name = "detach", .letter = 'd', .help = "Run in the background"},
    {.name = "detach-keys", .kind = K::text, .value_name = "KEYS", .help = "Keys that detach (ctrl-p,ctrl-q)"},
    {.name = "interactive", .letter = 'i', .help = "Send standard input"},
    {.name = "tty", .letter = 't', .help = "With a terminal"},
    {.name = "env", .letter = 'e', .kind = K::list, .value_name = "KEY=VALUE", .help = "Set an environment variable"},
    {.name = "user", .letter = 'u', .kind = K::text, .value_name = "USER", .help = "Run as this user"},
    {.name = "workdir", .letter = 'w', .kind = K::text, .value_name = "DIR", .help = "Run in this directory"},
    {.name = "privileged", .help = "Give the command all capabilities"},
};

constexpr Column kPsColumns[] = {
    {"Command", "COMMAND"}, {"CreatedAt", "CREATED AT"}, {"ID", "CONTAINER ID"},  {"Image", "IMAGE"},
    {"Labels", "LABELS"},   {"LocalVolumes", "LOCAL VOLUMES"}, {"Mounts", "MOUNTS"}, {"Names", "NAMES"},
    {"Networks", "NETWORKS"}, {"Ports", "PORTS"},        {"RunningFor", "CREATED"}, {"Size", "SIZE"},
    {"State", "STATE"},     {"Status", "STATUS"},
};
constexpr std::string_view kPsTable = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
constexpr std::string_view kPsSizeTable =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}";

std::string size_text(const Value& container) {
  const auto writable = static_cast<uint64_t>(number_of(container, "SizeRw"));
  const auto root = static_cast<uint64_t>(number_of(container, "SizeRootFs"));
  return human_size(writable) + (root > 0 ? " (virtual " + human_size(root) + ")" : "");
}

std::string names_text(const Value& container) {
  std::vector<std::string> names;
  for (const Value& name : member_of(container, "Names")) {
    std::string text = name.get<std::string>();
    if (text.starts_with('/')) text.erase(0, 1);
    if (text.find('/') == std::string::npos) names.push_back(std::move(text));
  }
  return join(names, ",");
}

Value ps_row(const Session& session, const Value& container, const ContainerRow& parsed, bool whole) {
  std::vector<std::string> mounts;
  for (const std::string& mount : parsed.mounts) mounts.push_back(whole ? mount : shorten(mount, kMountWidth));
  const std::string id = text_of(container, "Id");
  Value row = make_row({{"Command", gantry::quoted(whole ? parsed.command : shorten(parsed.command, kCommandWidth))},
                        {"CreatedAt", local_time_text(parsed.created)},
                        {"ID", whole ? id : id.substr(0, 12)},
                        {"Image", parsed.image},
                        {"Labels", labels_text(member_of(container, "Labels"))},
                        {"LocalVolumes", std::to_string(parsed.local_volumes)},
                        {"Mounts", join(mounts, ",")},
                        {"Names", names_text(container)},
                        {"Networks", join(parsed.networks, ",")},
                        {"Ports", ports_text(parsed.ports)},
                        {"RunningFor", age_text(session, parsed.created)},
                        {"Size", size_text(container)},
                        {"State", parsed.state},
                        {"Status", parsed.status}});
  row[std::string(1, kHiddenMember) + "Label"] = member_of(container, "Labels").is_object() ? member_of(container, "Labels") : Value::object();
  return row;
}

Result<int> list_containers(Session& session, const Arguments& arguments) {
  const std::string format = arguments.text("format");
  const bool sized = arguments.on("size") || format.find(".Size") != std::string::npos;
  const int64_t last = arguments.on("latest") ? 1 : arguments.number("last").value_or(0);
  const std::string filters = TRY(filters_of(arguments));
  const std::string path = "/containers/json" + query_of({{"all", arguments.on("all") ? "1" : ""},
                                                          {"size", sized ? "1" : ""},
                                                          {"limit", last > 0 ? std::to_string(last) : ""},
                                                          {"filters", filters}});
  const std::string body = TRY(TRY((*TRY(session.api())).request("GET", path)).ok_body());
  const std::vector<ContainerRow> parsed = TRY(parse_containers(body));
  const Value list = Value::parse(body, nullptr, false);
  const bool whole = arguments.on("no-trunc");
  std::vector<Value> rows;
  for (size_t i = 0; i < parsed.size(); ++i) rows.push_back(ps_row(session, list[i], parsed[i], whole));
  if (arguments.on("quiet") && format.empty()) {
    for (const Value& row : rows) session.out.write(row["ID"].get<std::string>() + "\n");
    return 0;
  }
  session.out.write(TRY(format_list({kPsColumns, arguments.on("size") ? kPsSizeTable : kPsTable}, format, rows)));
  return 0;
}

Result<int> container_logs(Session& session, const Arguments& arguments) {
  client::ApiClient* api = TRY(session.api());
  const std::string& name = arguments.positional()[0];
  LogRequest request{.follow = arguments.on("follow"), .timestamps = arguments.on("timestamps")};
  request.details = arguments.on("details");
  if (const std::string tail = arguments.text("tail", "all"); tail != "all") request.tail = tail;
  const WallTime now = session.clock().wall();
  if (arguments.given("since")) request.since = TRY(api_time(arguments.text("since"), now).within("--since"));
  if (arguments.given("until")) request.until = TRY(api_time(arguments.text("until"), now).within("--until"));
  const auto details = TRY(parse_container(TRY(TRY(api->request("GET", container_path(name, "json"))).ok_body())));
  // Byte for byte: a last line without its end gets none.
  FrameReader frames(details.tty, [&](StreamKind kind, std::string_view bytes) {
    (kind == StreamKind::stdout_stream ? session.out : session.err).write(bytes);
  });
  bool intact = true;
  TRY(api->stream_bytes("GET", log_path(details.id, request), "",
                        [&](std::string_view bytes) { return intact = frames.add(bytes); }));
  return intact ? Result<int>(0) : internal_error("the log of " + name + " is no stream of a container");
}

Result<int> exec_in_container(Session& session, const Arguments& arguments) {
  const auto& words = arguments.positional();
  const bool detach = arguments.on("detach");
  const auto terminal = TRY(choose_terminal(
      session, {.tty = arguments.on("tty") && !detach, .interactive = arguments.on("interactive") && !detach}));
  return run_exec(session, words[0],
                  {.command = {words.begin() + 1, words.end()},
                   .environment = arguments.list("env"),
                   .user = arguments.text("user"),
                   .working_dir = arguments.text("workdir"),
                   .detach_keys = arguments.text("detach-keys"),
                   .tty = terminal.tty,
                   .attach_stdin = terminal.interactive,
                   .privileged = arguments.on("privileged")},
                  detach);
}

}  // namespace

const Command kEnginePs{.syntax = {.name = "ps", .summary = "List containers", .flags = kEnginePsFlags, .most_arguments = 0},
                        .run = list_containers};
const Command kEngineLogs{.syntax = {.name = "logs",
                                     .arguments = "CONTAINER",
                                     .summary = "Show what a container wrote",
                                     .flags = kEngineLogsFlags,
                                     .least_arguments = 1,
                                     .most_arguments = 1},
                          .run = container_logs};
const Command kEngineExec{.syntax = {.name = "exec",
                                     .arguments = "CONTAINER COMMAND [ARGS...]",
                                     .summary = "Run a command in a running container",
                                     .flags = kEngineExecFlags,
                                     .least_arguments = 2,
                                     .interspersed = false},
                          .run = exec_in_container};

}  // namespace gantry::cli
