#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/fd.h"
#include "base/scope_exit.h"
#include "cli/build_context.h"
#include "cli/frames.h"
#include "cli/image_build.h"
#include "cli/log_printer.h"
#include "cli/tar_writer.h"

namespace gantry::cli {
namespace {

namespace fs = std::filesystem;

std::string framed(char stream, const std::string& payload) {
  std::string header(8, '\0');
  header[0] = stream;
  header[6] = static_cast<char>(payload.size() >> 8);
  header[7] = static_cast<char>(payload.size());
  return header + payload;
}

TEST(Frames, StreamsAreToldApartHoweverTheBytesAreCut) {
  const std::string bytes = framed(1, "out\n") + framed(2, "err") + framed(1, std::string(300, 'x')) + framed(2, "!\n");
  for (size_t piece = 1; piece < 20; ++piece) {
    std::string out;
    std::string err;
    FrameReader reader(false, [&](StreamKind kind, std::string_view text) {
      (kind == StreamKind::stdout_stream ? out : err) += text;
    });
    for (size_t i = 0; i < bytes.size(); i += piece) ASSERT_TRUE(reader.add(std::string_view(bytes).substr(i, piece)));
    EXPECT_EQ(out, "out\n" + std::string(300, 'x'));
    EXPECT_EQ(err, "err!\n");
  }
}

TEST(Frames, WhatIsNoFrameIsRefused) {
  FrameReader reader(false, [](StreamKind, std::string_view) {});
  EXPECT_FALSE(reader.add("HTTP/1.1 500"));
}

TEST(Frames, AnExitCodeIsNoOutput) {
  const std::string bytes = framed(1, "out") + framed(4, "137");
  for (size_t piece = 1; piece < 12; ++piece) {
    std::string out;
    FrameReader reader(false, [&](StreamKind, std::string_view text) { out += text; });
    EXPECT_EQ(reader.exit_code(), std::nullopt);
    for (size_t i = 0; i < bytes.size(); i += piece) {
      EXPECT_FALSE(reader.is_over()) << i;
      ASSERT_TRUE(reader.add(std::string_view(bytes).substr(i, piece)));
    }
    EXPECT_TRUE(reader.is_over());
    EXPECT_EQ(out, "out");
    EXPECT_EQ(reader.exit_code(), 137);
  }
}

TEST(Frames, AnExitCodeThatIsNoneIsNotThere) {
  for (const char* text : {"", "x", "-1", "99999999999999999999"}) {
    FrameReader reader(false, [](StreamKind, std::string_view) {});
    EXPECT_TRUE(reader.add(framed(4, text)));
    EXPECT_EQ(reader.exit_code(), std::nullopt) << text;
  }
}

TEST(Frames, ATerminalHasNone) {
  std::string out;
  FrameReader reader(true, [&](StreamKind, std::string_view text) { out += text; });
  EXPECT_TRUE(reader.add("plain"));
  EXPECT_EQ(out, "plain");
}

TEST(Frames, LinesOfTheTwoStreamsDoNotMix) {
  std::string text;
  LineSplitter lines([&](StreamKind kind, std::string_view line) {
    text += (kind == StreamKind::stdout_stream ? "1:" : "2:") + std::string(line) + ";";
  });
  lines.add(StreamKind::stdout_stream, "a");
  lines.add(StreamKind::stderr_stream, "x\ny");
  lines.add(StreamKind::stdout_stream, "b\n\nc");
  lines.finish();
  EXPECT_EQ(text, "2:x;1:ab;1:;1:c;2:y;");
}

TEST(LogPrinter, PrefixesAreAsWideAsTheLongestNameAndColouredInTurn) {
  LogPrinter plain({.prefix = true, .colour = false}, Output(1), Output(2));
  plain.announce({"web-1", "database-1"});
  EXPECT_EQ(plain.prefix("web-1"), "web-1       | ");
  EXPECT_EQ(plain.prefix("database-1"), "database-1  | ");
  LogPrinter coloured({.prefix = true, .colour = true}, Output(1), Output(2));
  coloured.announce({"b", "a"});
  EXPECT_EQ(coloured.prefix("a"), "\x1b[36ma  | \x1b[0m");
  EXPECT_EQ(coloured.prefix("b"), "\x1b[33mb  | \x1b[0m");
  LogPrinter bare({.prefix = false, .colour = true}, Output(1), Output(2));
  EXPECT_EQ(bare.prefix("a"), "");
}

TEST(LogPrinter, NamesLoseTheProject) {
  EXPECT_EQ(display_name("hello-web-1", "hello", false), "web-1");
  EXPECT_EQ(display_name("hello_web_1", "hello", false), "web_1");
  EXPECT_EQ(display_name("my-own-name", "hello", false), "my-own-name");
  EXPECT_EQ(display_name("hello-web-run-123", "hello", true), "hello-web-run-123");
}

// A directory of its own, removed at the end.
class Directory {
 public:
  Directory() {
    std::string name = (fs::temp_directory_path() / "gantry-cli.XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Directory() { fs::remove_all(path); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((path / name).parent_path());
    ASSERT_TRUE(write_file(path / name, text).ok());
  }
  fs::path path;
};

// What tar(1) says about the archive: "drwxr-xr-x a/", "-rw-r--r-- a/b", sorted as written.
std::string listed(const std::string& archive) {
  const Directory directory;
  directory.write("x.tar", archive);
  const std::string command = "tar -tvf '" + (directory.path / "x.tar").string() + "' 2>&1";
  FILE* tar = ::popen(command.c_str(), "r");
  std::string text;
  char line[1024];
  while (std::fgets(line, sizeof line, tar) != nullptr) {
    const std::string_view view(line);
    text += std::string(view.substr(0, 10)) + view.substr(view.find(':') + 3).data();
  }
  EXPECT_EQ(::pclose(tar), 0) << text;
  return text;
}

std::string whole(BuildContext& context) {
  std::string archive;
  for (;;) {
    auto piece = context.next();
    EXPECT_TRUE(piece.ok()) << piece.error().message();
    if (!piece.ok() || piece->empty()) return archive;
    archive += *piece;
  }
}

TEST(TarWriter, LongNamesAndLinksAreReadBackByTar) {
  const std::string longer(150, 'n');
  std::string archive = tar_header({.path = "d/" + longer, .size = 3}) + "abc" + tar_padding(3);
  archive += tar_header({.path = "link", .kind = TarEntry::Kind::symlink, .mode = 0777, .target = longer});
  archive += tar_header({.path = "dir", .kind = TarEntry::Kind::directory, .mode = 0755}) + tar_end();
  EXPECT_EQ(archive.size() % 512, 0u);
  EXPECT_EQ(listed(archive), "-rw-r--r-- d/" + longer + "\nlrwxrwxrwx link -> " + longer + "\ndrwxr-xr-x dir/\n");
}

TEST(BuildContext, HoldsTheDirectoryWithoutWhatIsIgnored) {
  const Directory directory;
  directory.write("Dockerfile", "FROM scratch\n");
  directory.write(".dockerignore", "*\n!src\nsrc/*.o\n");
  directory.write("src/a.c", std::string(600'000, 'a'));
  directory.write("src/a.o", "object");
  directory.write("notes.txt", "private");
  fs::create_symlink("a.c", directory.path / "src/link");
  auto context = BuildContext::open({.directory = directory.path, .dockerfile = directory.path / "Dockerfile"});
  ASSERT_TRUE(context.ok());
  EXPECT_EQ(listed(whole(*context)),
            "-rw-r--r-- Dockerfile\ndrwxr-xr-x src/\n-rw-r--r-- src/a.c\n"
            "lrwxrwxrwx src/link -> a.c\n");
}

TEST(BuildContext, TheDockerfilesOwnIgnoreFileComesFirst) {
  const Directory directory;
  directory.write("Dockerfile", "FROM scratch\n");
  directory.write(".dockerignore", "b\n");
  directory.write("Dockerfile.dockerignore", "a\n");
  directory.write("a", "");
  directory.write("b", "");
  auto context = BuildContext::open({.directory = directory.path, .dockerfile = directory.path / "Dockerfile"});
  ASSERT_TRUE(context.ok());
  const std::string names = listed(whole(*context));
  EXPECT_EQ(names.find(" a\n"), std::string::npos);
  EXPECT_NE(names.find(" b\n"), std::string::npos);
}

TEST(BuildContext, ExtraFilesAreAdded) {
  const Directory directory;
  auto context = BuildContext::open({.directory = directory.path, .extra = {{"Generated", "FROM scratch\n"}}});
  ASSERT_TRUE(context.ok());
  EXPECT_EQ(listed(whole(*context)), "-rw-r--r-- Generated\n");
}

TEST(BuildContext, AMissingDirectoryIsNamed) {
  const auto context = BuildContext::open({.directory = "/nowhere/at/all"});
  ASSERT_FALSE(context.ok());
  EXPECT_EQ(context.error().message(), "reading the build context /nowhere/at/all: No such file or directory");
}

TEST(BuildStream, AFailureShowsTheStepAndItsOutput) {
  BuildStream stream;
  EXPECT_TRUE(stream.line(R"({"stream":"Step 1/2 : FROM scratch\n"})"));
  EXPECT_TRUE(stream.line(R"({"stream":" ---> 123\n"})"));
  EXPECT_TRUE(stream.line(R"({"stream":"Step 2/2 : RUN make\n"})"));
  EXPECT_TRUE(stream.line(R"({"stream":"\u001b[91mno rule\u001b[0m\n"})"));
  EXPECT_FALSE(stream.line(R"({"errorDetail":{"code":2,"message":"returned a non-zero code: 2"},"error":"x"})"));
  EXPECT_EQ(stream.step(), "Step 2/2 : RUN make");
  EXPECT_EQ(stream.failure(), "Step 2/2 : RUN make\n  no rule\nreturned a non-zero code: 2");
  EXPECT_EQ(stream.error_code(), 2);
}

}  // namespace
}  // namespace gantry::cli
