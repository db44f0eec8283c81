// Streams of bytes that are pulled: a file, a network body, what comes out of a decompressor. One thread at a time.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "engine/image/digest.h"

namespace gantry::engine {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // At least one byte; 0 at the end, and from then on.
  virtual Result<size_t> read(std::span<char> into) = 0;
};

inline constexpr size_t kTransferBuffer = 256 * 1024;

// Reads a descriptor that somebody else owns.
class FdSource final : public ByteSource {
 public:
  explicit FdSource(int fd) : fd_(fd) {}
  Result<size_t> read(std::span<char> into) override;

 private:
  int fd_;
};

// Text in memory, which must outlive it.
class TextSource final : public ByteSource {
 public:
  explicit TextSource(std::string_view text) : text_(text) {}
  Result<size_t> read(std::span<char> into) override;

 private:
  std::string_view text_;
};

// Passes on what another one gives, counting and hashing it.
class MeasuringSource final : public ByteSource {
 public:
  explicit MeasuringSource(ByteSource& from) : from_(from) {}
  Result<size_t> read(std::span<char> into) override;
  uint64_t bytes() const { return bytes_; }
  std::string finish() { return hash_.finish(); }  // the digest of all that was read; once

 private:
  ByteSource& from_;
  Sha256 hash_;
  uint64_t bytes_ = 0;
};

// Reads on to the end and drops it: what stands behind the last tar record belongs to the digest.
Result<> drain(ByteSource& source);
// Everything, if it is not longer than `limit` (else Code::exhausted).
Result<std::string> read_text(ByteSource& source, size_t limit);
// Copies to a descriptor; returns the number of bytes.
Result<uint64_t> copy_to_fd(ByteSource& source, int fd);

// What is in `from` (which must outlive it), unpacked if its first bytes are those of gzip, zstd, bzip2 or xz, else as
// it is. The media type does not matter: registries and tools get it wrong.
// Errors: Code::invalid "unexpected end of gzip data", … A zstd window over 128 MiB is refused.
Result<std::unique_ptr<ByteSource>> decompressed(ByteSource& from);

}  // namespace gantry::engine
