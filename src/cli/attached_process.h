// Ties the user's terminal to a process in a container: the program of a container that is about to start, or an exec.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "cli/api_types.h"
#include "cli/session.h"

namespace gantry::cli {

struct TerminalWish {
  std::optional<bool> tty;  // nothing: a terminal if standard output is one (and input, if it is sent)
  bool interactive = true;  // standard input is sent
};
struct TerminalChoice {
  bool tty = false;
  bool interactive = false;
};
// Errors: a terminal is demanded, but standard input is none.
Result<TerminalChoice> choose_terminal(const Session& session, const TerminalWish& wish);

// Runs a command in a running container. → its exit code; 0 at once when `detach`.
Result<int> run_exec(Session& session, const std::string& container, ExecRequest request, bool detach);

enum class AtEnd { stays, removed };  // what becomes of the container: removed if it was made with --rm

struct AttachOptions {
  std::string detach_keys;       // "" = the daemon's, ctrl-p,ctrl-q
  bool signals = true;           // those that the user sends go to the container
  bool output = true;
  // The exit code comes from the container's first `die` event, for one that may remove itself; else it is asked for.
  bool exit_by_events = true;
  AtEnd at_end = AtEnd::stays;
};
// Starts a created container with the terminal attached to it, signals forwarded. → its exit code, once the
// container has ended and, if it removes itself, is gone; 0 when the user has detached.
Result<int> start_attached(Session& session, const std::string& container, const TerminalChoice& terminal,
                           const AttachOptions& options = {});
// The same with a container that runs already.
Result<int> attach_to(Session& session, const std::string& container, const TerminalChoice& terminal,
                      const AttachOptions& options);

}  // namespace gantry::cli
