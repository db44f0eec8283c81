// Loads compose files out of a directory of its own, for tests.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "compose/load.h"

namespace gantry::compose {

inline void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
}

class LoadFixture {
 public:
  LoadFixture() {
    char name[] = "/tmp/gantry-load-XXXXXX";
    root_ = std::filesystem::canonical(mkdtemp(name)).string();
    options.working_dir = root_ + "/demo";
    options.environment = {{"HOME", "/home/user"}};
    std::filesystem::create_directories(options.working_dir);
  }
  ~LoadFixture() { std::filesystem::remove_all(root_); }
  LoadFixture(const LoadFixture&) = delete;

  void write(const std::string& name, const std::string& text) {
    std::filesystem::path path = options.working_dir + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

  LoadResult load() { return gantry::compose::load(options); }

  // What `config` prints, the directory written as @DIR@; the diagnostics when there is no project.
  std::string config() {
    LoadResult result = load();
    return result.ok() ? shorten(result.canonical_yaml) : messages(result);
  }

  std::string messages(const LoadResult& result) {
    std::string out;
    for (const Diagnostic& diagnostic : result.diagnostics) out += render(diagnostic, result.texts) + "\n";
    return shorten(out);
  }

  std::string shorten(std::string text) {
    replace_all(text, options.working_dir, "@DIR@");
    replace_all(text, root_, "@ABOVE@");
    return text;
  }

  LoadOptions options;

 private:
  std::string root_;
};

// `config` of one file.
inline std::string config_of(const std::string& yaml) {
  LoadFixture fixture;
  fixture.write("compose.yaml", yaml);
  return fixture.config();
}

// The service `a` of one file; fails the test when it does not load.
inline Service service_of(const std::string& yaml) {
  LoadFixture fixture;
  fixture.write("compose.yaml", yaml);
  LoadResult result = fixture.load();
  EXPECT_TRUE(result.ok()) << fixture.messages(result);
  return result.ok() ? result.project->services.at("a") : Service{};
}

// All that is said about one file.
inline std::string messages_of(const std::string& yaml) {
  LoadFixture fixture;
  fixture.write("compose.yaml", yaml);
  return fixture.messages(fixture.load());
}

// The first line of what is said about one file.
inline std::string first_message_of(const std::string& yaml) {
  std::string text = messages_of(yaml);
  return text.substr(0, text.find('\n'));
}

}  // namespace gantry::compose
