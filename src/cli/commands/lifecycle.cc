// start, stop, restart, kill, rm, pause and unpause of a project's services.
#include <algorithm>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/operation.h"
#include "cli/providers.h"
#include "cli/targets.h"
#include "compose/controller.h"
#include "compose/options_json.h"

namespace gantry::cli {

namespace {

constexpr Flag kStopFlags[] = {
    {.name = "timeout",
     .letter = 't',
     .kind = FlagKind::number,
     .value_name = "SECONDS",
     .help = "Time for a container to stop before it is killed"},
};
constexpr Flag kStartFlags[] = {
    {.name = "wait", .help = "Wait until the services are running and healthy"},
    {.name = "wait-timeout", .kind = FlagKind::number, .value_name = "SECONDS", .help = "Longest time for --wait"},
};
constexpr Flag kRestartFlags[] = {
    {.name = "timeout",
     .letter = 't',
     .kind = FlagKind::number,
     .value_name = "SECONDS",
     .help = "Time for a container to stop before it is killed"},
    {.name = "no-deps", .help = "Don't restart the services that depend on these"},
};
constexpr Flag kKillFlags[] = {
    {.name = "signal",
     .letter = 's',
     .kind = FlagKind::text,
     .value_name = "SIGNAL",
     .help = "Signal to send (SIGKILL if not given)"},
    {.name = "remove-orphans", .help = "Signal containers of services that are not in the file, too"},
};
constexpr Flag kRemoveFlags[] = {
    {.name = "force", .letter = 'f', .help = "Don't ask"},
    {.name = "stop", .letter = 's', .help = "Stop the containers first"},
    {.name = "volumes", .letter = 'v', .help = "Remove anonymous volumes, too"},
    {.name = "all", .letter = 'a', .help = "", .hidden = true},
};

// One operation on the project's services. `options` already holds what the flags say.
Result<int> operate(Session& session, const Arguments& arguments, std::string_view action,
                    compose::ServiceOptions options) {
  auto target = TRY(session.find_project(arguments.positional()));
  options.services = arguments.positional();
  options.dry_run = session.globals().dry_run;
  options.project = std::move(target.project);
  return run_operation(session, TRY(session.progress_style(action)), "POST", project_path(target.name, action),
                       operation_body("", compose::to_json(options)));
}

// Providers that say they can be stopped are told after the containers.
Result<int> stop(Session& session, const Arguments& arguments) {
  const auto timeout = TRY(seconds_of(arguments, "timeout"));
  const int status = TRY(operate(session, arguments, "stop", {.timeout = timeout}));
  const auto target = TRY(session.find_project());
  if (status != 0 || !target.project || session.globals().dry_run) return status;
  const auto providers = TRY(find_providers(session, *target.project, arguments.positional(), false));
  TRY(withdraw(session, providers, target.name, "stop", TRY(session.progress_style("stop"))));
  return 0;
}

Result<int> start(Session& session, const Arguments& arguments) {
  const auto timeout = TRY(seconds_of(arguments, "wait-timeout"));
  return operate(session, arguments, "start", {.wait = arguments.on("wait"), .wait_timeout = timeout});
}

Result<int> restart(Session& session, const Arguments& arguments) {
  const auto timeout = TRY(seconds_of(arguments, "timeout"));
  return operate(session, arguments, "restart", {.timeout = timeout, .no_dependencies = arguments.on("no-deps")});
}

Result<int> kill(Session& session, const Arguments& arguments) {
  const auto target = TRY(session.find_project(arguments.positional()));
  const auto rows =
      TRY(find_containers(session, target.name, arguments.positional(), {"running", "restarting", "paused"}));
  if (rows.empty()) {
    session.status("No container to kill\n");
    return 0;
  }
  const bool orphans = arguments.given("remove-orphans") ? arguments.on("remove-orphans")
                                                         : session.environment_switch("COMPOSE_REMOVE_ORPHANS");
  return operate(session, arguments, "kill", {.signal = arguments.text("signal"), .orphans = orphans});
}

Result<int> remove(Session& session, const Arguments& arguments) {
  const auto target = TRY(session.find_project(arguments.positional()));
  std::vector<std::string> states = {"exited", "created", "dead"};
  if (arguments.on("stop")) states.insert(states.end(), {"running", "paused", "restarting"});
  auto rows = TRY(find_containers(session, target.name, arguments.positional(), states));
  std::erase_if(rows, [](const ContainerRow& row) { return row.one_off(); });
  if (rows.empty()) {
    session.status("No stopped containers\n");
    return 0;
  }
  std::vector<std::string> names;
  for (const ContainerRow& row : rows) names.push_back(row.name);
  session.out.write("Going to remove " + join(names, ", ") + "\n");
  const bool asks = !arguments.on("force") && !session.globals().dry_run;
  if (asks && !session.confirm("Are you sure?")) return 0;
  return operate(session, arguments, "remove",
                 {.anonymous_volumes = arguments.on("volumes"), .stop_first = arguments.on("stop")});
}

// The engine pauses one container at a time.
Result<int> pause_each(Session& session, const Arguments& arguments, const std::string& action,
                       const std::vector<std::string>& states, const char* done) {
  const auto target = TRY(session.find_project(arguments.positional()));
  const auto rows = TRY(find_containers(session, target.name, arguments.positional(), states));
  client::ApiClient* api = TRY(session.api());
  OperationView drawing(TRY(session.progress_style(action)), session);
  for (const ContainerRow& row : rows) {
    if (!session.globals().dry_run) TRY(post(*api, container_path(row.id, action)));
    drawing.view().show(container_progress(row, compose::Progress::Status::done, done));
  }
  return 0;
}

Result<int> pause(Session& session, const Arguments& arguments) {
  return pause_each(session, arguments, "pause", {"running", "paused"}, "Paused");
}

Result<int> unpause(Session& session, const Arguments& arguments) {
  return pause_each(session, arguments, "unpause", {"paused"}, "Unpaused");
}

}  // namespace

const Command kStop{
    .syntax = {.name = "stop", .arguments = "[SERVICE...]", .summary = "Stop services", .flags = kStopFlags},
    .run = stop};
const Command kStart{
    .syntax = {.name = "start", .arguments = "[SERVICE...]", .summary = "Start stopped services", .flags = kStartFlags},
    .run = start};
const Command kRestart{
    .syntax = {.name = "restart", .arguments = "[SERVICE...]", .summary = "Restart services", .flags = kRestartFlags},
    .run = restart};
const Command kKill{.syntax = {.name = "kill",
                               .arguments = "[SERVICE...]",
                               .summary = "Send a signal to running containers",
                               .flags = kKillFlags},
                    .run = kill};
const Command kRemove{.syntax = {.name = "rm",
                                 .arguments = "[SERVICE...]",
                                 .summary = "Remove stopped service containers",
                                 .flags = kRemoveFlags},
                      .run = remove};
const Command kPause{
    .syntax = {.name = "pause", .arguments = "[SERVICE...]", .summary = "Freeze running services", .flags = {}},
    .run = pause};
const Command kUnpause{
    .syntax = {.name = "unpause", .arguments = "[SERVICE...]", .summary = "Let frozen services go on", .flags = {}},
    .run = unpause};

}  // namespace gantry::cli
