// From the words of a command line to the command that they name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/output.h"
#include "cli/session.h"

namespace gantry::cli {

struct Invocation {
  std::string program;             // argv[0]; its last part decides: compose, docker-compose, else gantry
  std::vector<std::string> words;  // argv[1…]
  Environment environment;
  int in = 0;
  Output out{1};
  Output err{2};
  std::unique_ptr<client::ApiClient> api;  // tests: instead of connecting
};

// Runs it and returns the exit status. Errors are on standard error.
// `gantry daemon` runs elsewhere: main.cc takes it before.
int run_command_line(Invocation invocation);

// The global options with what the environment says in place of those not given. Errors: a value that cannot be meant.
Result<Globals> read_globals(const Arguments& given, const Environment& environment);

}  // namespace gantry::cli
