// docker diff's answers, with real whiteouts (which only root can make).
#include "engine/container/file_changes.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fstream>

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;

class FileChangesTest : public testing::Test {
 protected:
  FileChangesTest() {
    if (::geteuid() != 0) return;
    char name[] = "/tmp/gantry-changes-XXXXXX";
    base_ = ::mkdtemp(name);
    fs::create_directories(lower() / "etc");
    fs::create_directories(lower() / "kept/inner");
    std::ofstream(lower() / "etc/passwd") << "x";
    std::ofstream(lower() / "kept/inner/file") << "x";
    fs::create_directories(upper());
  }
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }
  ~FileChangesTest() override {
    if (!base_.empty()) fs::remove_all(base_);
  }
  fs::path lower() const { return base_ / "lower"; }
  fs::path upper() const { return base_ / "upper"; }
  void whiteout(const std::string& path) { ASSERT_EQ(::mknod((upper() / path).c_str(), S_IFCHR, 0), 0); }
  std::string changes() {
    auto found = file_changes(upper(), {lower()});
    if (!found.ok()) return found.error().message();
    std::string text;
    for (const FileChange& change : *found) text += std::string(1, "CAD"[static_cast<int>(change.kind)]) + " " + change.path + "\n";
    return text;
  }

  fs::path base_;
};

TEST_F(FileChangesTest, NothingIsNothing) { EXPECT_EQ(changes(), ""); }

TEST_F(FileChangesTest, AddedModifiedDeletedWithTheirDirectories) {
  fs::create_directories(upper() / "etc");
  fs::create_directories(upper() / "new");
  std::ofstream(upper() / "etc/added") << "x";
  std::ofstream(upper() / "new/file") << "x";
  whiteout("etc/passwd");
  fs::create_directories(upper() / "kept/inner");
  std::ofstream(upper() / "kept/inner/file") << "changed";
  EXPECT_EQ(changes(),
            "C /etc\nA /etc/added\nD /etc/passwd\nC /kept\nC /kept/inner\nC /kept/inner/file\nA /new\nA /new/file\n");
}

TEST_F(FileChangesTest, PlacesOfTheSandboxsMountsAreNoChanges) {
  for (const char* directory : {"dev", "proc", "sys", "etc"}) fs::create_directories(upper() / directory);
  for (const char* file : {"etc/hosts", "etc/hostname", "etc/resolv.conf", ".dockerenv"}) std::ofstream(upper() / file).flush();
  EXPECT_EQ(changes(), "");
  std::ofstream(upper() / "etc/hosts") << "not ours";
  EXPECT_EQ(changes(), "C /etc\nA /etc/hosts\n");
}

TEST_F(FileChangesTest, ADirectoryMadeAnewHidesTheOldOne) {
  fs::create_directories(upper() / "kept");
  ASSERT_EQ(::setxattr((upper() / "kept").c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  std::ofstream(upper() / "kept/other") << "x";
  EXPECT_EQ(changes(), "C /kept\nD /kept/inner\nA /kept/other\n");
}

}  // namespace
}  // namespace gantry::engine
