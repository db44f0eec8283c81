// LayerView says what overlayfs shows: the same layers seen by both.
#include "engine/image/layer_view.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/random.h"
#include "base/scope_exit.h"

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;

// Random layers over few names, so that files, directories, links and whiteouts meet in every combination.
void fill(const fs::path& directory, SeededRandom& random, bool may_hide, int depth) {
  for (const char* name : {"a", "b", "c", "d"}) {
    const fs::path path = directory / name;
    switch (random.below(may_hide ? 7 : 5)) {
      case 0:
      case 1:
        break;
      case 2:
        ASSERT_TRUE(write_file(path, std::to_string(random.below(1000))).ok());
        break;
      case 3:
        fs::create_symlink(random.below(2) == 0 ? "/a/b" : "../c", path);
        break;
      case 4:
      case 5:
        fs::create_directory(path);
        chmod(path.c_str(), 0700 + static_cast<mode_t>(random.below(64)));
        if (may_hide && random.below(3) == 0) {
          ASSERT_EQ(setxattr(path.c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
        }
        if (depth < 3) fill(path, random, may_hide, depth + 1);
        break;
      default:
        ASSERT_EQ(mknod(path.c_str(), S_IFCHR, makedev(0, 0)), 0);
    }
  }
}

std::string shown_by_view(const LayerView& view, const LayerView::Node& directory) {
  std::string text;
  const std::vector<std::string> names = view.names(directory).value();
  for (const std::string& name : names) {
    const LayerView::Node node = view.child(directory, name).value().value();
    text += node.path() + " " + std::to_string(node.status().st_mode);
    if (node.is_file()) text += " " + view.read_text(node.path()).value();
    if (node.is_symlink()) text += " " + LayerView::read_link(node).value();
    text += "\n";
    if (node.is_directory()) text += shown_by_view(view, node);
  }
  return text;
}

std::string shown_by_kernel(const fs::path& root, const fs::path& directory) {
  std::set<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(directory)) entries.insert(entry.path());
  std::string text;
  for (const fs::path& path : entries) {
    struct stat status {};
    // A directory that exists in one layer only lists its whiteouts, which then cannot be looked up.
    if (lstat(path.c_str(), &status) != 0) continue;
    text += "/" + path.lexically_relative(root).string() + " " + std::to_string(status.st_mode);
    if (S_ISREG(status.st_mode)) text += " " + read_file(path).value();
    if (S_ISLNK(status.st_mode)) text += " " + fs::read_symlink(path).string();
    text += "\n";
    if (S_ISDIR(status.st_mode)) text += shown_by_kernel(root, path);
  }
  return text;
}

// In a process and a mount namespace of its own: nothing can be left behind.
Result<std::string> mount_and_look(const fs::path& mount_point, const std::string& options) {
  Pipe pipe = TRY(make_pipe());
  const pid_t child = fork();
  if (child == 0) {
    const bool mounted = unshare(CLONE_NEWNS) == 0 && mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         mount("overlay", mount_point.c_str(), "overlay", MS_RDONLY, options.c_str()) == 0;
    if (mounted) (void)write_all(pipe.write.get(), shown_by_kernel(mount_point, mount_point)).ok();
    _exit(mounted ? 0 : 1);
  }
  pipe.write.reset();
  std::string text = TRY(read_all(pipe.read.get()));
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) return unsupported("overlay cannot be mounted here");
  return text;
}

TEST(LayerViewContract, ShowsWhatOverlayfsShows) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root: overlay mounts and whiteouts";
  char name[] = "/tmp/gantry-view-XXXXXX";
  const fs::path root = mkdtemp(name);
  ScopeExit remove([&] { fs::remove_all(root); });
  fs::create_directory(root / "mnt");
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    SeededRandom random(seed);
    std::vector<fs::path> layers;
    std::string options = "lowerdir=";
    for (int i = 0; i < 4; ++i) {
      layers.push_back(root / (std::to_string(seed) + "-" + std::to_string(i)));
      fs::create_directory(layers.back());
      fill(layers.back(), random, i < 3, 0);
      options += (i == 0 ? "" : ":") + layers.back().string();
    }
    const Result<std::string> expected = mount_and_look(root / "mnt", options);
    if (!expected.ok()) GTEST_SKIP() << "needs root: " << expected.error().message();
    const LayerView view = LayerView::open(layers).value();
    EXPECT_EQ(shown_by_view(view, view.root()), *expected) << "seed " << seed;
  }
}

}  // namespace
}  // namespace gantry::engine
