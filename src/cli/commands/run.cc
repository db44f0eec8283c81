// run: a command in a new container of a service.
#include "cli/attached_process.h"
#include "cli/commands/commands.h"
#include "cli/commands/up_options.h"
#include "cli/exit.h"
#include "cli/image_build.h"
#include "cli/operation.h"
#include "cli/providers.h"
#include "base/fd.h"
#include "compose/controller.h"
#include "compose/dotenv.h"
#include "compose/options_json.h"
#include "compose/project_json.h"
#include "compose/values.h"

namespace gantry::cli {

namespace {

constexpr Flag kServiceRunFlags[] = {
    {.name = "rm", .help = "Remove the container when it exits"},
    {.name = "detach", .letter = 'd', .help = "Run in the background and print the container's id"},
    {.name = "no-tty", .letter = 'T', .help = "Without a terminal (which is given if standard output is one)"},
    {.name = "no-TTY", .help = "", .hidden = true},
    {.name = "interactive", .letter = 'i', .help = "Send standard input (on if not given)"},
    {.name = "tty", .letter = 't', .help = "", .hidden = true},
    {.name = "env",
     .letter = 'e',
     .kind = FlagKind::list,
     .value_name = "KEY=VALUE",
     .help = "Set an environment variable"},
    {.name = "label", .letter = 'l', .kind = FlagKind::list, .value_name = "KEY=VALUE", .help = "Set a label"},
    {.name = "name", .kind = FlagKind::text, .value_name = "NAME", .help = "Name of the container"},
    {.name = "user", .letter = 'u', .kind = FlagKind::text, .value_name = "USER", .help = "Run as this user"},
    {.name = "workdir", .letter = 'w', .kind = FlagKind::text, .value_name = "DIR", .help = "Run in this directory"},
    {.name = "entrypoint",
     .kind = FlagKind::text,
     .value_name = "COMMAND",
     .help = "Instead of the image's entrypoint"},
    {.name = "cap-add", .kind = FlagKind::list, .value_name = "NAME", .help = "Add a capability"},
    {.name = "cap-drop", .kind = FlagKind::list, .value_name = "NAME", .help = "Drop a capability"},
    {.name = "no-deps", .help = "Don't start dependencies"},
    {.name = "volume",
     .letter = 'v',
     .kind = FlagKind::list,
     .value_name = "SOURCE:TARGET",
     .help = "Mount a directory or volume"},
    {.name = "publish", .letter = 'p', .kind = FlagKind::list, .value_name = "PORTS", .help = "Publish a port"},
    {.name = "service-ports", .letter = 'P', .help = "Publish the ports of the service"},
    {.name = "use-aliases", .help = "Answer to the service's names in its networks"},
    {.name = "build", .help = "Build the image first"},
    {.name = "quiet", .letter = 'q', .help = "Don't show progress"},
    {.name = "quiet-pull", .help = "Don't show the layers while pulling"},
    {.name = "quiet-build", .help = "Don't show the output of builds"},
    {.name = "pull", .kind = FlagKind::text, .value_name = "POLICY", .help = "Pull images: always, missing, never"},
    {.name = "env-from-file", .kind = FlagKind::list, .value_name = "FILE", .help = "Set the variables of a file"},
    {.name = "remove-orphans", .help = "Remove containers of services that are not in the file"},
};

Result<compose::RunOptions> run_options(const Session& session, const Arguments& arguments,
                                        const TerminalChoice& terminal) {
  const auto& words = arguments.positional();
  if (arguments.on("service-ports") && arguments.given("publish")) {
    return invalid("--service-ports and --publish are incompatible");
  }
  const std::string pull = TRY(pull_policy(arguments));
  compose::RunOptions options{.service = words[0],
                              .container_name = arguments.text("name"),
                              .labels = arguments.list("label"),
                              .volumes = arguments.list("volume"),
                              .publish = arguments.list("publish"),
                              .user = arguments.text("user"),
                              .working_dir = arguments.text("workdir"),
                              .tty = terminal.tty,
                              .stdin_open = terminal.interactive,
                              .auto_remove = arguments.on("rm"),
                              .service_ports = arguments.on("service-ports"),
                              .use_aliases = arguments.on("use-aliases"),
                              .no_dependencies = arguments.on("no-deps"),
                              .cap_add = arguments.list("cap-add"),
                              .cap_drop = arguments.list("cap-drop"),
                              .pull = pull,
                              .remove_orphans = arguments.on("remove-orphans"),
                              .ignore_orphans = session.environment_switch("COMPOSE_IGNORE_ORPHANS"),
                              .dry_run = session.globals().dry_run};
  for (const std::string& label : options.labels) {
    if (label.find('=') == std::string::npos) return invalid("label must be set as KEY=VALUE");
  }
  for (const std::string& file : arguments.list("env-from-file")) {
    const compose::Environment own(session.environment().begin(), session.environment().end());
    const auto text = TRY(read_file(file).within("--env-from-file"));
    for (const auto& [name, value, line] : TRY(compose::parse_dotenv(text, compose::lookup_in(own)).within(file))) {
      options.environment.push_back(name + "=" + value);
    }
  }
  for (const std::string& variable : arguments.list("env")) {
    if (variable.find('=') != std::string::npos) {
      options.environment.push_back(variable);
    } else if (session.environment().contains(variable)) {
      options.environment.push_back(variable + "=" + session.variable(variable));
    }
  }
  if (words.size() > 1) options.command = std::vector(words.begin() + 1, words.end());
  if (arguments.given("entrypoint")) {
    options.entrypoint = TRY(compose::split_command(arguments.text("entrypoint")).within("--entrypoint"));
  }
  return options;
}

Result<TerminalChoice> run_terminal(const Session& session, const Arguments& arguments) {
  const bool no_tty = arguments.on("no-tty") || arguments.on("no-TTY");
  if (no_tty && arguments.on("tty")) return invalid("--tty and --no-tty can't be used together");
  TerminalWish wish{.interactive = !arguments.given("interactive") || arguments.on("interactive")};
  if (arguments.given("tty")) wish.tty = arguments.on("tty");
  if (no_tty) wish.tty = false;
  if (arguments.on("detach")) wish = {.tty = wish.tty.value_or(false), .interactive = false};
  return choose_terminal(session, wish);
}

Result<> build_target(Session& session, const compose::Project& project, const Arguments& arguments,
                      const ProgressStyle& style, ProgressView& view) {
  client::ApiClient* api = TRY(session.api());
  std::vector<std::string> names;
  for (const auto& [name, service] : project.services) {
    if (!service.build) continue;
    const bool forced = arguments.on("build") && name == arguments.positional()[0];
    const auto answer = TRY(api->request("GET", image_path(image_name(project, service), "json")));
    if (forced || answer.status == 404) names.push_back(name);
  }
  if (names.empty()) return {};
  const BuildOptions options{.quiet = arguments.on("quiet-build"), .environment = session.environment()};
  return run_builds(session, TRY(plan_builds(project, names, options)), view, style.mode, options);
}

// Dependencies and the container, not started. → its id
Result<std::string> make_container(Session& session, const compose::Project& project, const Arguments& arguments,
                                   const compose::RunOptions& options) {
  ProgressStyle style = TRY(session.progress_style("run"));
  if (arguments.on("quiet")) style.mode = ProgressMode::quiet;
  style.show_layers = !arguments.on("quiet-pull");
  client::ApiClient* api = TRY(session.api());
  OperationView drawing(style, session);
  TRY(build_target(session, project, arguments, style, drawing.view()));
  compose::Progress last;
  const auto outcome = TRY(follow_operation(*api, "POST", project_path(project.name, "run"),
                                            operation_body(compose::to_json(project), compose::to_json(options)),
                                            [&](const compose::Progress& progress) {
                                              last = progress;
                                              compose::Progress shown = progress;
                                              if (progress.text == "Created" && progress.details.size() == 64) {
                                                shown.details.clear();  // the id is for us
                                              }
                                              drawing.view().show(shown);
                                            }));
  drawing.view().finish();
  if (!outcome.ok) return internal_error(outcome.message);
  if (options.dry_run) return std::string();
  if (last.details.empty()) return internal_error("the daemon did not tell which container it made");
  return last.details;
}

Result<int> run(Session& session, const Arguments& arguments) {
  const auto terminal = TRY(run_terminal(session, arguments));
  const auto options = TRY(run_options(session, arguments, terminal));
  auto project = TRY(session.load_project({options.service}, !options.no_dependencies));
  if (!options.no_dependencies && !options.dry_run) {
    const auto providers = TRY(find_providers(session, project, {options.service}, true));
    TRY(provide(session, providers, project, TRY(session.progress_style("run"))));
  }
  const std::string container = TRY(make_container(session, project, arguments, options));
  if (container.empty()) return 0;
  if (!arguments.on("detach")) {
    return start_attached(session, container, terminal,
                          {.at_end = options.auto_remove ? AtEnd::removed : AtEnd::stays});
  }
  TRY(post(*TRY(session.api()), container_path(container, "start")));
  session.out.write(container + "\n");
  return 0;
}

}  // namespace

const Command kRun{.syntax = {.name = "run",
                              .arguments = "SERVICE [COMMAND] [ARGS...]",
                              .summary = "Run a command in a new container of a service",
                              .flags = kServiceRunFlags,
                              .least_arguments = 1,
                              .interspersed = false},
                   .run = run};

}  // namespace gantry::cli
