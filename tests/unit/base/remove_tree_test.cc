#include "base/remove_tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace gantry {
namespace {

namespace fs = std::filesystem;

class RemoveTree : public testing::Test {
 protected:
  void file(const fs::path& path) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << "x";
  }
  RemoveTree() {
    std::string name = (fs::temp_directory_path() / "gantry-tree-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    tree_ = directory_ / "tree";
  }
  ~RemoveTree() override { fs::remove_all(directory_); }

  fs::path directory_;
  fs::path tree_;
};

TEST_F(RemoveTree, TakesFilesDirectoriesSocketsAndLinksButNotWhatLinksLeadTo) {
  file(tree_ / "a/b/c");
  file(tree_ / ".hidden");
  fs::create_directories(tree_ / "empty/../other/deep/er");
  file(directory_ / "outside/kept");
  fs::create_directory_symlink(directory_ / "outside", tree_ / "link");
  fs::create_symlink("nowhere", tree_ / "a/dangling");
  ASSERT_EQ(::mkfifo((tree_ / "fifo").c_str(), 0600), 0);
  EXPECT_TRUE(remove_tree(tree_).ok());
  EXPECT_FALSE(fs::exists(fs::symlink_status(tree_)));
  EXPECT_TRUE(fs::exists(directory_ / "outside/kept"));
}

TEST_F(RemoveTree, TakesMoreEntriesThanOneReadTells) {
  for (int i = 0; i < 3000; ++i) file(tree_ / ("directory" + std::to_string(i % 3)) / ("a long name of a file " + std::to_string(i)));
  EXPECT_TRUE(remove_tree(tree_).ok());
  EXPECT_FALSE(fs::exists(tree_));
}

TEST_F(RemoveTree, TakesWhatIsDeeperThanThereAreDescriptorsOrStackFor) {
  fs::create_directory(tree_);
  int at = ::open(tree_.c_str(), O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 6'000; ++i) {
    ASSERT_EQ(::mkdirat(at, "removed-0", 0700), 0);  // a name that the removal itself chooses
    if (i % 1000 == 0) {
      ASSERT_EQ(::symlinkat("nowhere", at, "link"), 0);
    }
    const int below = ::openat(at, "removed-0", O_RDONLY | O_DIRECTORY);
    ::close(at);
    at = below;
  }
  ::close(at);
  const auto removed = remove_tree(tree_);
  EXPECT_TRUE(removed.ok()) << removed.error().message();
  EXPECT_FALSE(fs::exists(tree_));
}

TEST_F(RemoveTree, TakesALinkOrAFileItself) {
  file(directory_ / "outside/kept");
  fs::create_directory_symlink(directory_ / "outside", tree_);
  EXPECT_TRUE(remove_tree(tree_).ok());
  EXPECT_FALSE(fs::exists(fs::symlink_status(tree_)));
  EXPECT_TRUE(fs::exists(directory_ / "outside/kept"));
  file(tree_);
  EXPECT_TRUE(remove_tree(tree_).ok());
  EXPECT_FALSE(fs::exists(tree_));
}

TEST_F(RemoveTree, OfNothingIsNoErrorAndAnErrorNamesThePath) {
  EXPECT_TRUE(remove_tree(tree_).ok());
  file(tree_);
  const auto refused = remove_tree(tree_ / "below a file");
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("below a file"), std::string::npos);
}

}  // namespace
}  // namespace gantry
