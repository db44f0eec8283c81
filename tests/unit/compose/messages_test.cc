// What the user reads about files that are wrong: tests/golden/messages/*.txt, a table of cases each.
//
//   === what is wrong
//   %% other.yaml          further files, up to the next %%; without one, all is compose.yaml
//   %% env NAME=VALUE      and options: env, file, name, service, profile
//   services: …
//   >>>
//   compose.yaml:1:1: the whole message, exactly
//
// GANTRY_ACCEPT=1 rewrites what stands below each >>>.
#include <algorithm>
#include <sstream>

#include "unit/compose/load_fixture.h"

namespace gantry::compose {
namespace {

struct Case {
  std::string name;
  std::string input;     // as it stands in the table
  std::string expected;
};

std::vector<Case> read_cases(const std::filesystem::path& path) {
  std::vector<Case> cases;
  std::ifstream file(path);
  bool input = true;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("=== ")) {
      cases.push_back({line.substr(4), "", ""});
      input = true;
    } else if (line == ">>>") {
      input = false;
    } else if (!cases.empty()) {
      (input ? cases.back().input : cases.back().expected) += line + "\n";
    }
  }
  return cases;
}

bool is_option(LoadOptions& options, const std::string& word, const std::string& value) {
  if (word == "env") options.environment[value.substr(0, value.find('='))] = value.substr(value.find('=') + 1);
  else if (word == "file") options.files.push_back(value);
  else if (word == "name") options.project_name = value;
  else if (word == "service") options.services.push_back(value);
  else if (word == "profile") options.profiles.push_back(value);
  else return false;
  return true;
}

std::string messages_of_case(const Case& one) {
  LoadFixture fixture;
  std::map<std::string, std::string> files;
  std::string name = "compose.yaml";
  std::istringstream lines(one.input);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("%% ")) {
      files[name] += line + "\n";
      continue;
    }
    std::string rest = line.substr(3);
    std::string word = rest.substr(0, rest.find(' '));
    std::string value = word.size() < rest.size() ? rest.substr(word.size() + 1) : "";
    if (!is_option(fixture.options, word, value)) name = rest;
  }
  for (const auto& [file, text] : files) fixture.write(file, text);
  LoadResult result = fixture.load();
  EXPECT_FALSE(result.ok()) << one.name << ": is loaded without an error";
  return fixture.messages(result);
}

std::vector<std::filesystem::path> tables() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(GANTRY_TEST_DATA "/golden/messages")) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

TEST(Messages, EveryMistakeIsToldAsTheTablesSay) {
  const bool accept = getenv("GANTRY_ACCEPT") != nullptr;
  size_t count = 0;
  for (const auto& path : tables()) {
    std::string rewritten;
    for (const Case& one : read_cases(path)) {
      std::string got = messages_of_case(one);
      ++count;
      rewritten += "=== " + one.name + "\n" + one.input + ">>>\n" + got;
      if (!accept) EXPECT_EQ(got, one.expected) << path.filename() << ": " << one.name << "\n" << one.input;
    }
    if (accept) std::ofstream(path) << rewritten;
  }
  EXPECT_GE(count, 100u);
  if (accept) GTEST_SKIP() << "tables rewritten: read the difference";
}

// A message says where: a file with its line and column, and the path within the model.
TEST(Messages, SayWhere) {
  size_t placed = 0, all = 0;
  for (const auto& path : tables()) {
    for (const Case& one : read_cases(path)) {
      ++all;
      std::string first = one.expected.substr(0, one.expected.find('\n'));
      placed += first.find(".yaml:") != std::string::npos || first.find(".env:") != std::string::npos ? 1 : 0;
      EXPECT_FALSE(first.empty()) << one.name;
    }
  }
  EXPECT_GE(placed + 8, all) << "too many messages name no place";
}

}  // namespace
}  // namespace gantry::compose
