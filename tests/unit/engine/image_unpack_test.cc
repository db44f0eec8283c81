#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include "engine/image/layer_tar.h"
#include "engine/image/unpack.h"
#include "image_fixture.h"

namespace gantry::engine {
namespace {

Result<Unpacked> unpack_text(const std::string& tar, const std::filesystem::path& into, UnpackOptions options = {}) {
  const Fd directory = TRY(open_file(into, O_RDONLY | O_DIRECTORY));
  TextSource source(tar);
  return unpack(source, directory.get(), options);
}

const UnpackOptions kFiles{.form = UnpackOptions::Form::files};

std::string gzip(const std::string& text) {
  std::string out(text.size() + 1024, '\0');
  isal_zstream stream{};
  isal_deflate_init(&stream);
  stream.gzip_flag = IGZIP_GZIP;
  stream.end_of_stream = 1;
  stream.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uint32_t>(text.size());
  stream.next_out = reinterpret_cast<uint8_t*>(out.data());
  stream.avail_out = static_cast<uint32_t>(out.size());
  EXPECT_EQ(isal_deflate_stateless(&stream), COMP_OK);
  out.resize(stream.total_out);
  return out;
}

Result<std::string> decompress(const std::string& text) {
  TextSource source(text);
  const std::unique_ptr<ByteSource> plain = TRY(decompressed(source));
  return read_text(*plain, size_t{64} << 20);
}

TEST(Decompress, KnowsTheFormatByItsFirstBytes) {
  const std::string text(300000, 'x');
  EXPECT_EQ(decompress(text).value(), text);
  EXPECT_EQ(decompress("").value(), "");
  EXPECT_EQ(decompress(gzip(text)).value(), text);
  EXPECT_EQ(decompress(gzip("a") + gzip("b")).value(), "ab") << "a gzip file may have several members";
  EXPECT_EQ(decompress(gzip("a") + std::string(100, '\0')).value(), "a") << "padding is no member";
  std::string zstd(ZSTD_compressBound(text.size()), '\0');
  zstd.resize(ZSTD_compress(zstd.data(), zstd.size(), text.data(), text.size(), 3));
  EXPECT_EQ(decompress(zstd).value(), text);
  EXPECT_EQ(decompress(zstd.substr(0, zstd.size() / 2)).error().message(), "unexpected end of zstd data");
}

TEST(Decompress, EveryCutGzipFileIsAnError) {
  const std::string whole = gzip(std::string(5000, 'x') + "and something else");
  for (size_t size = 3; size < whole.size(); ++size) {
    EXPECT_FALSE(decompress(whole.substr(0, size)).ok()) << size;
  }
}

TEST(Unpack, WritesFilesDirectoriesAndLinksWithTheirAttributes) {
  TemporaryDirectory directory;
  const std::string tar = make_tar({{.path = "d/", .type = '5', .mode = 0750, .modified = 5},
                                    {.path = "d/f", .content = "hello", .mode = 0640, .modified = 6},
                                    {.path = "d/s", .type = '2', .link = "f"},
                                    {.path = "d/h", .type = '1', .link = "d/f"},
                                    {.path = "deep/er/f", .content = "x"}});
  ASSERT_TRUE(unpack_text(tar, directory.path(), kFiles).ok());
  EXPECT_EQ(text_of(directory / "d/f"), "hello");
  EXPECT_EQ(text_of(directory / "d/s"), "hello");
  EXPECT_EQ(status_of(directory / "d/h").st_ino, status_of(directory / "d/f").st_ino);
  EXPECT_EQ(status_of(directory / "d").st_mode & 07777, 0750u);
  EXPECT_EQ(status_of(directory / "d").st_mtim.tv_sec, 5) << "writing into it later must not show";
  EXPECT_EQ(status_of(directory / "d/f").st_mtim.tv_sec, 6);
  EXPECT_EQ(status_of(directory / "deep").st_mode & 07777, 0755u);
}

TEST(Unpack, HostileNamesStayInside) {
  TemporaryDirectory outer;
  const std::filesystem::path inside = outer / "inside";
  std::filesystem::create_directory(inside);
  struct Row {
    const char* why;
    std::vector<TarItem> items;
    bool refused;
    const char* lands;  // where the file may be found, "" = nowhere
  };
  const Row rows[] = {
      {"parent", {{.path = "../evil", .content = "x"}}, true, ""},
      {"hidden parent", {{.path = "a/../../evil", .content = "x"}}, true, ""},
      {"absolute", {{.path = "/evil", .content = "x"}}, false, "evil"},
      {"clean", {{.path = "a/../evil", .content = "x"}}, false, "evil"},
      {"symlinked parent",
       {{.path = "l", .type = '2', .link = "../.."}, {.path = "l/evil", .content = "x"}},
       false,
       "evil"},
      {"absolute symlinked parent",
       {{.path = "tmp/", .type = '5'}, {.path = "l", .type = '2', .link = "/tmp"}, {.path = "l/evil", .content = "x"}},
       false,
       "tmp/evil"},
      {"last name is a link",
       {{.path = "l", .type = '2', .link = "../evil"}, {.path = "l", .content = "x"}},
       false,
       "l"},
      {"hard link out", {{.path = "h", .type = '1', .link = "../secret"}}, true, ""},
      {"hard link through a link",
       {{.path = "l", .type = '2', .link = ".."}, {.path = "h", .type = '1', .link = "l/secret"}},
       true,
       ""},
      {"device", {{.path = "null", .type = '3'}}, true, ""},
  };
  for (const Row& row : rows) {
    std::filesystem::remove_all(inside);
    std::filesystem::create_directory(inside);
    ASSERT_TRUE(write_file(outer / "secret", "secret").ok());
    const Result<Unpacked> done = unpack_text(make_tar(row.items), inside, kFiles);
    EXPECT_EQ(done.ok(), !row.refused) << row.why << (done.ok() ? "" : ": " + done.error().message());
    EXPECT_FALSE(std::filesystem::exists(outer / "evil")) << row.why;
    EXPECT_EQ(text_of(outer / "secret"), "secret") << row.why;
    if (*row.lands != '\0') {
      EXPECT_EQ(text_of(inside / row.lands), "x") << row.why;
    }
  }
}

TEST(Unpack, LimitsAreKept) {
  TemporaryDirectory directory;
  UnpackOptions options = kFiles;
  options.limits = {.bytes = 10, .entries = 100};
  EXPECT_EQ(
      unpack_text(make_tar({{.path = "a", .content = "12345678901"}}), directory.path(), options).error().message(),
      "\"a\": tar holds more than 10 bytes");
  options.limits = {.bytes = 100, .entries = 1};
  EXPECT_FALSE(unpack_text(make_tar({{.path = "a"}, {.path = "b"}}), directory.path(), options).ok());
}

TEST(Unpack, GarbageIsNoTar) {
  TemporaryDirectory directory;
  EXPECT_EQ(unpack_text(std::string(2000, 'x'), directory.path(), kFiles).error().code(), Code::invalid);
}

TEST(Unpack, WhiteoutsHideTheLayersBelowAndNothingOfTheirOwn) {
  NEEDS_ROOT();
  TemporaryDirectory lower;
  TemporaryDirectory upper;
  ASSERT_TRUE(unpack_text(make_tar({{.path = "gone", .content = "1"},
                                    {.path = "kept", .content = "1"},
                                    {.path = "d/old", .content = "1"},
                                    {.path = "again/old", .content = "1"}}),
                          lower.path())
                  .ok());
  const LayerView below = VALUE(LayerView::open({lower.path()}));
  ASSERT_TRUE(unpack_text(make_tar({{.path = ".wh.gone"},
                                    {.path = "d/new", .content = "2"},
                                    {.path = "d/.wh..wh..opq"},
                                    {.path = ".wh.again"},
                                    {.path = "again/", .type = '5'},
                                    {.path = "again/new", .content = "2"},
                                    {.path = "own", .content = "2"},
                                    {.path = ".wh.own"},
                                    {.path = ".wh.never"},
                                    {.path = "d/.wh.old"},
                                    {.path = ".wh..wh.plnk", .content = "x"}}),
                          upper.path(), {.below = present(below)})
                  .ok());
  EXPECT_TRUE(S_ISCHR(status_of(upper / "gone").st_mode));
  // overlayfs lists whiteouts that hide nothing, as broken files.
  EXPECT_FALSE(std::filesystem::exists(upper / "never"));
  EXPECT_FALSE(std::filesystem::exists(upper / "d/old"));
  const LayerView view = VALUE(LayerView::open({upper.path(), lower.path()}));
  const auto names = [&](const std::string& path) -> std::string {
    const auto node = view.find(path).value();
    if (!node.has_value()) return "<missing>";
    std::string list;
    const std::vector<std::string> found = view.names(*node).value();
    for (const std::string& name : found) list += name + " ";
    return list;
  };
  EXPECT_EQ(names("/"), "again d kept own ");
  EXPECT_EQ(names("/d"), "new ");
  EXPECT_EQ(names("/again"), "new ");
  EXPECT_EQ(view.read_text("/own").value(), "2");
  EXPECT_EQ(unpack_text(make_tar({{.path = ".wh.."}}), upper.path()).error().message(), "\".wh..\": invalid whiteout");
}

TEST(Unpack, WhatTheTarForgotComesFromTheLayersBelow) {
  NEEDS_ROOT();
  TemporaryDirectory lower;
  TemporaryDirectory upper;
  ASSERT_TRUE(unpack_text(make_tar({{.path = "srv/", .type = '5', .mode = 01770, .uid = 5, .gid = 6},
                                    {.path = "srv/file", .content = "x", .mode = 0600, .uid = 7}}),
                          lower.path())
                  .ok());
  const LayerView below = VALUE(LayerView::open({lower.path()}));
  ASSERT_TRUE(
      unpack_text(make_tar({{.path = "srv/link", .type = '1', .link = "srv/file"}}), upper.path(), {.below = present(below)})
          .ok());
  EXPECT_EQ(status_of(upper / "srv").st_mode & 07777, 01770u);
  EXPECT_EQ(status_of(upper / "srv").st_uid, 5u);
  EXPECT_EQ(text_of(upper / "srv/link"), "x");
  EXPECT_EQ(status_of(upper / "srv/link").st_uid, 7u);
}

TEST(LayerTar, ADirectoryMakesTheSameTarWhichMakesTheSameDirectory) {
  NEEDS_ROOT();
  TemporaryDirectory lower;
  ASSERT_TRUE(unpack_text(make_tar({{.path = "hidden"}, {.path = "o/x"}}), lower.path()).ok());
  const LayerView below = VALUE(LayerView::open({lower.path()}));
  TemporaryDirectory first;
  TemporaryDirectory second;
  const std::string long_name = "dir/" + std::string(150, 'n') + "/" + std::string(120, 'm');
  ASSERT_TRUE(unpack_text(make_tar({{.path = "b", .content = std::string(1000, 'b'), .mode = 04755, .uid = 1000},
                                    {.path = "a", .type = '1', .link = "b"},
                                    {.path = "l", .type = '2', .link = "/somewhere/else"},
                                    {.path = "p", .type = '6'},
                                    {.path = ".wh.hidden"},
                                    {.path = "o/", .type = '5'},
                                    {.path = "o/.wh..wh..opq"},
                                    {.path = "dir/x", .content = "x"}}),
                          first.path(), {.below = present(below)})
                  .ok());
  std::filesystem::create_directories((first / long_name).parent_path());
  ASSERT_TRUE(write_file(first / long_name, "long").ok());
  ASSERT_TRUE(write_file(first / "Größe", "umlaut").ok());
  setxattr((first / "b").c_str(), "user.note", "v", 1, 0);
  const timespec long_ago[2] = {{.tv_sec = 1000, .tv_nsec = 0}, {.tv_sec = 1000, .tv_nsec = 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, (first / "hidden").c_str(), long_ago, AT_SYMLINK_NOFOLLOW), 0);

  const Fd directory = VALUE(open_file(first.path(), O_RDONLY | O_DIRECTORY));
  std::string tar;
  const TarSink sink = [&](std::string_view piece) {
    tar += piece;
    return Result<>();
  };
  ASSERT_TRUE(write_layer_tar(directory.get(), sink).ok());
  const LayerSummary summary = VALUE(summarize_layer(directory.get()));
  EXPECT_EQ(summary.diff_id, digest_of(tar));
  EXPECT_EQ(summary.size, 1000u + 1 + 4 + 6);

  const Result<Unpacked> unpacked = unpack_text(tar, second.path(), {.below = present(below)});
  ASSERT_TRUE(unpacked.ok()) << unpacked.error().message();
  const Fd copy = VALUE(open_file(second.path(), O_RDONLY | O_DIRECTORY));
  EXPECT_EQ(summarize_layer(copy.get()).value().diff_id, summary.diff_id);
  EXPECT_EQ(text_of(second / "Größe"), "umlaut");
  EXPECT_EQ(text_of(second / long_name), "long");
  EXPECT_EQ(status_of(second / "b").st_mode & 07777, 04755u);
}

TEST(LayerView, LinksAreResolvedWithinTheTree) {
  TemporaryDirectory top;
  TemporaryDirectory bottom;
  std::filesystem::create_directories(bottom / "usr/lib");
  ASSERT_TRUE(write_file(bottom / "usr/lib/x", "bottom").ok());
  std::filesystem::create_directory_symlink("/usr/lib", top / "lib");
  std::filesystem::create_symlink("../../../../../usr/lib/x", top / "up");
  std::filesystem::create_symlink("loop", top / "loop");
  std::filesystem::create_directories(top / "usr/lib");
  ASSERT_TRUE(write_file(top / "usr/lib/y", "top").ok());
  const LayerView view = VALUE(LayerView::open({top.path(), bottom.path()}));
  EXPECT_EQ(view.read_text("/lib/x").value(), "bottom");
  EXPECT_EQ(view.read_text("lib/y").value(), "top");
  EXPECT_EQ(view.read_text("/up").value(), "bottom");
  EXPECT_EQ(view.find("/lib/x").value()->path(), "/usr/lib/x");
  EXPECT_FALSE(view.find("/nothing").value().has_value());
  EXPECT_FALSE(view.find("/lib/x/below").value().has_value());
  EXPECT_EQ(view.find("/loop").error().errno_value(), ELOOP);
}

}  // namespace
}  // namespace gantry::engine
