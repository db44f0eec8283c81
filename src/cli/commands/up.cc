// up and create: build what must be built, send the project, draw what happens, follow the logs.
#include <unistd.h>

#include <algorithm>

#include "cli/api_extra.h"
#include "cli/commands/commands.h"
#include "cli/commands/up_options.h"
#include "cli/container_watch.h"
#include "cli/image_build.h"
#include "cli/image_pull.h"
#include "cli/operation.h"
#include "cli/providers.h"
#include "cli/refresh_window.h"
#include "cli/watch_rules.h"
#include "compose/config_hash.h"
#include "compose/labels.h"
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
    {.name = "lease",
     .kind = FlagKind::text,
     .value_name = "PID|DURATION",
     .help = "Take the project down when this process ends or this time is over; none ends a lease"},
    {.name = "timings", .help = "Show how long each step took, when everything is up"},
    {.name = "yes", .letter = 'y', .help = "Say yes to every question"},
    {.name = "y", .help = "", .hidden = true},
    {.name = "watch", .letter = 'w', .help = "Keep containers in step with the files that they are made from"},
    {.name = "menu", .help = "Show the keys while attached (on if not given)"},
};

constexpr Flag kScaleFlags[] = {
    {.name = "no-deps", .help = "Don't touch dependencies"},
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

Result<bool> image_exists(client::ApiClient& api, const std::string& image) {
  const auto answer = TRY(api.request("GET", image_path(image, "json")));
  if (answer.status == 404) return false;
  TRY(client::Response(answer).ok_body());
  return true;
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
                                  compose::UpOptions options, ProgressStyle style) {
  style.show_layers = !command.quiet_pull;
  client::ApiClient* api = TRY(session.api());
  OperationView drawing(style, session);
  if (options.dry_run) options.to_build = TRY(services_to_build(session, project, command));
  TRY(build_missing(session, project, command, style, drawing.view()));
  if (!options.dry_run) TRY(pull_private_images(session, project, options.pull, drawing.view()));
  const auto body = operation_body(compose::to_json(project), compose::to_json(options));
  auto outcome = follow_operation(*api, "PUT", project_path(project.name), body, drawing.view());
  drawing.view().finish();
  return outcome;
}

WatchOptions watch_options(const Session& session, const compose::Project& project, const UpCommand& command,
                           std::set<std::string> services) {
  return {.project = project.name,
          .services = std::move(services),
          .monitored = {command.options.services.begin(), command.options.services.end()},
          .timestamps = command.timestamps,
          .existing = {.tail = "0"},
          .style = {.prefix = !command.no_log_prefix, .colour = !command.no_color && session.colour_on(session.out)},
          .graceful_stop = compose::ServiceOptions{.services = command.options.services, .project = project},
          .abort_on_exit = command.abort_on_exit,
          .abort_on_failure = command.abort_on_failure,
          .exit_code_from = command.exit_code_from,
          .menu = command.menu && session.out.is_terminal() && ::isatty(session.in) == 1 &&
                  session.globals().progress != "plain",
          .watch = command.watch,
          .watched = &project,
          .watched_services = command.options.services};
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
  // What was forced has just been done.
  for (compose::RecreatePolicy* policy : {&start.recreate, &start.recreate_dependencies}) {
    if (*policy == compose::RecreatePolicy::force) *policy = compose::RecreatePolicy::diverged;
  }
  start.renew_anonymous_volumes = false;
  start.pull = start.pull == "always" ? "" : start.pull;
  ContainerWatch watch(session, watch_options(session, project, command, std::move(services)));
  TRY(watch.attach(true));
  TRY(watch.start_operation("PUT", project_path(project.name),
                            operation_body(compose::to_json(project), compose::to_json(start))));
  return watch.run();
}

// Volumes whose definition is not what they were made from: the user decides about their data.
Result<std::vector<std::string>> volumes_to_recreate(Session& session, const compose::Project& project, bool yes) {
  std::vector<std::string> names;
  if (project.volumes.empty()) return names;
  const std::string filters =
      filters_query({{"label", {std::string(compose::label::kProject) + "=" + project.name}}});
  client::ApiClient* api = TRY(session.api());
  const auto found = TRY(parse_volume_details(TRY(TRY(api->request("GET", "/volumes?filters=" + filters)).ok_body())));
  for (const auto& [key, volume] : project.volumes) {
    for (const VolumeDetails& existing : found) {
      const auto hash = existing.labels.find(compose::label::kConfigHash);
      if (existing.name != volume.name || volume.external || hash == existing.labels.end()) continue;
      if (hash->second == compose::config_hash(volume)) continue;
      const bool asks = ::isatty(session.in) == 1 && !yes && !session.globals().dry_run;
      if (yes || (asks && session.confirm("Volume " + gantry::quoted(volume.name) +
                                          " exists but doesn't match configuration in compose file. Recreate (data will "
                                          "be lost)?"))) {
        names.push_back(volume.name);
      }
    }
  }
  return names;
}

}  // namespace

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

Result<> set_lease(Session& session, const std::string& project, const LeaseWish& lease) {
  client::ApiClient* api = TRY(session.api());
  TRY(TRY(api->request("PUT", project_path(project, "lease"), lease_body(lease))).ok_body());
  return {};
}

Result<int> bring_up_and_wait(Session& session, const compose::Project& project, const UpCommand& command) {
  ProgressStyle style = TRY(session.progress_style("up"));
  if (command.quiet) style.mode = ProgressMode::quiet;
  return exit_status(session, TRY(bring_up(session, project, command, command.options, style)));
}

namespace {

// Providers run before the containers that get their variables, and after those that they depend on themselves.
Result<> provide_all(Session& session, const std::vector<Provider>& providers, compose::Project& project,
                     const UpCommand& command) {
  if (providers.empty()) return {};
  if (session.globals().dry_run) {
    session.warn("providers are not run in dry-run mode: what depends on them may be shown as changed");
    return {};
  }
  const ProgressStyle style = TRY(session.progress_style("up"));
  for (const Provider& provider : providers) {
    compose::UpOptions needed = command.options;
    needed.services.clear();
    for (const std::string& name : provider.needs) {
      if (project.services.contains(name)) needed.services.push_back(name);
    }
    if (!needed.services.empty() && !command.options.no_dependencies) {
      const auto outcome = TRY(bring_up(session, project, command, needed, style));
      if (!outcome.ok) return internal_error(outcome.message);
    }
    TRY(provide(session, {provider}, project, style));
  }
  return {};
}

}  // namespace

Result<int> up_project(Session& session, UpCommand command) {
  auto project = TRY(session.load_project(command.options.services, !command.options.no_dependencies));
  const auto providers =
      TRY(find_providers(session, project, command.options.services, !command.options.no_dependencies));
  if (project.services.empty() && providers.empty()) return invalid("no service selected");
  if (!command.exit_code_from.empty() && !project.services.contains(command.exit_code_from)) {
    return invalid("no such service: " + command.exit_code_from);
  }
  const bool attached = !command.detach && !command.options.no_start;
  if (command.watch && !has_watch_rules(project)) {
    return invalid("none of the selected services is configured for watch, consider setting a 'develop' section");
  }
  TRY(provide_all(session, providers, project, command));
  std::erase_if(command.options.services, [&](const std::string& name) {
    return std::any_of(providers.begin(), providers.end(), [&](const Provider& one) { return one.service == name; });
  });
  if (project.services.empty()) return 0;  // nothing but providers was asked for
  TRY(settle_refresh_windows(session, project));
  if (command.lease && !session.globals().dry_run) TRY(set_lease(session, project.name, *command.lease));
  command.options.recreate_volumes = TRY(volumes_to_recreate(session, project, command.yes));
  if (attached && !session.globals().dry_run) return up_attached(session, project, command);
  const ProgressStyle style = TRY(session.progress_style(command.options.no_start ? "create" : "up"));
  const int status = exit_status(session, TRY(bring_up(session, project, command, command.options, style)));
  if (command.timings && status == 0 && !session.globals().dry_run) {
    const auto text = timings_of(session, project.name, "text");
    session.out.write(text.ok() ? *text : "Nothing had to be done.\n");
  }
  if (attached && status == 0) {
    session.status("end of 'compose up' output, interactive run is not supported in dry-run mode\n");
  }
  return status;
}

namespace {

Result<int> up(Session& session, const Arguments& arguments) {
  return up_project(session, TRY(up_command(session, arguments)));
}

Result<int> create(Session& session, const Arguments& arguments) {
  UpCommand command = TRY(up_command(session, arguments));
  command.options.no_start = true;
  return up_project(session, std::move(command));
}

Result<int> scale(Session& session, const Arguments& arguments) {
  UpCommand command{.detach = true};
  command.options.scale = TRY(scale_arguments(arguments.positional()));
  for (const auto& [service, number] : command.options.scale) command.options.services.push_back(service);
  command.options.no_dependencies = arguments.on("no-deps");
  command.options.ignore_orphans = session.environment_switch("COMPOSE_IGNORE_ORPHANS");
  command.options.dry_run = session.globals().dry_run;
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

const Command kScale{.syntax = {.name = "scale",
                                .arguments = "SERVICE=NUM...",
                                .summary = "Change the number of containers of services",
                                .flags = kScaleFlags,
                                .least_arguments = 1},
                     .run = scale};

}  // namespace gantry::cli
