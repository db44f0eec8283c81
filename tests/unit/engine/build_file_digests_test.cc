#include "engine/build/file_digests.h"

#include <gtest/gtest.h>

#include "base/fd.h"
#include "image_fixture.h"

namespace gantry::engine {
namespace {

using Content = FileDigests::Content;

struct stat old_file(uint64_t inode) {
  struct stat status {};
  status.st_dev = 7;
  status.st_ino = inode;
  status.st_size = 3;
  status.st_mtim = {.tv_sec = 1000, .tv_nsec = 5};
  status.st_ctim = {.tv_sec = 1001, .tv_nsec = 6};
  return status;
}

class FileDigestsTest : public ::testing::Test {
 protected:
  Content content_of(FileDigests& digests, const struct stat& status, bool has_xattrs = false) {
    const auto found = digests.content(status, [&]() -> Result<Content> {
      ++reads;
      Content content{.has_xattrs = has_xattrs};
      content.sha256[0] = static_cast<uint8_t>(status.st_ino);
      return content;
    });
    EXPECT_TRUE(found.ok());
    return found.ok() ? *found : Content();
  }

  TemporaryDirectory root;
  std::filesystem::path file = root / "folder/digests";
  int reads = 0;
};

TEST_F(FileDigestsTest, WhatWasSavedIsNotReadAgain) {
  {
    FileDigests digests = FileDigests::load(file);
    for (uint64_t inode : {30, 10, 20}) content_of(digests, old_file(inode), inode == 20);
    content_of(digests, old_file(30));
    EXPECT_EQ(reads, 3);
    digests.save();
  }
  FileDigests digests = FileDigests::load(file);
  for (uint64_t inode : {10, 20, 30}) {
    const Content content = content_of(digests, old_file(inode));
    EXPECT_EQ(content.sha256[0], inode);
    EXPECT_EQ(content.has_xattrs, inode == 20);
  }
  EXPECT_EQ(reads, 3);
  content_of(digests, old_file(25));
  digests.save();
  FileDigests more = FileDigests::load(file);
  for (uint64_t inode : {10, 20, 25, 30}) content_of(more, old_file(inode));
  EXPECT_EQ(reads, 4);
}

// Setting an extended attribute changes the last of these only.
TEST_F(FileDigestsTest, AnyChangeOfWhatStatSaysIsReadAgain) {
  FileDigests digests = FileDigests::load(file);
  content_of(digests, old_file(1));
  digests.save();
  FileDigests again = FileDigests::load(file);
  struct stat size = old_file(1), modified = old_file(1), changed = old_file(1);
  ++size.st_size;
  ++modified.st_mtim.tv_nsec;
  ++changed.st_ctim.tv_nsec;
  for (const struct stat& status : {size, modified, changed}) content_of(again, status);
  EXPECT_EQ(reads, 4);
}

TEST_F(FileDigestsTest, AFileThatChangedJustNowIsNotTrusted) {
  FileDigests digests = FileDigests::load(file);
  struct stat status = old_file(1);
  clock_gettime(CLOCK_REALTIME, &status.st_ctim);
  content_of(digests, status);
  content_of(digests, status);
  EXPECT_EQ(reads, 2);
}

TEST_F(FileDigestsTest, AFileOfAnotherFormCountsAsNothing) {
  std::filesystem::create_directories(file.parent_path());
  for (const std::string& text : {std::string(), std::string("gantry"), std::string(200, 'x'),
                                  std::string("gantry file digests 3\n\n\n") + std::string(79, 'x')}) {
    ASSERT_TRUE(write_file(file, text).ok());
    FileDigests digests = FileDigests::load(file);
    const int before = reads;
    content_of(digests, old_file(1));
    EXPECT_EQ(reads, before + 1) << text;
  }
}

}  // namespace
}  // namespace gantry::engine
