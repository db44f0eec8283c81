// gantry start, stop, restart, kill, rm, pause, unpause, rename, update, wait and container prune.
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "cli/attached_process.h"
#include "cli/commands/commands.h"
#include "cli/commands/engine_helpers.h"
#include "cli/limits.h"

namespace gantry::cli {

namespace {

using K = FlagKind;

constexpr Flag kEngineRemoveFlags[] = {
    {.name = "force", .letter = 'f', .help = "Kill the container if it runs"},
    {.name = "link", .letter = 'l', .help = "Remove the link and not the container"},
    {.name = "volumes", .letter = 'v', .help = "Remove anonymous volumes, too"},
};
constexpr Flag kEngineStopFlags[] = {
    {.name = "signal", .letter = 's', .kind = K::text, .value_name = "SIGNAL", .help = "Signal instead of the container's own"},
    {.name = "timeout", .letter = 't', .kind = K::number, .value_name = "SECONDS", .help = "Time until it is killed; -1: for ever"},
    {.name = "time", .kind = K::number, .value_name = "SECONDS", .help = "", .hidden = true},
};
constexpr Flag kEngineKillFlags[] = {
    {.name = "signal", .letter = 's', .kind = K::text, .value_name = "SIGNAL", .help = "Signal to send (SIGKILL if not given)"},
};
constexpr Flag kEngineStartFlags[] = {
    {.name = "attach", .letter = 'a', .help = "Attach to output and forward signals"},
    {.name = "detach-keys", .kind = K::text, .value_name = "KEYS", .help = "Keys that detach (ctrl-p,ctrl-q)"},
    {.name = "interactive", .letter = 'i', .help = "Attach standard input, too"},
};
constexpr Flag kUpdateFlags[] = {
    {.name = "blkio-weight", .kind = K::number, .value_name = "N", .help = "Block I/O weight, 10 to 1000"},
    {.name = "cpu-period", .kind = K::number, .value_name = "US", .help = "CFS period"},
    {.name = "cpu-quota", .kind = K::number, .value_name = "US", .help = "CFS quota"},
    {.name = "cpu-shares", .letter = 'c', .kind = K::number, .value_name = "N", .help = "Relative share of the processors"},
    {.name = "cpus", .kind = K::text, .value_name = "N", .help = "Number of processors"},
    {.name = "cpuset-cpus", .kind = K::text, .value_name = "LIST", .help = "Processors to use"},
    {.name = "cpuset-mems", .kind = K::text, .value_name = "LIST", .help = "Memory nodes to use"},
    {.name = "memory", .letter = 'm', .kind = K::text, .value_name = "SIZE", .help = "Memory limit"},
    {.name = "memory-reservation", .kind = K::text, .value_name = "SIZE", .help = "Memory soft limit"},
    {.name = "memory-swap", .kind = K::text, .value_name = "SIZE", .help = "Memory and swap; -1: no limit of swap"},
    {.name = "pids-limit", .kind = K::number, .value_name = "N", .help = "Most processes; -1: no limit"},
    {.name = "restart", .kind = K::text, .value_name = "POLICY", .help = "no, always, unless-stopped or on-failure[:N]"},
};
constexpr Flag kContainerPruneFlags[] = {
    {.name = "filter", .kind = K::list, .value_name = "KEY=VALUE", .help = "Only what matches: until=…, label=…"},
    {.name = "force", .letter = 'f', .help = "Don't ask"},
};

Result<> post_to(client::ApiClient& api, const std::string& name, const char* action, const std::string& query = {}) {
  return post(api, container_path(name, action) + query);
}

Result<int> remove_containers(Session& session, const Arguments& arguments) {
  const std::string query = query_of({{"force", arguments.on("force") ? "1" : ""},
                                      {"v", arguments.on("volumes") ? "1" : ""},
                                      {"link", arguments.on("link") ? "1" : ""}});
  return for_each_name(session, arguments.positional(), [&](client::ApiClient& api, const std::string& name) -> Result<> {
    TRY(TRY(api.request("DELETE", container_path(name) + query)).ok_body());
    return {};
  });
}

Result<std::string> stop_query(const Arguments& arguments) {
  const auto time = TRY(seconds_of(arguments, arguments.given("timeout") ? "timeout" : "time"));
  return query_of({{"signal", client::url_encode(arguments.text("signal"))},
                   {"t", time ? std::to_string(time->count()) : ""}});
}

Result<int> stop_containers(Session& session, const Arguments& arguments) {
  const std::string query = TRY(stop_query(arguments));
  return for_each_name(session, arguments.positional(),
                       [&](client::ApiClient& api, const std::string& name) { return post_to(api, name, "stop", query); });
}

Result<int> restart_containers(Session& session, const Arguments& arguments) {
  const std::string query = TRY(stop_query(arguments));
  return for_each_name(session, arguments.positional(),
                       [&](client::ApiClient& api, const std::string& name) { return post_to(api, name, "restart", query); });
}

Result<int> kill_containers(Session& session, const Arguments& arguments) {
  const std::string query = query_of({{"signal", client::url_encode(arguments.text("signal"))}});
  return for_each_name(session, arguments.positional(),
                       [&](client::ApiClient& api, const std::string& name) { return post_to(api, name, "kill", query); });
}

Result<int> pause_containers(Session& session, const Arguments& arguments) {
  return for_each_name(session, arguments.positional(),
                       [](client::ApiClient& api, const std::string& name) { return post_to(api, name, "pause"); });
}

Result<int> unpause_containers(Session& session, const Arguments& arguments) {
  return for_each_name(session, arguments.positional(),
                       [](client::ApiClient& api, const std::string& name) { return post_to(api, name, "unpause"); });
}

Result<int> start_containers(Session& session, const Arguments& arguments) {
  const bool attach = arguments.on("attach") || arguments.on("interactive");
  if (!attach) {
    return for_each_name(session, arguments.positional(),
                         [](client::ApiClient& api, const std::string& name) { return post_to(api, name, "start"); });
  }
  if (arguments.positional().size() > 1) return invalid("you cannot start and attach multiple containers at once");
  const Value details = TRY(api_json(session, "GET", container_path(arguments.positional()[0], "json")));
  const Value& config = member_of(details, "Config");
  const bool tty = member_of(config, "Tty") == true;
  const bool input = arguments.on("interactive") && member_of(config, "OpenStdin") == true;
  const auto terminal = TRY(choose_terminal(session, {.tty = tty, .interactive = input}));
  return start_attached(session, text_of(details, "Id"), {.tty = tty, .interactive = terminal.interactive},
                        {.detach_keys = arguments.text("detach-keys"), .exit_by_events = false});
}

Result<int> rename(Session& session, const Arguments& arguments) {
  const std::string& name = arguments.positional()[1];
  if (trim(name).empty()) return invalid("neither old nor new names may be empty");
  TRY(post(*TRY(session.api()), container_path(arguments.positional()[0], "rename") + "?name=" + client::url_encode(name)));
  return 0;
}

Result<std::string> update_body(const Arguments& given) {
  nlohmann::json body = nlohmann::json::object();
  const auto number = [&](const char* member, const char* flag) {
    if (const auto value = given.number(flag)) body[member] = *value;
  };
  const auto text = [&](const char* member, const char* flag) {
    if (given.given(flag)) body[member] = given.text(flag);
  };
  const auto size = [&](const char* member, const char* flag) -> Result<> {
    if (!given.given(flag)) return {};
    body[member] = given.text(flag) == "-1" ? -1 : TRY(memory_size(given.text(flag)).within(std::string("--") + flag));
    return {};
  };
  number("BlkioWeight", "blkio-weight");
  number("CpuPeriod", "cpu-period");
  number("CpuQuota", "cpu-quota");
  number("CpuShares", "cpu-shares");
  number("PidsLimit", "pids-limit");
  text("CpusetCpus", "cpuset-cpus");
  text("CpusetMems", "cpuset-mems");
  TRY(size("Memory", "memory"));
  TRY(size("MemoryReservation", "memory-reservation"));
  TRY(size("MemorySwap", "memory-swap"));
  if (given.given("cpus")) {
    char* end = nullptr;
    const std::string value = given.text("cpus");
    const double cpus = std::strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0' || !(cpus >= 0) || cpus > 1e6) return invalid("invalid value for --cpus: " + gantry::quoted(value));
    body["NanoCpus"] = static_cast<int64_t>(cpus * 1e9 + 0.5);
  }
  if (given.given("restart")) {
    const std::string policy = given.text("restart");
    const size_t colon = policy.find(':');
    body["RestartPolicy"]["Name"] = policy.substr(0, colon);
    if (colon != std::string::npos) {
      const auto count = parse_unsigned(policy.substr(colon + 1));
      if (!count) return invalid("invalid restart policy format: maximum retry count must be an integer");
      body["RestartPolicy"]["MaximumRetryCount"] = *count;
    }
  }
  if (body.empty()) return invalid("you must provide one or more flags when using this command");
  return body.dump();
}

Result<int> update(Session& session, const Arguments& arguments) {
  const std::string body = TRY(update_body(arguments));
  std::vector<std::string> warnings;
  const int status = TRY(for_each_name(session, arguments.positional(), [&](client::ApiClient&, const std::string& name) -> Result<> {
    const Value answer = TRY(api_json(session, "POST", container_path(name, "update"), body));
    for (const Value& warning : member_of(answer, "Warnings")) {
      if (warning.is_string()) warnings.push_back(warning.get<std::string>());
    }
    return {};
  }));
  for (const std::string& warning : warnings) session.warn(warning);
  return status;
}

Result<int> wait_for_containers(Session& session, const Arguments& arguments) {
  int status = 0;
  for (const std::string& name : arguments.positional()) {
    const auto answer = api_json(session, "POST", container_path(name, "wait"));
    if (!answer.ok()) {
      session.fail(answer.error().message());
      status = 1;
      continue;
    }
    if (const Value& problem = member_of(*answer, "Error"); problem.is_object()) {
      session.fail(text_of(problem, "Message"));
      status = 1;
      continue;
    }
    session.out.write(std::to_string(number_of(*answer, "StatusCode")) + "\n");
  }
  return status;
}

Result<int> prune_containers(Session& session, const Arguments& arguments) {
  if (!arguments.on("force") && !confirmed(session, "WARNING! This will remove all stopped containers.\nAre you sure you want to continue?")) {
    return 0;
  }
  const std::string filters = TRY(filters_of(arguments));
  const Value answer = TRY(api_json(session, "POST", "/containers/prune" + query_of({{"filters", filters}})));
  const Value& deleted = member_of(answer, "ContainersDeleted");
  if (deleted.is_array() && !deleted.empty()) {
    session.out.write("Deleted Containers:\n");
    for (const Value& id : deleted) session.out.write(id.get<std::string>() + "\n");
    session.out.write("\n");
  }
  session.out.write("Total reclaimed space: " + human_size(static_cast<uint64_t>(number_of(answer, "SpaceReclaimed"))) + "\n");
  return 0;
}

constexpr std::string_view kContainers = "CONTAINER [CONTAINER...]";

}  // namespace

const Command kEngineRemove{.syntax = {.name = "rm", .arguments = kContainers, .summary = "Remove containers", .flags = kEngineRemoveFlags, .least_arguments = 1}, .run = remove_containers};
const Command kEngineStop{.syntax = {.name = "stop", .arguments = kContainers, .summary = "Stop containers", .flags = kEngineStopFlags, .least_arguments = 1}, .run = stop_containers};
const Command kEngineRestart{.syntax = {.name = "restart", .arguments = kContainers, .summary = "Stop and start containers", .flags = kEngineStopFlags, .least_arguments = 1}, .run = restart_containers};
const Command kEngineStart{.syntax = {.name = "start", .arguments = kContainers, .summary = "Start stopped containers", .flags = kEngineStartFlags, .least_arguments = 1}, .run = start_containers};
const Command kEngineKill{.syntax = {.name = "kill", .arguments = kContainers, .summary = "Send a signal to containers", .flags = kEngineKillFlags, .least_arguments = 1}, .run = kill_containers};
const Command kEnginePause{.syntax = {.name = "pause", .arguments = kContainers, .summary = "Freeze the processes of containers", .flags = {}, .least_arguments = 1}, .run = pause_containers};
const Command kEngineUnpause{.syntax = {.name = "unpause", .arguments = kContainers, .summary = "Thaw the processes of containers", .flags = {}, .least_arguments = 1}, .run = unpause_containers};
const Command kEngineRename{.syntax = {.name = "rename", .arguments = "CONTAINER NEW_NAME", .summary = "Give a container another name", .flags = {}, .least_arguments = 2, .most_arguments = 2}, .run = rename};
const Command kEngineUpdate{.syntax = {.name = "update", .arguments = kContainers, .summary = "Change limits and restart policy", .flags = kUpdateFlags, .least_arguments = 1}, .run = update};
const Command kEngineWait{.syntax = {.name = "wait", .arguments = kContainers, .summary = "Wait until containers stop, and print their exit codes", .flags = {}, .least_arguments = 1}, .run = wait_for_containers};
const Command kEngineContainerPrune{.syntax = {.name = "container prune", .arguments = "", .summary = "Remove all stopped containers", .flags = kContainerPruneFlags, .most_arguments = 0}, .run = prune_containers};

}  // namespace gantry::cli
