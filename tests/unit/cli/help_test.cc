// Our help pages beside the list of what Docker Compose has: no command and no flag is missing.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/fd.h"
#include "cli/command_line.h"

namespace gantry::cli {
namespace {

std::string help_of(std::vector<std::string> words) {
  Fd out(::memfd_create("out", MFD_CLOEXEC));
  words.push_back("--help");
  run_command_line({.program = "compose", .words = std::move(words), .environment = {}, .out = Output(out.get())});
  ::lseek(out.get(), 0, SEEK_SET);
  return read_all(out.get()).value_or("");
}

// The flags of a help page as "detach/d build …": the lines between "Options:" and the next empty one.
std::set<std::string> flags_of(const std::string& page) {
  std::set<std::string> flags;
  std::istringstream lines(page.substr(std::min(page.find("Options:"), page.size())));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line) && !line.empty()) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    std::string letter;
    if (word.size() == 3 && word[0] == '-' && word[2] == ',') {
      letter = std::string("/") + word[1];
      words >> word;
    }
    if (word.starts_with("--")) flags.insert(word.substr(2) + letter);
  }
  return flags;
}

TEST(Help, NamesEveryCommandAndFlagOfDockerCompose) {
  std::ifstream table(std::string(GANTRY_TEST_DATA) + "/unit/cli/docker_compose_flags.txt");
  ASSERT_TRUE(table.is_open());
  const std::string overview = help_of({});
  int commands = 0;
  std::string line;
  while (std::getline(table, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string command;
    words >> command;
    ++commands;
    const std::string page = command == "-" ? overview : help_of({command});
    if (command != "-") {
      EXPECT_NE(overview.find("\n  " + command + " "), std::string::npos) << command;
    }
    const auto known = flags_of(page);
    EXPECT_TRUE(known.contains("help/h")) << command;
    for (std::string flag; words >> flag;) EXPECT_TRUE(known.contains(flag)) << command << " --" << flag;
    EXPECT_TRUE(known.contains("dry-run")) << command;
  }
  EXPECT_GT(commands, 35);
}

// A flag without a word of help is no help.
TEST(Help, EveryFlagIsExplained) {
  for (const char* command : {"up", "run", "build", "config", "plan", "why", "watch", "logs", "ps", "cp", "stats"}) {
    std::istringstream lines(help_of({command}));
    std::string line;
    while (std::getline(lines, line) && line != "Options:") {
    }
    while (std::getline(lines, line) && !line.empty()) {
      const size_t gap = line.find("   ", 8);
      ASSERT_NE(gap, std::string::npos) << command << ": " << line;
      EXPECT_NE(line.find_first_not_of(' ', gap), std::string::npos) << command << ": " << line;
    }
  }
}

}  // namespace
}  // namespace gantry::cli
