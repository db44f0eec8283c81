// watch: bring the services up and keep their containers in step with the files that they are made from.
#include "cli/commands/commands.h"
#include "cli/commands/up_options.h"
#include "cli/exit.h"
#include "cli/signals.h"
#include "cli/watch_runner.h"

namespace gantry::cli {

namespace {

constexpr Flag kWatchFlags[] = {
    {.name = "no-up", .help = "Don't build and start the services first"},
    {.name = "prune", .help = "Remove images that a rebuild leaves without a name (on if not given)"},
    {.name = "quiet", .help = "Don't show the output of builds"},
};

Result<int> watch(Session& session, const Arguments& arguments) {
  const auto& named = arguments.positional();
  const auto project = TRY(session.load_project(named));
  std::vector<std::string> warnings;
  auto rules = TRY(watch_rules(project, named, warnings));
  for (const std::string& warning : warnings) session.warn(warning);
  if (session.globals().dry_run) return 0;
  const Fd lock = TRY(lock_watch(session, project.name));
  if (!arguments.on("no-up")) {
    UpCommand command{.detach = true, .build = true, .quiet_build = arguments.on("quiet")};
    command.options.services = named;
    const int status = TRY(up_project(session, std::move(command)));
    if (status != 0) return status;
  }
  const bool prune = !arguments.given("prune") || arguments.on("prune");
  SignalPipe stop({SIGINT, SIGTERM, SIGHUP});
  auto runner = TRY(WatchRunner::create(session, project, std::move(rules),
                                        {.prune = prune, .quiet = arguments.on("quiet"), .say = [&](const auto& line) {
                                           session.out.write(line + "\n");
                                         }}));
  TRY(runner->run(stop.fd()));
  return kExitInterrupted;
}

}  // namespace

const Command kWatch{.syntax = {.name = "watch",
                                .arguments = "[SERVICE...]",
                                .summary = "Keep containers in step with the files that they are made from",
                                .flags = kWatchFlags},
                     .run = watch};

}  // namespace gantry::cli
