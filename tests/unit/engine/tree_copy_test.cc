#include "engine/container/tree_copy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "engine/image/tar_reader.h"

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;

// A directory with a "container's root" in it, and something beside it that must not be reached.
class TreeCopyTest : public testing::Test {
 protected:
  TreeCopyTest() {
    char name[] = "/tmp/gantry-tree-XXXXXX";
    base_ = ::mkdtemp(name);
    fs::create_directories(root_path() / "etc/sub");
    fs::create_directories(base_ / "outside");
    write("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n");
    write("etc/group", "root:x:0:\nwheel:x:10:app\n");
    write("etc/sub/file", "in sub");
    fs::create_symlink("/etc/passwd", root_path() / "absolute");
    fs::create_symlink("sub/../sub", root_path() / "etc/relative");
    fs::create_symlink("../../../../outside", root_path() / "etc/up");
    fs::create_symlink((base_ / "outside").string(), root_path() / "away");
    root_ = *open_file(root_path(), O_RDONLY | O_DIRECTORY);
  }
  ~TreeCopyTest() override { fs::remove_all(base_); }

  fs::path root_path() const { return base_ / "root"; }
  void write(const std::string& path, const std::string& text) { std::ofstream(root_path() / path) << text; }
  std::string read(const std::string& path) { return *read_file(root_path() / path); }

  // Names and contents of an archive.
  std::map<std::string, std::string> tar_of(const std::string& path) {
    std::string bytes;
    const auto sink = [&](std::string_view data) {
      bytes += data;
      return Result<>();
    };
    const Result<> written = path == "all" ? write_whole_tar(root_.get(), sink) : write_tree_tar(root_.get(), path, sink);
    EXPECT_TRUE(written.ok()) << written.error().message();
    last_tar_ = bytes;
    TextSource source(bytes);
    TarReader reader(source);
    std::map<std::string, std::string> found;
    while (true) {
      auto entry = reader.next();
      EXPECT_TRUE(entry.ok());
      if (!entry.ok() || !*entry) return found;
      std::string content;
      if ((*entry)->kind == TarEntry::Kind::file) content = *read_text(reader.content(), 1 << 20);
      found[(*entry)->path] = (*entry)->link_target.empty() ? content : "-> " + (*entry)->link_target;
    }
  }
  Result<> extract(const std::string& tar, const std::string& directory, ExtractOptions options = {}) {
    TextSource source(tar);
    return extract_tree(root_.get(), directory, source, options);
  }

  fs::path base_;
  Fd root_;
  std::string last_tar_;
};

TEST_F(TreeCopyTest, LooksUpWithoutFollowingTheLastName) {
  const auto link = look_up(root_.get(), "/absolute");
  ASSERT_TRUE(link.ok());
  EXPECT_TRUE(S_ISLNK(link->status.st_mode));
  EXPECT_EQ(link->link_target, "/etc/passwd");
  EXPECT_EQ(look_up(root_.get(), "/etc/relative")->link_target, "/etc/sub");
  EXPECT_EQ(look_up(root_.get(), "/etc/up")->link_target, "/outside");
  EXPECT_EQ(look_up(root_.get(), "/etc/relative/")->name, "relative");
  EXPECT_TRUE(S_ISDIR(look_up(root_.get(), "/etc/relative/.")->status.st_mode));
  EXPECT_EQ(look_up(root_.get(), "/")->name, "/");
  EXPECT_EQ(look_up(root_.get(), "/nosuch").error().errno_value(), ENOENT);
  EXPECT_EQ(look_up(root_.get(), "/etc/passwd/").error().errno_value(), ENOTDIR);
}

TEST_F(TreeCopyTest, LinksThatLeadOutStayInside) {
  EXPECT_FALSE(look_up(root_.get(), "/etc/up/").ok());
  EXPECT_FALSE(look_up(root_.get(), "/away/.").ok());
  EXPECT_FALSE(look_up(root_.get(), "/../../outside").ok());
}

TEST_F(TreeCopyTest, NamesEntriesAsDockerDoes) {
  EXPECT_EQ(tar_of("/etc/sub"), (std::map<std::string, std::string>{{"sub/", ""}, {"sub/file", "in sub"}}));
  EXPECT_EQ(tar_of("/etc/sub/."), (std::map<std::string, std::string>{{"./", ""}, {"./file", "in sub"}}));
  EXPECT_EQ(tar_of("/etc/sub/file"), (std::map<std::string, std::string>{{"file", "in sub"}}));
  EXPECT_EQ(tar_of("/absolute"), (std::map<std::string, std::string>{{"absolute", "-> /etc/passwd"}}));
  EXPECT_EQ(tar_of("/").count("/etc/sub/file"), 1u);
  EXPECT_EQ(tar_of("all").count("etc/sub/file"), 1u);
}

TEST_F(TreeCopyTest, HardLinksStayLinks) {
  fs::create_hard_link(root_path() / "etc/sub/file", root_path() / "etc/sub/twin");
  EXPECT_EQ(tar_of("/etc/sub"),
            (std::map<std::string, std::string>{{"sub/", ""}, {"sub/file", "in sub"}, {"sub/twin", "-> sub/file"}}));
}

TEST_F(TreeCopyTest, WhatGoesOutComesIn) {
  tar_of("/etc");
  fs::create_directory(root_path() / "copy");
  const auto own = std::pair(::geteuid(), ::getegid());
  ASSERT_TRUE(extract(last_tar_, "/copy", {.keep_kinds = true, .owner = own}).ok());
  EXPECT_EQ(read("copy/etc/sub/file"), "in sub");
  EXPECT_EQ(fs::read_symlink(root_path() / "copy/etc/relative"), "sub/../sub");
}

TEST_F(TreeCopyTest, ExtractionFollowsLinksOnlyInside) {
  fs::create_directory(root_path() / "from");
  write("from/planted", "x");
  tar_of("/from/.");
  const auto own = std::pair(::geteuid(), ::getegid());
  // "/away" leads to a directory beside the root: in the container's eyes there is none of that name…
  EXPECT_FALSE(extract(last_tar_, "/away", {.keep_kinds = false, .owner = own}).ok());
  EXPECT_TRUE(fs::is_empty(base_ / "outside"));
  // …until it has one.
  const fs::path inside = root_path() / base_.relative_path() / "outside";
  fs::create_directories(inside);
  ASSERT_TRUE(extract(last_tar_, "/away", {.keep_kinds = false, .owner = own}).ok());
  EXPECT_TRUE(fs::exists(inside / "planted"));
  EXPECT_TRUE(fs::is_empty(base_ / "outside"));
}

TEST_F(TreeCopyTest, KindsAreKeptWhenAskedFor) {
  fs::create_directory(root_path() / "from");
  write("from/sub", "a file now");
  tar_of("/from/.");
  const auto own = std::pair(::geteuid(), ::getegid());
  const Result<> refused = extract(last_tar_, "/etc", {.keep_kinds = true, .owner = own});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("cannot overwrite directory \"/etc/sub\" with non-directory"), std::string::npos)
      << refused.error().message();
  ASSERT_TRUE(extract(last_tar_, "/etc", {.keep_kinds = false, .owner = own}).ok());
  EXPECT_EQ(read("etc/sub"), "a file now");
}

TEST_F(TreeCopyTest, OwnersByTheTreesFiles) {
  EXPECT_EQ(*look_up_owner(root_.get(), "app"), std::pair(uid_t{1000}, gid_t{1001}));
  EXPECT_EQ(*look_up_owner(root_.get(), "app:wheel"), std::pair(uid_t{1000}, gid_t{10}));
  EXPECT_EQ(*look_up_owner(root_.get(), "1000"), std::pair(uid_t{1000}, gid_t{1001}));
  EXPECT_EQ(*look_up_owner(root_.get(), "7:8"), std::pair(uid_t{7}, gid_t{8}));
  EXPECT_EQ(*look_up_owner(root_.get(), "7"), std::pair(uid_t{7}, gid_t{0}));
  EXPECT_EQ(look_up_owner(root_.get(), "nosuch").error().message(),
            "unable to find user nosuch: no matching entries in passwd file");
}

TEST_F(TreeCopyTest, SizeCountsContentOnce) {
  const uint64_t before = tree_size((root_path() / "etc/sub").string());
  EXPECT_EQ(before, 6u);
  fs::create_hard_link(root_path() / "etc/sub/file", root_path() / "etc/sub/twin");
  EXPECT_EQ(tree_size((root_path() / "etc/sub").string()), 6u);
  EXPECT_EQ(tree_size("/nosuch"), 0u);
}

}  // namespace
}  // namespace gantry::engine
