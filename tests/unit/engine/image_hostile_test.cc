// Layers that want out: every row is an archive made by somebody who means harm. Whatever it is, nothing outside the
// layer's directory changes, and what is refused names the entry.
#include <functional>

#include "engine/image/byte_source.h"
#include "engine/image/layer_view.h"
#include "engine/image/unpack.h"
#include "image_fixture.h"

namespace gantry::engine {
namespace {

constexpr const char* kRefused = "refused";    // with the name of the last entry in the message
constexpr const char* kHarmless = "harmless";  // unpacked, within the layer

struct Case {
  const char* name;
  std::vector<TarItem> items;
  const char* outcome;
};

TarItem file_item(const std::string& path, const std::string& content = "evil") { return {.path = path, .content = content}; }
TarItem symlink_to(const std::string& path, const std::string& target) {
  return {.path = path, .type = '2', .link = target};
}
TarItem hard_link_to(const std::string& path, const std::string& target) {
  return {.path = path, .type = '1', .link = target};
}
TarItem directory(const std::string& path) { return {.path = path, .type = '5', .mode = 0755}; }

// "V" in paths and links is the victim: a directory beside the layer, by its absolute path.
std::vector<Case> cases() {
  return {
      {"parent", {file_item("../victim/f")}, kRefused},
      {"parent in the middle", {file_item("a/../../victim/f")}, kRefused},
      {"many parents", {file_item("../../../../../../../../V/f")}, kRefused},
      {"parent at the end", {file_item("a/../..")}, kRefused},
      {"parent of a directory", {directory("../victim/d")}, kRefused},
      {"parent of a symlink", {symlink_to("../victim/l", "f")}, kRefused},
      {"parent of a hard link", {file_item("a"), hard_link_to("../victim/h", "a")}, kRefused},
      {"absolute name", {file_item("V/new")}, kHarmless},
      {"absolute directory", {directory("V/d")}, kHarmless},
      {"double slash", {file_item("/V/new")}, kHarmless},
      {"dots and slashes", {file_item("./././/V//./new")}, kHarmless},
      {"through an absolute symlink", {symlink_to("l", "V"), file_item("l/new")}, kRefused},
      {"through a relative symlink", {symlink_to("l", "../victim"), file_item("l/new")}, kRefused},
      {"through a chain of symlinks", {symlink_to("a", "b"), symlink_to("b", "V"), file_item("a/new")}, kRefused},
      {"through a symlink to the root", {symlink_to("l", "/"), file_item("l/V/new")}, kHarmless},
      {"over a symlink", {symlink_to("l", "V/precious"), file_item("l", "mine")}, kHarmless},
      {"a directory over a symlink", {symlink_to("l", "V"), directory("l"), file_item("l/new")}, kHarmless},
      {"mode through a symlink", {symlink_to("l", "V/precious"), {.path = "l", .type = '2', .link = "V/precious",
                                                                 .mode = 0777, .uid = 5}}, kHarmless},
      {"symlink to itself", {symlink_to("l", "l"), file_item("l/f")}, kRefused},
      {"symlinks in a circle", {symlink_to("a", "b"), symlink_to("b", "a"), file_item("a/f")}, kRefused},
      {"hard link to outside", {hard_link_to("h", "V/precious")}, kRefused},
      {"hard link by parents", {hard_link_to("h", "../victim/precious")}, kRefused},
      {"hard link through a symlink", {symlink_to("l", "V"), hard_link_to("h", "l/precious")}, kRefused},
      {"hard link to a symlink that leads out",
       {symlink_to("l", "V/precious"), hard_link_to("h", "l"), file_item("h", "x")}, kHarmless},
      {"hard link to nothing", {hard_link_to("h", "nosuch")}, kRefused},
      {"hard link to a directory", {directory("d"), hard_link_to("h", "d")}, kRefused},
      {"hard link to itself", {hard_link_to("h", "h")}, kRefused},
      {"whiteout of a parent", {file_item("../.wh.victim", "")}, kRefused},
      {"whiteout with dots", {file_item(".wh...", "")}, kRefused},
      {"whiteout of the directory itself", {file_item(".wh..", "")}, kRefused},
      {"whiteout without a name", {file_item(".wh.", "")}, kRefused},
      {"whiteout through a symlink", {symlink_to("l", "V"), file_item("l/.wh.precious", "")}, kRefused},
      {"opaque mark through a symlink", {symlink_to("l", "V"), file_item("l/.wh..wh..opq", "")}, kRefused},
      {"a file where a directory is needed", {file_item("f"), file_item("f/x")}, kRefused},
      {"a file over a full directory", {file_item("d/x"), file_item("d")}, kHarmless},
      {"a symlink over a full directory", {file_item("d/x"), symlink_to("d", "V"), file_item("d/new")}, kRefused},
      {"a directory over a file", {file_item("f"), directory("f"), file_item("f/x")}, kHarmless},
      {"a device", {{.path = "disk", .type = '4'}}, kHarmless},
      {"a fifo that is written to", {{.path = "p", .type = '6'}, file_item("p")}, kHarmless},
      {"an unknown kind", {{.path = "x", .type = 'Z'}}, kHarmless},
      {"the root as a file", {file_item("/")}, kRefused},
      {"the root as a symlink", {symlink_to(".", "V"), file_item("new")}, kHarmless},
      {"a name of one dot", {file_item("./")}, kRefused},
      {"a long name", {file_item(std::string(99, 'n'))}, kHarmless},
      {"a setuid program of root", {{.path = "su", .content = "x", .mode = 04755}}, kHarmless},
      {"the same name a thousand times", std::vector<TarItem>(1000, file_item("again")), kHarmless},
  };
}

class Hostile : public ::testing::Test {
 protected:
  void SetUp() override {
    NEEDS_ROOT();
    std::filesystem::create_directory(root / "victim");
    ASSERT_TRUE(write_file(root / "victim/precious", "precious").ok());
    before = outside();
  }

  // "V" → the victim's path.
  std::string placed(std::string text) const {
    const size_t at = text.find('V');
    if (at != std::string::npos) text.replace(at, 1, (root / "victim").native());
    return text;
  }

  std::string outside() const {
    std::string text;
    for (const auto& item : std::filesystem::recursive_directory_iterator(root.path())) {
      if (item.path().native().find((root / "layer").native()) == 0) continue;
      struct stat status {};
      lstat(item.path().c_str(), &status);
      text += item.path().native() + " " + std::to_string(status.st_mode) + " " + std::to_string(status.st_uid) + " " +
              std::to_string(status.st_nlink) + " " + (S_ISREG(status.st_mode) ? text_of(item.path()) : "") + "\n";
    }
    return text;
  }

  Result<Unpacked> unpack_text(const std::string& tar, UnpackOptions options = {}) {
    std::error_code ignored;
    std::filesystem::remove_all(root / "layer", ignored);
    std::filesystem::create_directory(root / "layer");
    const Fd directory = TRY(open_file(root / "layer", O_RDONLY | O_DIRECTORY));
    TextSource source(tar);
    return unpack(source, directory.get(), options);
  }

  TemporaryDirectory root;
  std::string before;
};

TEST_F(Hostile, NothingOutsideChanges) {
  const std::vector<Case> all = cases();
  EXPECT_GE(all.size(), 40u);
  for (Case row : all) {
    for (TarItem& item : row.items) {
      item.path = placed(item.path);
      item.link = placed(item.link);
      if (item.path.size() > 99) item.path.resize(99);
    }
    const Result<Unpacked> done = unpack_text(make_tar(row.items));
    EXPECT_EQ(outside(), before) << row.name;
    EXPECT_EQ(std::string(done.ok() ? kHarmless : kRefused), row.outcome)
        << row.name << ": " << (done.ok() ? "" : done.error().message());
    if (done.ok() || done.error().message() == "no proper tar archive: Damaged tar archive") continue;
    EXPECT_NE(done.error().message().find(row.items.back().path), std::string::npos)
        << row.name << ": " << done.error().message();
  }
}

TEST_F(Hostile, DamagedArchivesAreRefused) {
  const std::string good = make_tar({{.path = "a", .content = std::string(5000, 'x')}, {.path = "b", .content = "y"}});
  for (size_t cut : {1u, 100u, 511u, 513u, 1024u, 3000u}) {
    EXPECT_FALSE(unpack_text(good.substr(0, cut)).ok()) << cut;
    EXPECT_EQ(outside(), before) << cut;
  }
  std::string wrong_sum = good;
  wrong_sum[150] ^= 1;
  EXPECT_FALSE(unpack_text(wrong_sum).ok());
  std::string huge = make_tar({{.path = "a", .content = "x"}});
  huge.replace(124, 11, "77777777777");  // eight gigabytes that are not there
  EXPECT_FALSE(unpack_text(huge).ok());
  for (unsigned seed = 1; seed < 200; ++seed) {  // bits that fell over: any answer, but no harm
    std::string spoilt = good;
    for (unsigned i = 0; i < 20; ++i) spoilt[(seed * 7919u + i * 104729u) % spoilt.size()] ^= static_cast<char>(seed);
    (void)unpack_text(spoilt).ok();
    ASSERT_EQ(outside(), before) << seed;
  }
}

TEST_F(Hostile, LimitsHold) {
  UnpackOptions few;
  few.limits.entries = 3;
  EXPECT_FALSE(unpack_text(make_tar({file_item("a"), file_item("b"), file_item("c"), file_item("d")}), few).ok());
  UnpackOptions small;
  small.limits.bytes = 10;
  EXPECT_FALSE(unpack_text(make_tar({file_item("a", std::string(11, 'x'))}), small).ok());
}

TEST_F(Hostile, ContextsAreNoBetterThanLayers) {
  for (Case row : cases()) {
    for (TarItem& item : row.items) {
      item.path = placed(item.path);
      item.link = placed(item.link);
      if (item.path.size() > 99) item.path.resize(99);
    }
    (void)unpack_text(make_tar(row.items), {.form = UnpackOptions::Form::files}).ok();
    EXPECT_EQ(outside(), before) << row.name;
  }
}

}  // namespace
}  // namespace gantry::engine
