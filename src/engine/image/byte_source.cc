#include "engine/image/byte_source.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/fd.h"

namespace gantry::engine {

Result<size_t> FdSource::read(std::span<char> into) {
  while (true) {
    const ssize_t got = ::read(fd_, into.data(), into.size());
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) return Error::from_errno(errno, "read");
  }
}

Result<size_t> TextSource::read(std::span<char> into) {
  const size_t size = std::min(into.size(), text_.size());
  memcpy(into.data(), text_.data(), size);
  text_.remove_prefix(size);
  return size;
}

Result<size_t> MeasuringSource::read(std::span<char> into) {
  const size_t got = TRY(from_.read(into));
  hash_.update({into.data(), got});
  bytes_ += got;
  return got;
}

Result<> drain(ByteSource& source) {
  std::vector<char> buffer(kTransferBuffer);
  while (TRY(source.read(buffer)) != 0) {
  }
  return {};
}

Result<std::string> read_text(ByteSource& source, size_t limit) {
  std::string text;
  std::vector<char> buffer(16 * 1024);
  while (const size_t got = TRY(source.read(buffer))) {
    if (text.size() + got > limit) return Error(Code::exhausted, "longer than " + std::to_string(limit) + " bytes");
    text.append(buffer.data(), got);
  }
  return text;
}

Result<uint64_t> copy_to_fd(ByteSource& source, int fd) {
  std::vector<char> buffer(kTransferBuffer);
  uint64_t bytes = 0;
  while (const size_t got = TRY(source.read(buffer))) {
    TRY(write_all(fd, {buffer.data(), got}));
    bytes += got;
  }
  return bytes;
}

}  // namespace gantry::engine
