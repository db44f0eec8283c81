// LocalImageStore: the builder's cache of this machine, and what of it is let go.
#include "base/clock.h"
#include "engine/image/digest.h"
#include "engine/image/local_image_store.h"

namespace gantry::engine {

// "CHAIN", "CHAIN DIFFID"; other values stand for no layer.
std::string LocalImageStore::chain_of_entry(const std::string& value) {
  const std::string first = value.substr(0, value.find(' '));
  return is_sha256_digest(first) ? first : "";
}

std::optional<std::string> LocalImageStore::cache_get(const std::string& key) {
  std::lock_guard lock(mutex_);
  Result<std::optional<std::string>> value = database_->cache_get(key, now_ns());
  return value.ok() ? *value : std::nullopt;
}

Result<> LocalImageStore::cache_put(const std::string& key, const std::string& value) {
  std::lock_guard lock(mutex_);
  TRY(database_->cache_put(key, value, now_ns()));
  if (const std::string chain = chain_of_entry(value); !chain.empty()) cached_chains_.insert(chain);
  return {};
}

// What is here for these entries only.
uint64_t LocalImageStore::bytes_for_cache(std::span<const ImageDatabase::CacheRow> rows) const {
  std::set<std::string> seen;
  const auto visit = [&](std::string chain, uint64_t& bytes) {
    while (!chain.empty() && seen.insert(chain).second) {
      const auto layer = layers_.find(chain);
      if (layer == layers_.end()) break;
      bytes += layer->second.size;
      chain = layer->second.parent;
    }
  };
  uint64_t others = 0;
  for (const auto& [id, known] : images_) visit(known.chain, others);
  for (const auto& [chain, count] : holds_) visit(chain, others);
  uint64_t own = 0;
  for (const ImageDatabase::CacheRow& row : rows) visit(chain_of_entry(row.value), own);
  return own;
}

Result<uint64_t> LocalImageStore::cache_bytes() {
  std::lock_guard lock(mutex_);
  const std::vector<ImageDatabase::CacheRow> rows = TRY(database_->cache());
  return bytes_for_cache(rows);
}

Result<uint64_t> LocalImageStore::prune_cache(const CachePrune& prune) {
  uint64_t before = 0;
  uint64_t after = 0;
  std::vector<std::filesystem::path> garbage;
  {
    std::lock_guard lock(mutex_);
    const std::vector<ImageDatabase::CacheRow> rows = TRY(database_->cache());  // least recently used first
    const std::span<const ImageDatabase::CacheRow> all(rows);
    size_t count = rows.size();
    if (prune.unused_since.has_value()) {
      const int64_t limit = prune.unused_since->time_since_epoch().count();
      count = static_cast<size_t>(
          std::count_if(rows.begin(), rows.end(), [&](const auto& row) { return row.used_ns < limit; }));
    }
    if (prune.keep_bytes.has_value()) {
      // The fewest that must go: what is left shrinks with every one.
      size_t low = 0;
      while (low < count) {
        const size_t middle = low + (count - low) / 2;
        if (bytes_for_cache(all.subspan(middle)) > *prune.keep_bytes) {
          low = middle + 1;
        } else {
          count = middle;
        }
      }
    }
    for (const auto& [chain, row] : layers_) before += row.size;
    TRY(database_->transaction([&]() -> Result<> {
      for (const ImageDatabase::CacheRow& row : all.first(count)) TRY(database_->cache_remove(row.key));
      return {};
    }));
    cached_chains_.clear();
    for (const ImageDatabase::CacheRow& row : all.subspan(count)) {
      if (const std::string chain = chain_of_entry(row.value); !chain.empty()) cached_chains_.insert(chain);
    }
    std::vector<std::string> chains;
    garbage = TRY(collect_garbage(chains));
    for (const auto& [chain, row] : layers_) after += row.size;
  }
  remove_from_disk(garbage);
  return before - after;
}

}  // namespace gantry::engine
