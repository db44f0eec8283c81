#include "engine/build/cache_key.h"

#include <utility>

namespace gantry::engine {

void CacheKey::feed_more(std::string_view bytes) {
  hash_pending();
  if (bytes.size() > kMostPending) return hash_.update(bytes);
  feed(bytes);
}

void CacheKey::hash_pending() { hash_.update({pending_.get(), std::exchange(used_, 0)}); }

std::string CacheKey::finish() {
  hash_pending();
  return "step " + hash_.finish();
}

}  // namespace gantry::engine
