// attach: the terminal tied to the program of a running container.
#include <unistd.h>

#include "cli/attached_process.h"
#include "cli/commands/commands.h"
#include "cli/targets.h"

namespace gantry::cli {

namespace {

constexpr Flag kAttachFlags[] = {
    {.name = "detach-keys",
     .kind = FlagKind::text,
     .value_name = "KEYS",
     .help = "Keys that leave the container running (ctrl-p,ctrl-q if not given)"},
    {.name = "index", .kind = FlagKind::number, .value_name = "N", .help = "The N-th container of the service"},
    {.name = "no-stdin", .help = "Don't send standard input"},
    {.name = "sig-proxy", .help = "Send signals to the program (on if not given)"},
};

Result<int> attach(Session& session, const Arguments& arguments) {
  const AttachOptions options{.detach_keys = arguments.text("detach-keys"),
                              .signals = !arguments.given("sig-proxy") || arguments.on("sig-proxy")};
  const ContainerRow container =
      TRY(find_container(session, arguments.positional()[0], arguments.number("index"), Search::running));
  if (session.globals().dry_run) return 0;
  client::ApiClient* api = TRY(session.api());
  const auto details = TRY(parse_container(TRY(TRY(api->request("GET", container_path(container.id, "json"))).ok_body())));
  const TerminalChoice terminal{.tty = details.tty, .interactive = !arguments.on("no-stdin")};
  if (terminal.tty && terminal.interactive && ::isatty(session.in) != 1) {
    return invalid("cannot attach stdin to a TTY-enabled container because stdin is not a terminal");
  }
  return attach_to(session, container.id, terminal, options);
}

}  // namespace

const Command kAttach{.syntax = {.name = "attach",
                                 .arguments = "SERVICE",
                                 .summary = "Tie the terminal to a running container",
                                 .flags = kAttachFlags,
                                 .least_arguments = 1,
                                 .most_arguments = 1},
                      .run = attach};

}  // namespace gantry::cli
