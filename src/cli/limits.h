// Limits and sizes as the commands' options spell them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "base/result.h"

namespace gantry::cli {

// A limit as of --ulimit; -1: unlimited.
struct NamedLimit {
  std::string name;
  int64_t soft = 0;
  int64_t hard = 0;
};
// "nofile=1024[:2048]". Errors: invalid, in Docker's words.
Result<NamedLimit> parse_limit(const std::string& text);
// Soft and hard limits by name, as POST /build takes them.
std::string limits_json(const std::map<std::string, std::pair<int64_t, int64_t>>& limits);

// "10m" → bytes, binary units; "b" may follow. Errors: invalid size.
Result<int64_t> memory_size(const std::string& text);

}  // namespace gantry::cli
