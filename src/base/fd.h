// File descriptors that close themselves, and the few calls on them that everybody needs.
// Everything here opens with O_CLOEXEC.
#pragma once

#include <fcntl.h>
#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace gantry {

// Owns one file descriptor; -1 is "none". Move-only.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset();
  Result<Fd> duplicate() const;

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read;
  Fd write;
};
Result<Pipe> make_pipe(int flags = 0);

// The two ends of an AF_UNIX socket pair. `type`: SOCK_STREAM or SOCK_SEQPACKET.
Result<std::pair<Fd, Fd>> make_socket_pair(int type);

Result<Fd> open_file(const std::filesystem::path& path, int flags, mode_t mode = 0644);
Result<Fd> open_at(int directory, const std::string& name, int flags, mode_t mode = 0644);

// Whole file; an error if it is larger than `limit` bytes.
Result<std::string> read_file(const std::filesystem::path& path, size_t limit = size_t{1} << 30);
Result<std::string> read_all(int fd, size_t limit = size_t{1} << 30);
Result<> write_all(int fd, std::string_view data);
// Writes to the file as it is (no temporary name): for kernel files and for what nobody reads half-done.
Result<> write_file(const std::filesystem::path& path, std::string_view data, mode_t mode = 0644);
// Temporary name in the same folder, (fsync when `durable`), rename: readers see the old or the new text.
Result<> replace_file(const std::filesystem::path& path, std::string_view data, mode_t mode = 0644,
                      bool durable = false);

}  // namespace gantry
