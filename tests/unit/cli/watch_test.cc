#include <gtest/gtest.h>

#include <filesystem>
#include <poll.h>

#include "base/fd.h"
#include "cli/file_watch.h"
#include "cli/watch_rules.h"

namespace gantry::cli {
namespace {

namespace fs = std::filesystem;

compose::Project project_watching(const std::string& watch, bool build = false) {
  compose::Project project{.name = "shop"};
  compose::Service service{.name = "web"};
  if (build) service.build = compose::BuildConfig{.context = "/work"};
  service.canonical_json = "{\"develop\":{\"watch\":[" + watch + "]}}";
  project.services["web"] = service;
  return project;
}

Result<std::vector<WatchRule>> rules_of(const std::string& watch, bool build = false) {
  std::vector<std::string> warnings;
  return watch_rules(project_watching(watch, build), {}, warnings);
}

TEST(WatchRules, IgnoreAndIncludeCountFromThePath) {
  const auto rules = rules_of(R"({"path":"/work/src","action":"sync","target":"/app",
                                  "ignore":["node_modules/","*.tmp"],"include":["**/*.js","*.tmp"]})");
  ASSERT_TRUE(rules.ok()) << rules.error().message();
  const WatchRule& rule = rules->front();
  EXPECT_TRUE(rule.matches("/work/src/a.js"));
  EXPECT_TRUE(rule.matches("/work/src/deep/a.js"));
  EXPECT_FALSE(rule.matches("/work/src/a.py"));
  EXPECT_FALSE(rule.matches("/work/src/a.tmp"));
  EXPECT_FALSE(rule.matches("/work/src/node_modules/x/a.js"));
  EXPECT_FALSE(rule.matches("/work/other/a.js"));
  EXPECT_FALSE(rule.matches("/work/src2/a.js"));
  EXPECT_FALSE(rule.matches("/work/src/.git/a.js"));
  EXPECT_FALSE(rule.matches("/work/src/.a.js.swp"));
  EXPECT_TRUE(rule.can_skip("/work/src/node_modules"));
  EXPECT_FALSE(rule.can_skip("/work/src/deep"));
  EXPECT_EQ(rule.container_path("/work/src/deep/a.js"), "/app/deep/a.js");
}

TEST(WatchRules, ASingleFileGoesToTheTarget) {
  const auto rules = rules_of(R"({"path":"/work/app.conf","action":"sync+restart","target":"/etc/app.conf"})");
  ASSERT_TRUE(rules.ok());
  EXPECT_TRUE(rules->front().matches("/work/app.conf"));
  EXPECT_FALSE(rules->front().matches("/work/app.confx"));
  EXPECT_EQ(rules->front().container_path("/work/app.conf"), "/etc/app.conf");
  EXPECT_TRUE(rules->front().restarts());
}

TEST(WatchRules, WhatCannotWorkIsRefused) {
  EXPECT_EQ(rules_of("").error().message(),
            "none of the selected services is configured for watch, consider setting a 'develop' section");
  EXPECT_EQ(rules_of(R"({"path":"/w","action":"rebuild"})").error().message(),
            "can't watch service \"web\" with action rebuild without a build context");
  EXPECT_FALSE(rules_of(R"({"path":"/w","action":"dance"})").ok());
  EXPECT_TRUE(rules_of(R"({"path":"/w","action":"rebuild"})", true).ok());
}

TEST(WatchRules, ABindMountMakesASyncNeedless) {
  compose::Project project = project_watching(R"({"path":"/work/src","action":"sync","target":"/app"},
                                             {"path":"/work/src","action":"restart"})");
  project.services["web"].volumes = {{.type = "bind", .source = "/work", .target = "/app"}};
  std::vector<std::string> warnings;
  const auto rules = watch_rules(project, {}, warnings);
  ASSERT_TRUE(rules.ok());
  EXPECT_EQ(rules->size(), 1u);
  EXPECT_EQ(warnings.size(), 1u);
}

class FileWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "gantry-watch.XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    fs::create_directories(root_ / "skipped");
  }
  void TearDown() override { fs::remove_all(root_); }

  FileWatch open(const fs::path& path) {
    auto watch = FileWatch::open({path}, [](const fs::path& directory) { return directory.filename() == "skipped"; });
    EXPECT_TRUE(watch.ok()) << watch.error().message();
    return *std::move(watch);
  }
  // Everything that changed, until `last` is among it.
  std::set<std::string> changes(FileWatch& watch, const std::string& last) {
    std::set<std::string> all;
    while (!all.contains(last)) {
      pollfd ready{watch.fd(), POLLIN, 0};
      if (::poll(&ready, 1, 10'000) <= 0) break;
      EXPECT_TRUE(watch.read().ok());
      for (const fs::path& path : watch.take()) all.insert(path.lexically_relative(root_).string());
    }
    return all;
  }

  fs::path root_;
};

TEST_F(FileWatchTest, TellsWhatIsWrittenMadeRemovedAndRenamed) {
  ASSERT_TRUE(write_file(root_ / "old", "x").ok());
  FileWatch watch = open(root_);
  ASSERT_TRUE(write_file(root_ / "new", "x").ok());
  fs::rename(root_ / "old", root_ / "moved");
  fs::create_directories(root_ / "deep/er");
  ASSERT_TRUE(write_file(root_ / "deep/er/file", "x").ok());
  ASSERT_TRUE(write_file(root_ / "skipped/file", "x").ok());
  fs::remove(root_ / "new");
  ASSERT_TRUE(write_file(root_ / "last", "x").ok());
  auto seen = changes(watch, "last");
  for (const char* name : {"new", "old", "moved"}) EXPECT_TRUE(seen.contains(name)) << name;
  EXPECT_FALSE(seen.contains("skipped/file"));
  ASSERT_TRUE(write_file(root_ / "deep/er/second", "x").ok());
  seen.merge(changes(watch, "deep/er/second"));
  EXPECT_TRUE(seen.contains("deep/er/file"));
}

TEST_F(FileWatchTest, ASingleFileMayBeReplaced) {
  ASSERT_TRUE(write_file(root_ / "conf", "x").ok());
  FileWatch watch = open(root_ / "conf");
  ASSERT_TRUE(write_file(root_ / "conf.new", "y").ok());
  fs::rename(root_ / "conf.new", root_ / "conf");
  EXPECT_TRUE(changes(watch, "conf").contains("conf"));
}

TEST_F(FileWatchTest, WhatIsNotThereCannotBeWatched) {
  const auto watch = FileWatch::open({root_ / "nothing"}, [](const fs::path&) { return false; });
  ASSERT_FALSE(watch.ok());
  EXPECT_NE(watch.error().message().find("does not exist"), std::string::npos);
}

}  // namespace
}  // namespace gantry::cli
