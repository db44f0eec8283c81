// Tars, archives and stores for the tests of images and builds.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/fd.h"
#include "engine/image/digest.h"
#include "engine/image/image_store.h"

namespace gantry::engine {

#define VALUE(expression)                                                                            \
  __extension__({                                                                                    \
    auto value_result_ = (expression);                                                               \
    if (!value_result_.ok()) GTEST_FAIL() << #expression << ": " << value_result_.error().message(); \
    std::move(value_result_).value();                                                                \
  })

#define NEEDS_ROOT() \
  if (geteuid() != 0) GTEST_SKIP() << "needs root: layers keep owners and whiteouts"

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "gantry-test-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

struct TarItem {
  std::string path;
  std::string content;
  char type = '0';  // as in the header: 0 file, 1 hard link, 2 symlink, 3 char, 5 directory, 6 fifo
  std::string link;
  unsigned mode = 0644;
  unsigned uid = 0;
  unsigned gid = 0;
  long modified = 1000000000;
};

inline std::string octal(uint64_t value, int width) {
  char text[32];
  snprintf(text, sizeof text, "%0*lo", width - 1, static_cast<unsigned long>(value));
  return std::string(text, static_cast<size_t>(width - 1)) + '\0';
}

inline std::string make_tar(const std::vector<TarItem>& items) {
  std::string tar;
  for (const TarItem& item : items) {
    std::string block(512, '\0');
    const auto put = [&](size_t at, const std::string& text) { block.replace(at, text.size(), text); };
    put(0, item.path);
    put(100, octal(item.mode, 8));
    put(108, octal(item.uid, 8));
    put(116, octal(item.gid, 8));
    put(124, octal(item.content.size(), 12));
    put(136, octal(static_cast<uint64_t>(item.modified), 12));
    put(148, "        ");
    block[156] = item.type;
    put(157, item.link);
    put(257, std::string("ustar\0"
                         "00",
                         8));
    put(329, octal(0, 8));
    put(337, octal(0, 8));
    unsigned sum = 0;
    for (char c : block) sum += static_cast<unsigned char>(c);
    put(148, octal(sum, 7));
    tar += block + item.content;
    tar.append((512 - item.content.size() % 512) % 512, '\0');
  }
  return tar + std::string(1024, '\0');
}

inline std::string config_json(const std::vector<std::string>& layer_tars, const std::string& config = "{}") {
  std::string diff_ids;
  for (const std::string& tar : layer_tars) diff_ids += (diff_ids.empty() ? "\"" : ",\"") + digest_of(tar) + "\"";
  return R"({"architecture":"amd64","os":"linux","created":"2026-01-02T03:04:05Z","config":)" + config +
         R"(,"rootfs":{"type":"layers","diff_ids":[)" + diff_ids + "]}}";
}

// What `docker save` writes.
inline std::string docker_archive(const std::string& tag, const std::vector<std::string>& layer_tars,
                                  const std::string& config = "{}") {
  std::vector<TarItem> items;
  std::string names;
  for (size_t i = 0; i < layer_tars.size(); ++i) {
    const std::string name = "layer" + std::to_string(i) + "/layer.tar";
    items.push_back({.path = name, .content = layer_tars[i]});
    names += (names.empty() ? "\"" : ",\"") + name + "\"";
  }
  items.push_back({.path = "config.json", .content = config_json(layer_tars, config)});
  const std::string tags = tag.empty() ? "null" : "[\"" + tag + "\"]";
  items.push_back({.path = "manifest.json",
                   .content = R"([{"Config":"config.json","RepoTags":)" + tags + R"(,"Layers":[)" + names + "]}]"});
  return make_tar(items);
}

// A descriptor of an unlinked file that holds the text.
inline Fd file_with(const std::string& text) {
  char name[] = "/tmp/gantry-test-XXXXXX";
  Fd file(mkstemp(name));
  unlink(name);
  EXPECT_TRUE(write_all(file.get(), text).ok());
  lseek(file.get(), 0, SEEK_SET);
  return file;
}

inline std::string text_of(const std::filesystem::path& path) { return read_file(path).value_or("<missing>"); }

inline struct stat status_of(const std::filesystem::path& path) {
  struct stat status {};
  EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
  return status;
}

}  // namespace gantry::engine
