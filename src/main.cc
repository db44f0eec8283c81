// One executable: `compose …`, `docker-compose …`, `gantry compose …`, `gantry COMMAND …` and `gantry daemon …`.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_line.h"
#include "daemon/daemon_command.h"

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

}  // namespace

int main(int count, char** arguments, char** variables) {
  gantry::cli::Invocation invocation;
  invocation.program = count > 0 ? arguments[0] : "gantry";
  for (int i = 1; i < count; ++i) invocation.words.emplace_back(arguments[i]);
  const auto& words = invocation.words;
  const bool stops_daemon = words.size() > 1 && words[1] == "stop";
  if (!words.empty() && words[0] == "daemon" && !stops_daemon) {
    return gantry::daemon::daemon_main(std::span(words).subspan(1));
  }
  invocation.environment = read_environment(variables);
  return gantry::cli::run_command_line(std::move(invocation));
}
