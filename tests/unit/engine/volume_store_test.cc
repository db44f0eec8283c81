#include "engine/volume/volume_store.h"

#include "engine/volume/copy_up.h"
#include "unit/engine/image_fixture.h"

namespace gantry::engine {
namespace {

std::string refusal(VolumeSpec spec) {
  auto checked = check_volume_spec(spec);
  return checked.ok() ? "ok" : checked.error().message();
}

TEST(VolumeSpec, IsCheckedInDockersWords) {
  EXPECT_EQ(refusal({.name = "data"}), "ok");
  EXPECT_EQ(refusal({}), "ok");
  EXPECT_EQ(refusal({.name = "a"}),
            "create a: volume name is too short, names should be at least two alphanumeric characters");
  EXPECT_EQ(refusal({.name = "rel/x"}),
            "create rel/x: \"rel/x\" includes invalid characters for a local volume name, only "
            "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path");
  EXPECT_EQ(refusal({.name = "vv", .driver = "foo"}),
            "create vv: error looking up volume plugin foo: plugin \"foo\" not found");
  EXPECT_EQ(refusal({.name = "vv", .options = {{"foo", "1"}}}), "create vv: invalid option: \"foo\"");
  EXPECT_EQ(refusal({.name = "vv", .options = {{"type", "tmpfs"}}}), "create vv: missing required option: \"device\"");
  EXPECT_EQ(refusal({.name = "vv", .options = {{"device", "/x"}}}), "create vv: missing required option: \"type\"");
  EXPECT_EQ(refusal({.name = "vv", .options = {{"device", "/x"}, {"o", "bind"}}}), "ok");
}

// kill -9 at each step of a removal: what was told to be gone is deleted, what was not is there as before.
TEST(VolumeStore, ARemovalThatACrashInterruptsIsUndoneOrCompleted) {
  TemporaryDirectory directory;
  auto database = VALUE(Database::open(directory / "db"));
  SeededRandom random(7);
  VolumeStore before(directory / "volumes", *database);
  for (const char* name : {"told", "untold"}) {
    ASSERT_TRUE(before.keep(before.describe({.name = name}, {}, random)).ok());
    std::filesystem::create_directories(before.directory_of(name) / "_data/content");
  }
  ASSERT_TRUE(before.set_aside("told").ok());
  std::filesystem::rename(before.directory_of("untold"), before.directory_aside("untold"));
  VolumeStore after(directory / "volumes", *database);
  ASSERT_TRUE(after.load().ok());
  EXPECT_EQ(after.find("told"), nullptr);
  EXPECT_FALSE(std::filesystem::exists(after.directory_of("told")));
  EXPECT_EQ(after.strays(), std::vector{after.directory_aside("told")});
  EXPECT_NE(after.find("untold"), nullptr);
  EXPECT_TRUE(std::filesystem::exists(after.directory_of("untold") / "_data/content"));
}

TEST(VolumeStore, KeepsVolumesAndKnowsThoseOfAProject) {
  TemporaryDirectory directory;
  auto database = VALUE(Database::open(directory / "db"));
  SeededRandom random(7);
  {
    VolumeStore store(directory / "volumes", *database);
    VolumeRecord anonymous = store.describe({}, WallTime{std::chrono::seconds(5)}, random);
    EXPECT_EQ(anonymous.spec.name.size(), 64u);
    EXPECT_TRUE(anonymous.spec.labels.contains(kAnonymousVolumeLabel));
    ASSERT_TRUE(store.keep(anonymous).ok());
    ASSERT_TRUE(store.keep(store.describe({.name = "data", .labels = {{"com.docker.compose.project", "shop"}}}, {}, random)).ok());
    ASSERT_TRUE(store.forget(anonymous.spec.name).ok());
  }
  VolumeStore store(directory / "volumes", *database);
  ASSERT_TRUE(store.load().ok());
  ASSERT_EQ(store.list().size(), 1u);
  ASSERT_EQ(store.of_project("shop").size(), 1u);
  EXPECT_TRUE(store.of_project("other").empty());
  EXPECT_EQ(store.mount_of(*store.find("data")).directory, directory / "volumes/data/_data");
  ASSERT_TRUE(store.forget("data").ok());
  EXPECT_TRUE(store.of_project("shop").empty());
}

TEST(VolumeStore, OptionsDecideWhatIsMounted) {
  TemporaryDirectory directory;
  auto database = VALUE(Database::open(directory / "db"));
  VolumeStore store(directory / "volumes", *database);
  const VolumeMount bound =
      store.mount_of({.spec = {.name = "vv", .options = {{"type", "none"}, {"o", "bind"}, {"device", "/srv"}}}});
  EXPECT_EQ(bound.directory, "/srv");
  EXPECT_FALSE(bound.own_filesystem);
  const VolumeMount memory =
      store.mount_of({.spec = {.name = "vv", .options = {{"type", "tmpfs"}, {"o", "size=1m"}, {"device", "tmpfs"}}}});
  EXPECT_TRUE(memory.own_filesystem);
  EXPECT_EQ(memory.type + memory.device + memory.options, "tmpfstmpfssize=1m");
}

class CopyUp : public testing::Test {
 protected:
  void SetUp() override {
    NEEDS_ROOT();
    std::filesystem::create_directories(directory_ / "top");
    std::filesystem::create_directories(directory_ / "bottom/data/inner");
    std::filesystem::create_directories(directory_ / "volume/_data");
  }
  Result<> copy(const std::string& target = "/data") {
    return copy_up({directory_ / "top", directory_ / "bottom"}, target, directory_ / "volume/_data");
  }
  std::filesystem::path data() { return directory_ / "volume/_data"; }
  TemporaryDirectory directory_;
};

TEST_F(CopyUp, CopiesOwnersModesTimesLinksAndAttributes) {
  const auto from = directory_ / "bottom/data";
  ASSERT_TRUE(write_file(from / "file", "text").ok());
  ASSERT_EQ(chown((from / "file").c_str(), 5, 6), 0);
  ASSERT_EQ(chmod((from / "file").c_str(), 04750), 0);
  std::filesystem::create_hard_link(from / "file", from / "inner/twin");
  std::filesystem::create_symlink("/etc/passwd", from / "link");
  const bool attributes = setxattr((from / "file").c_str(), "user.note", "hi", 2, 0) == 0;
  const timespec times[2] = {{1000, 5}, {2000, 7}};
  ASSERT_EQ(utimensat(AT_FDCWD, (from / "file").c_str(), times, 0), 0);
  ASSERT_EQ(chown(from.c_str(), 70, 71), 0);
  ASSERT_EQ(chmod(from.c_str(), 0700), 0);
  auto copied = copy();
  ASSERT_TRUE(copied.ok()) << copied.error().message();
  struct stat file {}, twin {}, root {};
  ASSERT_EQ(stat((data() / "file").c_str(), &file), 0);
  ASSERT_EQ(stat((data() / "inner/twin").c_str(), &twin), 0);
  ASSERT_EQ(stat(data().c_str(), &root), 0);
  EXPECT_EQ(file.st_uid, 5u);
  EXPECT_EQ(file.st_gid, 6u);
  EXPECT_EQ(file.st_mode & 07777, 04750u);
  EXPECT_EQ(file.st_mtim.tv_sec, 2000);
  EXPECT_EQ(file.st_mtim.tv_nsec, 7);
  EXPECT_EQ(file.st_ino, twin.st_ino);
  EXPECT_EQ(root.st_uid, 70u);
  EXPECT_EQ(root.st_mode & 07777, 0700u);
  EXPECT_EQ(std::filesystem::read_symlink(data() / "link"), "/etc/passwd");
  char note[8] = {};
  if (attributes) {
    EXPECT_EQ(getxattr((data() / "file").c_str(), "user.note", note, sizeof note), 2);
  }
}

TEST_F(CopyUp, LeavesAVolumeWithContentAlone) {
  ASSERT_TRUE(write_file(directory_ / "bottom/data/file", "image").ok());
  ASSERT_TRUE(write_file(data() / "mine", "kept").ok());
  ASSERT_TRUE(copy().ok());
  EXPECT_FALSE(std::filesystem::exists(data() / "file"));
}

TEST_F(CopyUp, TakesTheMergedViewAndFollowsLinksWithinTheImage) {
  ASSERT_TRUE(write_file(directory_ / "bottom/data/old", "x").ok());
  std::filesystem::create_directories(directory_ / "top/data");
  ASSERT_TRUE(write_file(directory_ / "top/data/new", "y").ok());
  ASSERT_EQ(mknod((directory_ / "top/data/old").c_str(), S_IFCHR, 0), 0);  // deleted by the upper layer
  std::filesystem::create_symlink("/data", directory_ / "top/alias");
  ASSERT_TRUE(copy("/alias").ok());
  EXPECT_TRUE(std::filesystem::exists(data() / "new"));
  EXPECT_FALSE(std::filesystem::exists(data() / "old"));
}

TEST_F(CopyUp, AnInterruptedCopyDoesNotLookFilled) {
  ASSERT_TRUE(write_file(directory_ / "bottom/data/file", "image").ok());
  std::filesystem::create_directories(directory_ / "volume/_data.new/half");
  ASSERT_TRUE(copy().ok());
  EXPECT_TRUE(std::filesystem::exists(data() / "file"));
  EXPECT_FALSE(std::filesystem::exists(data() / "half"));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "volume/_data.new"));
}

TEST_F(CopyUp, NothingInTheImageIsNoError) {
  EXPECT_TRUE(copy("/nowhere").ok());
  ASSERT_TRUE(write_file(directory_ / "bottom/file", "").ok());
  EXPECT_TRUE(copy("/file").ok());
  EXPECT_TRUE(std::filesystem::is_empty(data()));
}

}  // namespace
}  // namespace gantry::engine
