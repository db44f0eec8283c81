#include "cli/output_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

namespace gantry::cli {
namespace {

class OutputFileTest : public ::testing::Test {
 protected:
  OutputFileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "gantry-output-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~OutputFileTest() override { std::filesystem::remove_all(directory_); }
  std::string path(const char* name) const { return (directory_ / name).string(); }
  size_t files() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(directory_), {}));
  }
  std::filesystem::path directory_;
};

TEST_F(OutputFileTest, AppearsWhenItIsKept) {
  {
    auto file = OutputFile::open(path("a"));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write("whole").ok());
    EXPECT_FALSE(std::filesystem::exists(path("a")));
    ASSERT_TRUE(file->keep().ok());
  }
  EXPECT_EQ(read_file(path("a")).value_or(""), "whole");
  EXPECT_EQ(files(), 1u);
}

TEST_F(OutputFileTest, WhatWasThereStaysWhenItIsNotKept) {
  ASSERT_TRUE(write_file(path("a"), "old").ok());
  {
    auto file = OutputFile::open(path("a"));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write("half").ok());
  }
  EXPECT_EQ(read_file(path("a")).value_or(""), "old");
  EXPECT_EQ(files(), 1u);
}

// `save -o /dev/null` as root must not put a file in the device's place.
TEST_F(OutputFileTest, ADeviceIsWrittenToAndNotReplaced) {
  struct stat before {}, after {};
  ASSERT_EQ(stat("/dev/null", &before), 0);
  {
    auto file = OutputFile::open("/dev/null");
    ASSERT_TRUE(file.ok()) << file.error().message();
    ASSERT_TRUE(file->write("gone").ok());
    ASSERT_TRUE(file->keep().ok());
  }
  ASSERT_EQ(stat("/dev/null", &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_TRUE(S_ISCHR(after.st_mode));
}

}  // namespace
}  // namespace gantry::cli
