// up and create: build what must be built, send the project, draw what happens, follow the logs.
#include <algorithm>

#include "cli/commands/commands.h"
#include "cli/commands/up_options.h"
#include "cli/container_watch.h"
#include "cli/image_build.h"
#include "cli/image_pull.h"
#include "cli/operation.h"
#include "compose/options_json.h"
#include "compose/project_json.h"

namespace gantry::cli {

namespace {

constexpr Flag kUpFlags[] = {
    {.name = "detach", .letter = 'd', .help = "Run in the background"},
    {.name = "build", .help = "Build images even if they are there"},
    {.name = "no-build", .help = "Don't build images, even if they are missing"},
    {.name = "pull", .kind = FlagKind::text, .value_name = "POLICY", .help = "Pull images: always, missing, never"},
    {.name = "quiet-pull", .help = "Don't show the layers while pulling"},
    {.name = "quiet-build", .help = "Don't show the output of builds"},
    {.name = "scale", .kind = FlagKind::list, .value_name = "SERVICE=NUM", .help = "Number of containers of a service"},
    {.name = "force-recreate", .help = "Recreate containers even if nothing changed"},
    {.name = "no-recreate", .help = "Keep containers that are there, even if something changed"},
    {.name = "always-recreate-deps", .help = "Recreate dependencies, too"},
    {.name = "renew-anon-volumes", .letter = 'V', .help = "Recreate anonymous volumes instead of keeping their data"},
    {.name = "no-deps", .help = "Don't create or start dependencies"},
    {.name = "no-start", .help = "Create, but start nothing"},
    {.name = "remove-orphans", .help = "Remove containers of services that are not in the file"},
    {.name = "timeout",
     .letter = 't',
     .kind = FlagKind::number,
     .value_name = "SECONDS",
     .help = "Time for a container to stop before it is killed, when it is replaced"},
    {.name = "attach", .kind = FlagKind::list, .value_name = "SERVICE", .help = "Show the logs of this service only"},
    {.name = "no-attach",
     .kind = FlagKind::list,
     .value_name = "SERVICE",
     .help = "Don't show the logs of this service"},
    {.name = "attach-dependencies", .help = "Show the logs of dependencies, too"},
    {.name = "no-color", .help = "Logs without colours"},
    {.name = "no-log-prefix", .help = "Logs without the container's name"},
    {.name = "timestamps", .help = "Logs with times"},
    {.name = "abort-on-container-exit", .help = "Stop everything when any container exits"},
    {.name = "abort-on-container-failure", .help = "Stop everything when any container exits with a failure"},
    {.name = "exit-code-from",
     .kind = FlagKind::text,
     .value_name = "SERVICE",
     .help = "Return the exit code of this service; implies --abort-on-container-exit"},
    {.name = "wait", .help = "Wait until the services are running and healthy; implies --detach"},
    {.name = "wait-timeout", .kind = FlagKind::number, .value_name = "SECONDS", .help = "Longest time for --wait"},
    {.name = "yes", .letter = 'y', .help = "Say yes to every question"},
    {.name = "y", .help = "", .hidden = true},
    {.name = "watch", .letter = 'w', .help = "", .refused = "watching files is not built yet"},
    {.name = "menu", .help = "", .refused = "the key menu is not built yet"},
};

constexpr Flag kCreateFlags[] = {
    {.name = "build", .help = "Build images even if they are there"},
    {.name = "no-build", .help = "Don't build images, even if they are missing"},
    {.name = "pull", .kind = FlagKind::text, .value_name = "POLICY", .help = "Pull images: always, missing, never"},
    {.name = "quiet-pull", .help = "Don't show the layers while pulling"},
    {.name = "scale", .kind = FlagKind::list, .value_name = "SERVICE=NUM", .help = "Number of containers of a service"},
    {.name = "force-recreate", .help = "Recreate containers even if nothing changed"},
    {.name = "no-recreate", .help = "Keep containers that are there, even if something changed"},
    {.name = "remove-orphans", .help = "Remove containers of services that are not in the file"},
    {.name = "yes", .letter = 'y', .help = "Say yes to every question"},
    {.name = "y", .help = "", .hidden = true},
};

// What `up` would do, one step a line.
Result<int> print_plan(Session& session, const compose::Project& project, compose::UpOptions options) {
  options.dry_run = true;
  client::ApiClient* api = TRY(session.api());
  const auto body = operation_body(compose::to_json(project), compose::to_json(options));
  session.out.write(TRY(TRY(api->request("POST", project_path(project.name, "plan"), body)).ok_body()));
  return 0;
}

Result<bool> image_exists(client::ApiClient& api, const std::string& image) {
  const auto answer = TRY(api.request("GET", image_path(image, "json")));
  if (answer.status == 404) return false;
  TRY(client::Response(answer).ok_body());
  return true;
}

// The services whose image has to be made: all with a build section under --build, else those whose image is missing.
Result<std::vector<std::string>> services_to_build(Session& session, const compose::Project& project,
                                                   const UpCommand& command) {
  std::vector<std::string> names;
  client::ApiClient* api = TRY(session.api());
  for (const auto& [name, service] : project.services) {
    if (!service.build) continue;
    const bool forced = command.build || service.pull_policy == "build" || command.options.pull == "build";
    if (!forced && TRY(image_exists(*api, image_name(project, service)))) continue;
    if (command.no_build) {
      if (forced) continue;
      return not_found("service " + name + ": image " + gantry::quoted(image_name(project, service)) +
                       " is missing, and --no-build forbids to build it");
    }
    names.push_back(name);
  }
  return names;
}

Result<> build_missing(Session& session, const compose::Project& project, const UpCommand& command,
                       const ProgressStyle& style, ProgressView& view) {
  const auto names = TRY(services_to_build(session, project, command));
  if (names.empty()) return {};
  const BuildOptions options{.quiet = command.quiet_build, .environment = session.environment()};
  const auto builds = TRY(plan_builds(project, names, options));
  return run_builds(session, builds, view, style.mode, options);
}

// Builds, then one operation; its outcome is what is left to tell.
Result<compose::Outcome> bring_up(Session& session, const compose::Project& project, const UpCommand& command,
                                  const compose::UpOptions& options, ProgressStyle style) {
  style.show_layers = !command.quiet_pull;
  client::ApiClient* api = TRY(session.api());
  OperationView drawing(style, session);
  TRY(build_missing(session, project, command, style, drawing.view()));
  TRY(pull_private_images(session, project, command.options.pull, drawing.view()));
  const auto body = operation_body(compose::to_json(project), compose::to_json(options));
  auto outcome = follow_operation(*api, "PUT", project_path(project.name), body,
                                  [&](const auto& progress) { drawing.view().show(progress); });
  drawing.view().finish();
  return outcome;
}

WatchOptions watch_options(const Session& session, const compose::Project& project, const UpCommand& command,
                           std::set<std::string> services) {
  return {.project = project.name,
          .services = std::move(services),
          .timestamps = command.timestamps,
          .existing = {.tail = "0"},
          .style = {.prefix = !command.no_log_prefix, .colour = !command.no_color && session.colour_on(session.out)},
          .graceful_stop = compose::ServiceOptions{.services = command.options.services, .project = project},
          .abort_on_exit = command.abort_on_exit,
          .abort_on_failure = command.abort_on_failure,
          .exit_code_from = command.exit_code_from};
}

// Everything is created first, so that the logs can be followed from the first byte.
Result<int> up_attached(Session& session, const compose::Project& project, const UpCommand& command) {
  auto services = TRY(attached_services(command, project));
  compose::UpOptions create = command.options;
  create.no_start = true;
  ProgressStyle style = TRY(session.progress_style("up"));
  style.show_starts = false;
  const auto created = TRY(bring_up(session, project, command, create, style));
  if (!created.ok) return exit_status(session, created);

  compose::UpOptions start = command.options;
  start.recreate = compose::RecreatePolicy::diverged;  // has just been done
  start.recreate_dependencies = compose::RecreatePolicy::diverged;
  start.renew_anonymous_volumes = false;
  start.pull = start.pull == "always" ? "" : start.pull;
  ContainerWatch watch(session, watch_options(session, project, command, std::move(services)));
  TRY(watch.attach(true));
  TRY(watch.start_operation("PUT", project_path(project.name),
                            operation_body(compose::to_json(project), compose::to_json(start))));
  return watch.run();
}

Result<int> up_project(Session& session, UpCommand command) {
  const auto project = TRY(session.load_project(command.options.services, !command.options.no_dependencies));
  if (project.services.empty()) return invalid("no service selected");
  if (!command.exit_code_from.empty() && !project.services.contains(command.exit_code_from)) {
    return invalid("no such service: " + command.exit_code_from);
  }
  if (session.globals().dry_run) return print_plan(session, project, command.options);
  if (!command.detach && !command.options.no_start) return up_attached(session, project, command);
  const ProgressStyle style = TRY(session.progress_style(command.options.no_start ? "create" : "up"));
  return exit_status(session, TRY(bring_up(session, project, command, command.options, style)));
}

Result<int> up(Session& session, const Arguments& arguments) {
  return up_project(session, TRY(up_command(session, arguments)));
}

Result<int> create(Session& session, const Arguments& arguments) {
  UpCommand command = TRY(up_command(session, arguments));
  command.options.no_start = true;
  return up_project(session, std::move(command));
}

}  // namespace

const Command kUp{
    .syntax = {.name = "up", .arguments = "[SERVICE...]", .summary = "Create and start containers", .flags = kUpFlags},
    .run = up};

const Command kCreate{.syntax = {.name = "create",
                                 .arguments = "[SERVICE...]",
                                 .summary = "Create containers, but start nothing",
                                 .flags = kCreateFlags},
                      .run = create};

}  // namespace gantry::cli
