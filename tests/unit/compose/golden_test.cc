// Every folder of tests/golden/loader is a project: its files, `options` (a line each: `file`, `profile`, `service`,
// `env NAME=VALUE`, `env_file`), and `expected`: what `config` prints, or what is wrong. GANTRY_ACCEPT=1 rewrites them.
#include <algorithm>
#include <sstream>

#include "unit/compose/load_fixture.h"

namespace gantry::compose {
namespace {

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

LoadOptions options_of(const std::filesystem::path& folder) {
  LoadOptions options{.working_dir = folder.string(), .environment = {{"HOME", "/home/user"}}};
  std::istringstream lines(content_of(folder / "options"));
  for (std::string word, value; lines >> word >> std::ws && std::getline(lines, value);) {
    if (word == "file") options.files.push_back(value);
    else if (word == "profile") options.profiles.push_back(value);
    else if (word == "service") options.services.push_back(value);
    else if (word == "env_file") options.env_files.push_back(value);
    else if (word == "env") options.environment[value.substr(0, value.find('='))] = value.substr(value.find('=') + 1);
    else ADD_FAILURE() << folder << "/options: unknown word " << word;
  }
  return options;
}

std::string outcome_of(const std::filesystem::path& folder) {
  LoadResult result = load(options_of(folder));
  std::string out;
  for (const Diagnostic& diagnostic : result.diagnostics) out += render(diagnostic, result.texts) + "\n";
  out += result.canonical_yaml;
  replace_all(out, folder.string(), "@DIR@");
  return out;
}

TEST(Golden, EveryProjectGivesWhatItGaveBefore) {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(GANTRY_TEST_DATA "/golden/loader")) {
    folders.push_back(std::filesystem::canonical(entry.path()));
  }
  std::sort(folders.begin(), folders.end());
  EXPECT_FALSE(folders.empty());
  bool accept = getenv("GANTRY_ACCEPT") != nullptr;
  for (const auto& folder : folders) {
    std::string outcome = outcome_of(folder);
    if (accept) std::ofstream(folder / "expected") << outcome;
    else EXPECT_EQ(outcome, content_of(folder / "expected")) << folder;
  }
  if (accept) GTEST_SKIP() << "golden files rewritten: look at the difference";
}

}  // namespace
}  // namespace gantry::compose
