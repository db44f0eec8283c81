// What `up` and `create` were asked for, checked. Pure.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/api_extra.h"
#include "cli/commands/commands.h"
#include "compose/controller.h"

namespace gantry::cli {

struct UpCommand {
  compose::UpOptions options;
  bool detach = false;
  bool build = false;
  bool no_build = false;
  bool quiet_pull = false;
  bool quiet_build = false;
  bool no_color = false;
  bool no_log_prefix = false;
  bool timestamps = false;
  bool abort_on_exit = false;
  bool abort_on_failure = false;
  bool attach_dependencies = false;
  bool watch = false;
  bool menu = true;
  bool timings = false;
  bool quiet = false;  // no progress at all
  bool yes = false;  // to every question
  std::optional<LeaseWish> lease;  // --lease; zeros end the one that is held
  std::string exit_code_from;
  std::vector<std::string> attach;
  std::vector<std::string> no_attach;
};

// Errors: options that contradict each other, in Compose's words.
Result<UpCommand> up_command(const Session& session, const Arguments& arguments);

// The whole of up, create and scale. → exit status (up.cc)
Result<int> up_project(Session& session, UpCommand command);

// A project as it is, in the background. → exit status (up.cc)
Result<int> bring_up_and_wait(Session& session, const compose::Project& project, const UpCommand& command);

// The services whose image has to be made: all with a build section under --build, else those whose image is missing.
// Errors: one is missing and --no-build was given.
Result<std::vector<std::string>> services_to_build(Session& session, const compose::Project& project,
                                                   const UpCommand& command);

// How long the project may live; before it is there, so that nothing of it can be left behind.
Result<> set_lease(Session& session, const std::string& project, const LeaseWish& lease);

// The last operation's timings, in a format of `compose timings`.
Result<std::string> timings_of(Session& session, const std::string& project, const std::string& format);

// "web=3" …. Errors: something else.
Result<std::map<std::string, int>> scale_arguments(const std::vector<std::string>& texts);

// --pull, checked; "" if not given. Errors: an unknown policy.
Result<std::string> pull_policy(const Arguments& arguments);

// Adds what --no-… and the file say about which services' logs are shown and waited for.
// Errors: --attach of a service that is not started.
Result<std::set<std::string>> attached_services(const UpCommand& command, const compose::Project& project);

}  // namespace gantry::cli
