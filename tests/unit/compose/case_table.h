// Tables of cases in text files: inputs above, what comes out below.
//
//   === what the case is about
//   %% other.yaml          further files, up to the next %%; without one, all is compose.yaml
//   %% env NAME=VALUE      and options: env, file, name, service, profile, env_file, directory, flag
//   services: …
//   >>>
//   what comes out, exactly
//
// GANTRY_ACCEPT=1 rewrites what stands below each >>>.
#pragma once

#include <algorithm>
#include <functional>
#include <sstream>

#include "unit/compose/load_fixture.h"

namespace gantry::compose {

struct Case {
  std::string name;
  std::string input;     // as it stands in the table
  std::string expected;
};

inline std::vector<Case> read_cases(const std::filesystem::path& path) {
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

inline bool is_option(LoadOptions& options, const std::string& word, const std::string& value) {
  if (word == "env") options.environment[value.substr(0, value.find('='))] = value.substr(value.find('=') + 1);
  else if (word == "file") options.files.push_back(value);
  else if (word == "name") options.project_name = value;
  else if (word == "service") options.services.push_back(value);
  else if (word == "profile") options.profiles.push_back(value);
  else if (word == "env_file") options.env_files.push_back(value);
  else if (word == "directory") options.project_directory = options.working_dir + "/" + value;
  else if (word == "explain") options.explain = value;
  else if (word == "flag" && value == "no-interpolate") options.interpolate = false;
  else if (word == "flag" && value == "no-normalize") options.normalize = false;
  else if (word == "flag" && value == "no-path-resolution") options.resolve_paths = false;
  else if (word == "flag" && value == "no-consistency") options.check_consistency = false;
  else if (word == "flag" && value == "no-env-resolution") options.resolve_environment = false;
  else if (word == "flag" && value == "all-resources") options.all_resources = true;
  else return false;
  return true;
}

// Writes the case's files into the fixture's folder and loads them.
inline LoadResult load_case(const Case& one, LoadFixture& fixture) {
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
  return fixture.load();
}

inline std::vector<std::filesystem::path> tables_in(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(GANTRY_TEST_DATA "/golden/" + folder)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// Compares every case of the folder's tables with what `outcome` says of it; returns their number.
inline size_t check_tables(const std::string& folder, const std::function<std::string(const Case&)>& outcome) {
  const bool accept = getenv("GANTRY_ACCEPT") != nullptr;
  size_t count = 0;
  for (const auto& path : tables_in(folder)) {
    std::string rewritten;
    for (const Case& one : read_cases(path)) {
      std::string got = outcome(one);
      ++count;
      rewritten += "=== " + one.name + "\n" + one.input + ">>>\n" + got;
      if (!accept) {
        EXPECT_EQ(got, one.expected) << path.filename() << ": " << one.name << "\n" << one.input;
      }
    }
    if (accept) std::ofstream(path) << rewritten;
  }
  return count;
}

}  // namespace gantry::compose
