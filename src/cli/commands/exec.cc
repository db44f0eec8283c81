// exec: a command in a running container of a service.
#include "base/strings.h"
#include "cli/attached_process.h"
#include "cli/commands/commands.h"
#include "cli/targets.h"

namespace gantry::cli {

namespace {

constexpr Flag kExecFlags[] = {
    {.name = "detach", .letter = 'd', .help = "Run in the background"},
    {.name = "env",
     .letter = 'e',
     .kind = FlagKind::list,
     .value_name = "KEY=VALUE",
     .help = "Set an environment variable"},
    {.name = "index", .kind = FlagKind::number, .value_name = "N", .help = "The N-th container of the service"},
    {.name = "privileged", .help = "Give the command all capabilities"},
    {.name = "no-tty", .letter = 'T', .help = "Without a terminal (which is given if standard output is one)"},
    {.name = "no-TTY", .help = "", .hidden = true},
    {.name = "user", .letter = 'u', .kind = FlagKind::text, .value_name = "USER", .help = "Run as this user"},
    {.name = "workdir", .letter = 'w', .kind = FlagKind::text, .value_name = "DIR", .help = "Run in this directory"},
    {.name = "interactive", .letter = 'i', .help = "", .hidden = true},
    {.name = "tty", .letter = 't', .help = "", .hidden = true},
};

Result<int> exec(Session& session, const Arguments& arguments) {
  const auto& words = arguments.positional();
  const bool detach = arguments.on("detach");
  TerminalWish wish{.interactive = !arguments.given("interactive") || arguments.on("interactive")};
  if (arguments.on("no-tty") || arguments.on("no-TTY") || detach) wish.tty = false;
  if (arguments.given("tty") && !detach) wish.tty = arguments.on("tty");
  const auto terminal = TRY(choose_terminal(session, wish));
  ExecRequest request{.command = {words.begin() + 1, words.end()},
                      .user = arguments.text("user"),
                      .working_dir = arguments.text("workdir"),
                      .tty = terminal.tty,
                      .attach_stdin = terminal.interactive,
                      .privileged = arguments.on("privileged")};
  for (const std::string& variable : arguments.list("env")) {
    if (variable.find('=') != std::string::npos) {
      request.environment.push_back(variable);
    } else if (session.environment().contains(variable)) {  // "K" alone: the caller's value
      request.environment.push_back(variable + "=" + session.variable(variable));
    }
  }
  const auto container = TRY(find_container(session, words[0], arguments.number("index"), Search::running));
  if (session.globals().dry_run) {
    session.err.write("exec in " + container.name + ": " + join(request.command, " ") + "\n");
    return 0;
  }
  return run_exec(session, container.id, std::move(request), detach);
}

}  // namespace

const Command kExec{.syntax = {.name = "exec",
                               .arguments = "SERVICE COMMAND [ARGS...]",
                               .summary = "Run a command in a running container",
                               .flags = kExecFlags,
                               .least_arguments = 2,
                               .interspersed = false},
                    .run = exec};

}  // namespace gantry::cli
