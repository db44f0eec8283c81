// Digests of a build context's files, remembered by what stat(2) says of them: an unchanged context is walked, not
// read. One file on disk per context; in memory only during a build. Any thread.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/result.h"

namespace gantry::engine {

class FileDigests {
 public:
  // What was remembered in `file`; anything else than that form counts as nothing.
  static FileDigests load(std::filesystem::path file);
  FileDigests(FileDigests&& other) noexcept
      : file_(std::move(other.file_)), known_(std::move(other.known_)), changed_(other.changed_) {}

  struct Content {
    std::array<uint8_t, 32> sha256{};
    bool has_xattrs = false;  // that a copy keeps
  };
  // Remembered, or what `read` says.
  Result<Content> content(const struct stat& status, const std::function<Result<Content>()>& read);
  // Writes what is new. Failing only costs time in the next build.
  void save();

 private:
  explicit FileDigests(std::filesystem::path file) : file_(std::move(file)) {}

  struct Identity {
    uint64_t device = 0;
    uint64_t inode = 0;
    bool operator==(const Identity&) const = default;
  };
  struct IdentityHash {
    size_t operator()(const Identity& id) const { return id.inode * 0x9e3779b97f4a7c15U ^ id.device; }
  };
  struct Known {
    uint64_t size = 0;
    int64_t modified_ns = 0;
    int64_t changed_ns = 0;
    Content content;
  };

  const std::filesystem::path file_;
  std::mutex mutex_;
  std::unordered_map<Identity, Known, IdentityHash> known_;
  bool changed_ = false;
};

}  // namespace gantry::engine
