#include "base/overwrite_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/fd.h"

namespace gantry {
namespace {

class OverwriteFile : public testing::Test {
 protected:
  OverwriteFile() {
    std::string name = (std::filesystem::temp_directory_path() / "gantry-overwrite-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    file_ = directory_ / "file";
  }
  ~OverwriteFile() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path directory_;
  std::filesystem::path file_;
};

TEST_F(OverwriteFile, HoldsWhatWasWrittenLast) {
  for (const char* text : {"first", "longer than the first", "short", "", "again"}) {
    ASSERT_TRUE(overwrite_file(file_, text, 0600).ok());
    EXPECT_EQ(read_file(file_).value_or("?"), text);
  }
}

TEST_F(OverwriteFile, IsTheSameFileWithItsMode) {
  ASSERT_TRUE(overwrite_file(file_, "one", 0640).ok());
  struct stat before {};
  struct stat after {};
  ASSERT_EQ(::stat(file_.c_str(), &before), 0);
  ASSERT_TRUE(overwrite_file(file_, "two", 0600).ok());
  ASSERT_EQ(::stat(file_.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(after.st_mode & 07777, 0640U);
}

TEST_F(OverwriteFile, SaysWhereItFailed) {
  const auto written = overwrite_file(directory_ / "nowhere/file", "text", 0600);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().errno_value(), ENOENT);
  EXPECT_NE(written.error().message().find("nowhere/file"), std::string::npos);
}

}  // namespace
}  // namespace gantry
