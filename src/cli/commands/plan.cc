// plan: what `up` would change, resource by resource, and why.
#include "cli/commands/commands.h"
#include "cli/commands/up_options.h"
#include "cli/operation.h"
#include "cli/refresh_window.h"
#include "cli/style.h"
#include "compose/options_json.h"
#include "compose/plan_changes.h"
#include "compose/project_json.h"

namespace gantry::cli {

namespace {

constexpr int kExitChanges = 2;

constexpr Flag kPlanFlags[] = {
    {.name = "exit-code", .help = "Exit with 2 when there is something to do"},
    {.name = "format", .kind = FlagKind::text, .value_name = "FORMAT", .help = "text, steps or json"},
    {.name = "build", .help = "As if all images were built anew"},
    {.name = "force-recreate", .help = "As if everything changed"},
    {.name = "no-recreate", .help = "As if nothing changed"},
    {.name = "always-recreate-deps", .help = "Recreate dependencies, too"},
    {.name = "renew-anon-volumes", .letter = 'V', .help = "Recreate anonymous volumes"},
    {.name = "no-deps", .help = "Without dependencies"},
    {.name = "no-start", .help = "Without starting anything"},
    {.name = "remove-orphans", .help = "Remove containers of services that are not in the file"},
    {.name = "scale", .kind = FlagKind::list, .value_name = "SERVICE=NUM", .help = "Number of containers of a service"},
    {.name = "pull", .kind = FlagKind::text, .value_name = "POLICY", .help = "Pull images: always, missing, never"},
};

Colour colour_of(compose::Change::Kind kind) {
  using Kind = compose::Change::Kind;
  switch (kind) {
    case Kind::pull:
    case Kind::create:
    case Kind::start: return Colour::green;
    case Kind::recreate:
    case Kind::restart:
    case Kind::rename: return Colour::yellow;
    case Kind::stop:
    case Kind::remove: return Colour::red;
  }
  return Colour::none;
}

std::string text_of(const compose::PlanReport& report, const std::vector<std::string>& builds, bool colour) {
  std::string text;
  const auto paint = [&](std::string_view line, Colour wanted) {
    return coloured(line, colour ? wanted : Colour::none) + "\n";
  };
  for (const std::string& service : builds) text += paint("+ build image of " + service, Colour::green);
  for (const compose::Change& change : report.changes) {
    text += paint(compose::change_line(change), colour_of(change.kind));
  }
  if (text.empty()) return "Nothing to do.\n";
  const std::string summary = compose::summary_of(report.changes);
  return text + (summary.empty() ? "" : "\nPlan: " + summary + ".\n");
}

Result<int> plan(Session& session, const Arguments& arguments) {
  const std::string format = arguments.text("format", "text");
  if (format != "text" && format != "json" && format != "steps") {
    return invalid("unsupported format " + gantry::quoted(format) + ": give text, steps or json");
  }
  UpCommand command = TRY(up_command(session, arguments));
  command.options.dry_run = true;
  auto project = TRY(session.load_project(command.options.services, !command.options.no_dependencies));
  TRY(settle_refresh_windows(session, project));
  command.options.to_build = TRY(services_to_build(session, project, command));
  const auto body = operation_body(compose::to_json(project), compose::to_json(command.options));
  client::ApiClient* api = TRY(session.api());
  const std::string json = TRY(TRY(api->request("POST", project_path(project.name, "plan"), body)).ok_body());
  const compose::PlanReport report = TRY(compose::plan_report_from_json(json));
  for (const std::string& warning : report.warnings) session.warn(warning);
  if (format == "json") {
    session.out.write(json);
  } else if (format == "steps") {
    session.out.write(report.steps);
  } else {
    session.out.write(text_of(report, command.options.to_build, session.colour_on(session.out)));
  }
  const bool changes = !report.changes.empty() || !command.options.to_build.empty();
  return arguments.on("exit-code") && changes ? kExitChanges : 0;
}

}  // namespace

const Command kPlan{.syntax = {.name = "plan",
                               .arguments = "[SERVICE...]",
                               .summary = "Print what `up` would change, and why",
                               .flags = kPlanFlags},
                    .run = plan};

}  // namespace gantry::cli
