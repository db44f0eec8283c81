// `gantry-daemon daemon …`: what `gantry daemon …` becomes. The word stays, so that the process goes by one command line
// whoever started it.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/daemon_command.h"

int main(int count, char** arguments) {
  const bool named = count > 1 && std::string_view(arguments[1]) == "daemon";
  const std::vector<std::string> words(arguments + (named ? 2 : 1), arguments + count);
  return gantry::daemon::daemon_main(words);
}
