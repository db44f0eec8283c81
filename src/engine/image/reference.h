// Image references: parse and render. Pure. Grammar: distribution/reference, as in engine-behaviour notes.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace gantry::engine {

struct Reference {
  std::string domain;  // "docker.io", "localhost:5000"
  std::string path;    // "library/redis"
  std::string tag;     // may be empty when a digest is given
  std::string digest;  // "sha256:…" or empty

  // "redis" → docker.io, library/redis, latest. Errors in Docker's words.
  static Result<Reference> parse(std::string_view text);
  std::string familiar() const;       // "redis:latest", "localhost:5000/x:1"
  std::string familiar_name() const;  // without tag and digest
  std::string canonical() const;      // "docker.io/library/redis:latest"
  friend bool operator==(const Reference&, const Reference&) = default;
};

}  // namespace gantry::engine
