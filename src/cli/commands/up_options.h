// What `up` and `create` were asked for, checked. Pure.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.h"
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
  std::string exit_code_from;
  std::vector<std::string> attach;
  std::vector<std::string> no_attach;
};

// Errors: options that contradict each other, in Compose's words.
Result<UpCommand> up_command(const Session& session, const Arguments& arguments);

// Adds what --no-… and the file say about which services' logs are shown and waited for.
// Errors: --attach of a service that is not started.
Result<std::set<std::string>> attached_services(const UpCommand& command, const compose::Project& project);

}  // namespace gantry::cli
