// Writes tar archives: ustar headers, pax records where ustar is too small (long names, sizes over 8 GiB).
// Pure: pieces of text come out, the caller sends them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gantry::cli {

struct TarEntry {
  enum class Kind { file, directory, symlink };
  std::string path;  // relative, with "/"; directories without a closing one
  Kind kind = Kind::file;
  uint32_t mode = 0644;
  uint64_t size = 0;     // files
  int64_t modified = 0;  // unix seconds
  std::string target;    // symlinks
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// What stands before an entry's content.
std::string tar_header(const TarEntry& entry);
// Zeros after a file's content, up to the next block of 512.
std::string tar_padding(uint64_t size);
// Ends the archive.
std::string tar_end();

}  // namespace gantry::cli
