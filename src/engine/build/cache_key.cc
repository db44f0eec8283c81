#include "engine/build/cache_key.h"

namespace gantry::engine {

CacheKey& CacheKey::add(std::string_view text) {
  add(static_cast<uint64_t>(text.size()));
  feed(text);
  return *this;
}

CacheKey& CacheKey::add(uint64_t number) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (8 * i));
  feed({bytes, sizeof bytes});
  return *this;
}

void CacheKey::feed(std::string_view bytes) {
  constexpr size_t kMostPending = 4096;
  pending_ += bytes;
  if (pending_.size() < kMostPending) return;
  hash_.update(pending_);
  pending_.clear();
}

std::string CacheKey::finish() {
  hash_.update(pending_);
  return "step " + hash_.finish();
}

}  // namespace gantry::engine
