// The user's terminal tied to a process in a container: keys go in, output comes out, the window size follows.
// One thread, which blocks until the other side ends.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "cli/output.h"
#include "client/api_client.h"

namespace gantry::cli {

struct Interaction {
  client::ApiClient::Upgraded connection;
  int input = 0;  // -1: no input is sent; the writing side is shut down at once
  Output out{1};
  Output err{2};
  bool tty = false;  // the terminal is switched to raw mode
  bool framed = true;  // the bytes come in Docker's frames
  // Tells the daemon the size of the terminal; called once before anything else and at every change. Only with tty.
  std::function<void(TerminalSize)> resize;
  // Signals that the user sends to the command (SIGINT, SIGTERM, …) while it is attached. Empty: they end the program.
  std::function<void(int)> forward_signal;
  // Sees what is sent.
  std::function<void(std::string_view)> typed = {};
};

// Returns when the other side has closed the connection. The terminal is as before, also when a signal ends the
// program. The exit code, if the stream told it. Errors: the connection breaks, or the bytes are no stream of frames.
Result<std::optional<int>> interact(Interaction interaction);

}  // namespace gantry::cli
