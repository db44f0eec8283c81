#include "engine/build/cache_key.h"

namespace gantry::engine {

CacheKey& CacheKey::add(std::string_view text) {
  add(static_cast<uint64_t>(text.size()));
  hash_.update(text);
  return *this;
}

CacheKey& CacheKey::add(uint64_t number) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (8 * i));
  hash_.update(std::string_view(bytes, sizeof bytes));
  return *this;
}

std::string CacheKey::finish() { return "step " + hash_.finish(); }

}  // namespace gantry::engine
