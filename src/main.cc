// What people type: `compose …`, `docker-compose …`, `gantry compose …`, `gantry COMMAND …` and `gantry daemon …`. The
// daemon is a program of its own, so that no command pays for loading its libraries.
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/executable.h"
#include "base/short_heap.h"
#include "cli/command_line.h"

namespace {

gantry::cli::Environment read_environment(char** variables) {
  gantry::cli::Environment environment;
  for (; *variables != nullptr; ++variables) {
    const std::string_view variable = *variables;
    const size_t equals = variable.find('=');
    if (equals != std::string_view::npos) environment.emplace(variable.substr(0, equals), variable.substr(equals + 1));
  }
  return environment;
}

// Becomes the daemon; returns only if that fails.
int run_daemon(char** arguments) {
  const auto program = gantry::find_program("gantry-daemon");
  if (!program.ok()) {
    std::fprintf(stderr, "gantry: %s\n", program.error().message().c_str());
    return 1;
  }
  ::execv(program->c_str(), arguments);
  std::perror(program->c_str());
  return 1;
}

}  // namespace

int main(int count, char** arguments, char** variables) {
  gantry::prepare_short_heap();
  gantry::cli::Invocation invocation;
  invocation.program = count > 0 ? arguments[0] : "gantry";
  for (int i = 1; i < count; ++i) invocation.words.emplace_back(arguments[i]);
  const auto& words = invocation.words;
  const bool stops_daemon = words.size() > 1 && words[1] == "stop";
  if (!words.empty() && words[0] == "daemon" && !stops_daemon) return run_daemon(arguments);
  invocation.environment = read_environment(variables);
  const int code = gantry::cli::run_command_line(std::move(invocation));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // these report at exit
  std::fflush(nullptr);
  ::_exit(code);  // nothing is left for destructors and handlers at exit, which touch pages that nothing else does
#endif
  return code;
}
