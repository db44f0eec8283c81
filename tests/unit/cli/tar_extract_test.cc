#include "cli/tar_extract.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/fd.h"
#include "cli/tar_stream.h"

namespace gantry::cli {
namespace {

namespace fs = std::filesystem;

class TarExtract : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "gantry-tar.XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    fs::create_directories(root_ / "in");
    fs::create_directories(root_ / "out");
  }
  void TearDown() override { fs::remove_all(root_); }

  Result<> extract(const std::string& archive, const std::string& name = "") {
    bool given = false;
    return extract_tar((root_ / "out").string(), {.root_name = name}, [&]() -> Result<std::string> {
      return std::exchange(given, true) ? std::string() : archive;
    });
  }
  static std::string entry(TarEntry header, const std::string& content = "") {
    header.size = content.size();
    return tar_header(header) + content + tar_padding(content.size());
  }

  fs::path root_;
};

TEST_F(TarExtract, ATreeComesBackAsItWas) {
  fs::create_directories(root_ / "in/sub");
  ASSERT_TRUE(write_file(root_ / "in/sub/file", std::string(100'000, 'x')).ok());
  ASSERT_TRUE(write_file(root_ / "in/empty", "").ok());
  fs::create_symlink("sub/file", root_ / "in/link");
  fs::permissions(root_ / "in/sub/file", fs::perms(0750));
  auto items = tree_items(root_ / "in", "in", {});
  ASSERT_TRUE(items.ok());
  TarStream stream(*items, "test");
  ASSERT_TRUE(extract_tar((root_ / "out").string(), {.root_name = "copy"}, [&] { return stream.next(); }).ok());
  EXPECT_EQ(read_file(root_ / "out/copy/sub/file").value_or(""), std::string(100'000, 'x'));
  EXPECT_EQ(fs::status(root_ / "out/copy/sub/file").permissions(), fs::perms(0750));
  EXPECT_EQ(fs::read_symlink(root_ / "out/copy/link"), "sub/file");
  EXPECT_TRUE(fs::exists(root_ / "out/copy/empty"));
}

TEST_F(TarExtract, NothingGetsOutOfTheDirectory) {
  const std::string outside = (root_ / "outside").string();
  fs::create_directories(outside);
  // A link to the outside, and a file through it: the link gives way. A name with dots; a name through the root.
  (void)extract(entry({.path = "r/link", .kind = TarEntry::Kind::symlink, .target = outside}) +
                entry({.path = "r/link/evil"}, "evil") + tar_end())
      .ok();
  EXPECT_FALSE(extract(entry({.path = "r/../../evil"}, "evil") + tar_end()).ok());
  (void)extract(entry({.path = "/etc/../../evil"}, "evil") + tar_end()).ok();
  EXPECT_TRUE(fs::is_empty(outside));
  EXPECT_FALSE(fs::exists(root_ / "evil"));
  EXPECT_FALSE(fs::exists(root_.parent_path() / "evil"));
}

TEST_F(TarExtract, GarbageIsAnError) { EXPECT_FALSE(extract(std::string(4096, 'z')).ok()); }

}  // namespace
}  // namespace gantry::cli
