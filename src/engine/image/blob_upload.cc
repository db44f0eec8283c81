#include "engine/image/blob_upload.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace gantry::engine {

HttpRequest::Upload file_upload(int fd, uint64_t size) {
  return {.size = size, .read = [fd](uint64_t offset, std::span<char> into) -> Result<size_t> {
            const ssize_t got = pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
            if (got < 0) return Error::from_errno(errno, "pread", "a blob to upload");
            return static_cast<size_t>(got);
          }};
}

HttpRequest::Upload text_upload(const std::string& text) {
  return {.size = text.size(), .read = [&text](uint64_t offset, std::span<char> into) -> Result<size_t> {
            const size_t size = std::min<size_t>(into.size(), text.size() - offset);
            memcpy(into.data(), text.data() + offset, size);
            return size;
          }};
}

Result<> push_blob(Registry& registry, HttpClient& http, const std::string& digest, const HttpRequest::Upload& content,
                   const std::function<bool()>& cancelled) {
  if (TRY(registry.has_blob(http, digest))) return {};
  const std::string place = TRY(registry.begin_upload(http, digest, ""));
  if (place.empty()) return {};
  return registry.upload(http, place, digest, content, cancelled);
}

}  // namespace gantry::engine
