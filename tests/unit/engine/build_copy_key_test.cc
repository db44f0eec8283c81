// Which changes of a source tree the key of a COPY sees, in directories that several threads share.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "engine/build/copy_step.h"
#include "engine/build/tree_keys.h"
#include "image_fixture.h"

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;

class CopyKeyTest : public ::testing::Test {
 protected:
  // Two runs of names at the top, more directories below than may wait.
  void SetUp() override {
    for (int i = 0; i < 300; ++i) file("f" + std::to_string(i), std::to_string(i));
    for (int i = 0; i < 80; ++i) file("many/d" + std::to_string(i) + "/x", std::to_string(i));
    for (int i = 0; i < 10; ++i) file("one/two/three/g" + std::to_string(i), std::to_string(i));
    fs::create_symlink("f1", at("link"));
    fs::create_directory(at("one/empty"));
  }

  fs::path at(const std::string& path) const { return root / ("context/" + path); }

  void file(const std::string& path, const std::string& content) {
    fs::create_directories(at(path).parent_path());
    ASSERT_TRUE(write_file(at(path), content).ok());
  }
  void rename(const std::string& from, const std::string& to) { fs::rename(at(from), at(to)); }
  void mode(const std::string& path, mode_t bits) { ASSERT_EQ(chmod(at(path).c_str(), bits), 0); }

  // Of a plan that copies what the patterns find.
  std::string key(CopyPlan plan = {}, const std::vector<std::string>& patterns = {"."}) {
    const auto tree = SourceTree(LayerView::open({root / "context"}).value(), IgnorePatterns::parse(ignored).value());
    plan.tree = &tree;
    for (const std::string& pattern : patterns) {
      const auto found = tree.find(pattern).value();
      plan.matches.insert(plan.matches.end(), found.begin(), found.end());
    }
    CacheKey key("test");
    const Result<> added = add_to_key(plan, key);
    return added.ok() ? key.finish() : added.error().message();
  }
  std::string key_of_parts() { return key({}, {"f*", "link", "[mo]*"}); }

  TemporaryDirectory root;
  std::string ignored;
};

TEST_F(CopyKeyTest, AnyChangeWhereverItIsIsSeen) {
  const auto point_to = [this](const char* target) {
    fs::remove(at("link"));
    fs::create_symlink(target, at("link"));
  };
  struct Row {
    const char* what;
    std::function<void()> change;
  };
  const Row rows[] = {
      {"content of the same size", [&] { file("f299", "929"); }},
      {"content below", [&] { file("one/two/three/g9", "new"); }},
      {"content in one of many", [&] { file("many/d79/x", "new"); }},
      {"a mode", [&] { mode("many/d17/x", 0600); }},
      {"a directory's mode", [&] { mode("one/two", 0700); }},
      {"a name", [&] { rename("f298", "f298a"); }},
      {"a directory's name", [&] { rename("many/d5", "many/e5"); }},
      {"a file is elsewhere", [&] { rename("one/two/three/g1", "one/two/g1"); }},
      {"a directory is elsewhere", [&] { rename("one/two/three", "one/three"); }},
      {"one more", [&] { file("one/added", ""); }},
      {"one less", [&] { fs::remove(at("one/added")); }},
      {"one more empty directory", [&] { fs::create_directory(at("many/d7/empty")); }},
      {"one empty directory less", [&] { fs::remove(at("many/d7/empty")); }},
      {"a symlink's target", [&] { point_to("f2"); }},
      {"a symlink becomes a file", [&] { fs::remove(at("link")), file("link", "f2"); }},
      {"two files swap", [&] { rename("f10", "f"), rename("f11", "f10"), rename("f", "f11"); }},
  };
  std::string whole = key();
  std::string parts = key_of_parts();
  for (const Row& row : rows) {
    row.change();
    EXPECT_NE(std::exchange(whole, key()), key()) << row.what;
    EXPECT_NE(std::exchange(parts, key_of_parts()), key_of_parts()) << row.what;
  }
  mode("", 0700);
  EXPECT_NE(whole, key());
  EXPECT_EQ(parts, key_of_parts()) << "the context itself is not copied";
}

TEST_F(CopyKeyTest, TheSameFilesElsewhereHaveTheSameKey) {
  const std::string before = key();
  fs::copy(root / "context", root / "other", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  fs::remove_all(root / "context");
  fs::rename(root / "other", root / "context");
  EXPECT_EQ(before, key());
}

TEST_F(CopyKeyTest, WhatIsLeftOutDoesNotCount) {
  ignored = "**\n!**/*.go\n!many/d1\n";
  file("src/deep/a.go", "A");
  const std::string before = key();
  file("f1", "new");
  file("other/deep/b.c", "B");
  mode("one/two", 0700);
  EXPECT_EQ(before, key()) << "nothing of that is copied";
  file("other/deep/b.go", "B");
  const std::string with_more = key();
  EXPECT_NE(before, with_more);
  mode("src", 0700);
  const std::string with_mode = key();
  EXPECT_NE(with_more, with_mode) << "of a directory on the way to something that is copied";
  file("many/d1/x", "new");
  EXPECT_NE(with_mode, key());
}

TEST_F(CopyKeyTest, WhatIsExcludedDoesNotCount) {
  CopyPlan plan;
  for (const char* pattern : {"many", "one/*/three"}) {
    ASSERT_TRUE(plan.excluded.add(pattern).ok());
    plan.exclude_texts.push_back(pattern);
  }
  const std::string before = key(plan);
  file("many/d1/x", "new");
  file("one/two/three/g5", "new");
  EXPECT_EQ(before, key(plan));
  file("one/two/g", "new");
  EXPECT_NE(before, key(plan));
}

// Whether a directory has any is remembered, as its files' digests are.
TEST_F(CopyKeyTest, ADirectorysAttributesAreSeen) {
  FileDigests digests = FileDigests::load(root / "digests");
  CopyPlan plan;
  plan.digests = &digests;
  const std::string before = key(plan);
  const std::string path = at("one/two");
  if (setxattr(path.c_str(), "user.note", "x", 1, 0) != 0) GTEST_SKIP() << "no user attributes on " << path;
  const std::string with = key(plan);
  EXPECT_NE(before, with);
  ASSERT_EQ(setxattr(path.c_str(), "user.note", "y", 1, 0), 0);
  EXPECT_NE(with, key(plan));
  ASSERT_EQ(removexattr(path.c_str(), "user.note"), 0);
  EXPECT_EQ(before, key(plan));
}

TEST_F(CopyKeyTest, OfSeveralErrorsTheFirstIsTold) {
  const auto tree = SourceTree(LayerView::open({root / "context"}).value(), {});
  const auto matches = tree.find(".").value();
  const AddNode fail = [](const SourceTree::Match&, const LayerView::Node&, std::string_view path, CacheKey&) {
    return path.ends_with("/x") ? Result<>(invalid(std::string(path))) : Result<>();
  };
  CacheKey key("test");
  EXPECT_EQ(add_tree_to_key(tree, matches, fail, key).error().message(), "many/d0/x");
}

}  // namespace
}  // namespace gantry::engine
