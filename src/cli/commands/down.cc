// down: stop and remove what belongs to the project.
#include <algorithm>

#include "cli/commands/commands.h"
#include "cli/operation.h"
#include "cli/providers.h"
#include "compose/controller.h"
#include "compose/options_json.h"

namespace gantry::cli {

namespace {

constexpr Flag kDownFlags[] = {
    {.name = "volumes", .letter = 'v', .help = "Remove the project's named volumes and anonymous volumes, too"},
    {.name = "volume", .help = "", .hidden = true},
    {.name = "rmi", .kind = FlagKind::text, .value_name = "WHICH", .help = "Remove images: local (built ones) or all"},
    {.name = "remove-orphans", .help = "Remove containers of services that are not in the file"},
    {.name = "timeout",
     .letter = 't',
     .kind = FlagKind::number,
     .value_name = "SECONDS",
     .help = "Time for a container to stop before it is killed"},
};

Result<int> down(Session& session, const Arguments& arguments) {
  const std::string rmi = arguments.text("rmi");
  if (arguments.given("rmi") && rmi != "local" && rmi != "all") {
    return invalid("invalid value for --rmi: " + gantry::quoted(rmi));
  }
  const auto timeout = TRY(seconds_of(arguments, "timeout"));
  compose::DownOptions options{
      .services = arguments.positional(),
      .volumes = arguments.on("volumes") || arguments.on("volume"),
      .remove_orphans = arguments.given("remove-orphans") ? arguments.on("remove-orphans")
                                                          : session.environment_switch("COMPOSE_REMOVE_ORPHANS"),
      .remove_images = rmi,
      .timeout = timeout,
      .dry_run = session.globals().dry_run};
  auto target = TRY(session.find_project(arguments.positional()));
  std::vector<Provider> providers;
  if (target.project && !options.dry_run) {
    providers = TRY(find_providers(session, *target.project, options.services, false));
  }
  options.project = std::move(target.project);
  std::erase_if(options.services, [&](const std::string& name) {
    return std::any_of(providers.begin(), providers.end(), [&](const Provider& one) { return one.service == name; });
  });
  const ProgressStyle style = TRY(session.progress_style("down"));
  const bool only_providers = options.services.empty() && !arguments.positional().empty();
  if (!only_providers) {
    const int status = TRY(run_operation(session, style, "DELETE", project_path(target.name),
                                         operation_body("", compose::to_json(options))));
    if (status != 0) return status;
  }
  TRY(withdraw(session, providers, target.name, "down", style));
  return 0;
}

}  // namespace

const Command kDown{.syntax = {.name = "down",
                               .arguments = "[SERVICE...]",
                               .summary = "Stop and remove containers and networks",
                               .flags = kDownFlags},
                    .run = down};

}  // namespace gantry::cli
