// A tar stream (ustar, GNU, PAX), entry by entry, as a sequence of plain values. Hostile input: names may be anything,
// so whoever writes entries to disk does it below a directory descriptor. libarchive does the parsing.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/image/byte_source.h"

namespace gantry::engine {

struct TarEntry {
  enum class Kind { file, directory, symlink, hard_link, character_device, block_device, fifo, other };
  Kind kind = Kind::file;
  std::string path;
  std::string link_target;
  mode_t mode = 0;  // permission bits with setuid, setgid and sticky
  uid_t uid = 0;
  gid_t gid = 0;
  uint64_t size = 0;
  timespec modified{};
  unsigned major = 0;
  unsigned minor = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;
};

class TarReader {
 public:
  // `source` must outlive it and hold an uncompressed tar.
  explicit TarReader(ByteSource& source);
  ~TarReader();

  // The next entry, nothing at the end of the archive. Errors: Code::invalid "… is no tar archive", or the source's.
  Result<std::optional<TarEntry>> next();

  // Content of the current entry. Blocks come with rising offsets; what lies between them is a hole.
  struct Block {
    std::span<const char> data;
    uint64_t offset = 0;
  };
  Result<std::optional<Block>> next_block();

  // The current entry's content as a stream (holes as zeros), valid until next().
  ByteSource& content();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// "./a//b/../c" → {"a", "c"}; an error if it leads out.
Result<std::vector<std::string>> cleaned_tar_path(const std::string& path);

}  // namespace gantry::engine
