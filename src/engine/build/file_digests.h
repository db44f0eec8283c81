// Digests of a build context's files, remembered by what stat(2) says of them: an unchanged context is walked, not
// read. One file on disk per context, mapped during a build. Any thread.
#pragma once

#include <sys/stat.h>

#include <array>
#include <compare>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>

#include "base/result.h"

namespace gantry::engine {

class FileDigests {
 public:
  // What was remembered in `file`; anything else than that form counts as nothing.
  static FileDigests load(std::filesystem::path file);
  FileDigests(FileDigests&& other) noexcept;
  ~FileDigests();

  struct Content {
    std::array<uint8_t, 32> sha256{};
    bool has_xattrs = false;  // that a copy keeps
  };
  // Remembered, or what `read` says.
  Result<Content> content(const struct stat& status, const std::function<Result<Content>()>& read);
  // Writes what is new. Failing only costs time in the next build.
  void save();

 private:
  explicit FileDigests(std::filesystem::path file);

  struct Identity {
    uint64_t device = 0;
    uint64_t inode = 0;
    auto operator<=>(const Identity&) const = default;
  };
  struct IdentityHash {
    size_t operator()(const Identity& id) const { return id.inode * 0x9e3779b97f4a7c15U ^ id.device; }
  };
  // As it is on disk, in the machine's byte order.
  struct Record {
    Identity id;
    uint64_t size = 0;
    int64_t modified_ns = 0;
    int64_t changed_ns = 0;
    std::array<uint8_t, 32> sha256{};
    uint64_t has_xattrs = 0;
    bool same_file(const Record& other) const {
      return id == other.id && size == other.size && modified_ns == other.modified_ns && changed_ns == other.changed_ns;
    }
    Content content() const { return {.sha256 = sha256, .has_xattrs = has_xattrs != 0}; }
  };
  struct Mapping;
  const Record* find_known(const Identity& id) const;  // null: none

  const std::filesystem::path file_;
  std::unique_ptr<Mapping> mapping_;
  std::span<const Record> known_;  // sorted by id; in mapping_
  std::mutex mutex_;
  std::unordered_map<Identity, Record, IdentityHash> fresh_;  // guarded by mutex_
};

}  // namespace gantry::engine
