// A temporary file of the image store that goes away unless somebody links it to its place.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

namespace gantry::engine {

struct Spool {
  std::filesystem::path path;
  std::string digest;  // of what is in it, once that is complete
  uint64_t size = 0;

  Spool() = default;
  Spool(Spool&& other) noexcept
      : path(std::exchange(other.path, {})), digest(std::move(other.digest)), size(other.size) {}
  Spool& operator=(Spool&& other) noexcept {
    std::swap(path, other.path);
    std::swap(digest, other.digest);
    std::swap(size, other.size);
    return *this;
  }
  ~Spool() {
    if (!path.empty()) unlink(path.c_str());
  }
};

}  // namespace gantry::engine
