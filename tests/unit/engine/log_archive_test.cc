#include "engine/container/log_archive.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;

class LogArchiveTest : public testing::Test {
 protected:
  LogArchiveTest() {
    char name[] = "/tmp/gantry-archive.XXXXXX";
    root_ = ::mkdtemp(name);
    archive_ = std::make_unique<LogArchive>(root_ / "logs");
  }
  ~LogArchiveTest() override { fs::remove_all(root_); }

  // A container's directory with these files; the first one is its log.
  fs::path container(const std::vector<std::pair<std::string, std::string>>& files) {
    const fs::path directory = root_ / ("container" + std::to_string(++made_));
    fs::create_directory(directory);
    for (const auto& [name, text] : files) std::ofstream(directory / name) << text;
    return directory / files.front().first;
  }
  Result<> keep(const std::string& service, const std::string& text, int replica = 1) {
    return archive_->keep({.project = "shop", .service = service, .replica = replica, .container_name = "x"},
                          container({{"a-json.log", text}, {"hosts", ""}}));
  }
  std::string text_of(const PastRun& run) {
    std::ifstream file(archive_->log_of(run));
    return {std::istreambuf_iterator<char>(file), {}};
  }

  fs::path root_;
  std::unique_ptr<LogArchive> archive_;
  int made_ = 0;
};

TEST_F(LogArchiveTest, RunsAreCountedForEachReplica) {
  ASSERT_TRUE(keep("web", "first").ok());
  ASSERT_TRUE(keep("web", "second").ok());
  ASSERT_TRUE(keep("web", "other replica", 2).ok());
  ASSERT_TRUE(keep("db", "database").ok());
  std::string found;
  for (const PastRun& run : archive_->list("shop")) {
    found += run.service + "-" + std::to_string(run.replica) + "#" + std::to_string(run.run) + ": " + text_of(run) + "\n";
  }
  EXPECT_EQ(found, "db-1#1: database\nweb-1#1: first\nweb-1#2: second\nweb-2#1: other replica\n");
}

TEST_F(LogArchiveTest, RotatedFilesComeAlongAndNothingElse) {
  const fs::path log = container({{"a-json.log", "now"}, {"a-json.log.1", "before"}, {"a-json.log.2.gz", "z"}, {"hosts", ""}});
  ASSERT_TRUE(archive_->keep({.project = "shop", .service = "web"}, log).ok());
  const fs::path kept = archive_->log_of(archive_->list("shop").at(0)).parent_path();
  EXPECT_TRUE(fs::exists(kept / "a-json.log.1"));
  EXPECT_TRUE(fs::exists(kept / "a-json.log.2.gz"));
  EXPECT_FALSE(fs::exists(kept / "hosts"));
  EXPECT_FALSE(fs::exists(log));
}

TEST_F(LogArchiveTest, TheLastTenAreKeptAndNumbersGoOn) {
  for (int i = 1; i <= 13; ++i) ASSERT_TRUE(keep("web", std::to_string(i)).ok());
  const auto runs = archive_->list("shop");
  ASSERT_EQ(runs.size(), 10u);
  EXPECT_EQ(runs.front().run, 4);
  EXPECT_EQ(runs.back().run, 13);
  EXPECT_EQ(text_of(runs.back()), "13");
}

TEST_F(LogArchiveTest, OldRunsGoWhenTheyAreTooLarge) {
  const std::string large(40u << 20, 'x');
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(keep("web", large).ok());
  EXPECT_EQ(archive_->list("shop").size(), 1u);
  ASSERT_TRUE(keep("web", std::string(70u << 20, 'x')).ok());
  ASSERT_EQ(archive_->list("shop").size(), 1u);  // the last one stays, whatever its size
  EXPECT_EQ(archive_->list("shop")[0].run, 4);
}

TEST_F(LogArchiveTest, AForgottenProjectBeginsAnew) {
  ASSERT_TRUE(keep("web", "first").ok());
  EXPECT_TRUE(archive_->forget("shop", root_ / "away"));
  EXPECT_FALSE(archive_->forget("shop", root_ / "away2"));
  EXPECT_TRUE(archive_->list("shop").empty());
  ASSERT_TRUE(keep("web", "again").ok());
  EXPECT_EQ(archive_->list("shop").at(0).run, 1);
}

TEST_F(LogArchiveTest, NamesThatLeadElsewhereAreNotKept) {
  for (const char* name : {"..", "a/b", "", ".hidden"}) {
    EXPECT_TRUE(archive_->keep({.project = name, .service = "web"}, container({{"a-json.log", ""}})).ok());
    EXPECT_TRUE(archive_->keep({.project = "shop", .service = name}, container({{"a-json.log", ""}})).ok());
    EXPECT_TRUE(archive_->list(name).empty());
    EXPECT_FALSE(archive_->forget(name, root_ / "away"));
  }
  EXPECT_TRUE(archive_->projects().empty());
}

TEST_F(LogArchiveTest, WhatWasCutShortIsNotSeen) {
  ASSERT_TRUE(keep("web", "whole").ok());
  fs::create_directories(root_ / "logs/shop/web-1/.next");
  fs::create_directories(root_ / "logs/shop/web-1/7");
  std::ofstream(root_ / "logs/shop/web-1/7/run.json") << "{\"project\":";
  EXPECT_EQ(archive_->list("shop").size(), 1u);
  ASSERT_TRUE(keep("web", "next").ok());
  EXPECT_EQ(archive_->list("shop").back().run, 8);
}

}  // namespace
}  // namespace gantry::engine
