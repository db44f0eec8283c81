// Build caches that lie elsewhere: in a registry, or in a directory as an OCI layout. What is kept of a build are its
// steps (the key that decides a step's result, and the layer that it made) and the layers' blobs.
//
// A manifest of OCI's form stands for it: its layers are the blobs, its config (kCacheConfigType) is JSON,
// {"version": 1, "steps": [{"key", "parent", "diff_id", "layer": place in the manifest's list}]}. An image that was
// built with an inline cache is one, too: its config says which step made each of its layers.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/image/image_document.h"
#include "engine/image/image_store.h"
#include "engine/image/manifest.h"

namespace gantry::engine {

inline constexpr const char* kCacheConfigType = "application/vnd.gantry.buildcache.config.v1+json";

struct CachedStep {
  std::string key;
  std::string parent;  // chain id of what the layer was put on, "" = nothing
  std::string diff_id;
  friend bool operator==(const CachedStep&, const CachedStep&) = default;
};

// One of `reference` and `directory` is set.
struct CachePlace {
  std::string reference;
  std::string auth;                 // X-Registry-Auth
  std::filesystem::path directory;  // on this machine
};

// What --cache-from and --cache-to say.
struct CacheOption {
  enum class Kind { registry, local, inlined };
  Kind kind = Kind::registry;
  std::string reference;
  std::filesystem::path directory;
  bool all_stages = false;     // mode=max
  bool ignores_error = false;  // ignore-error=true
};
// "type=registry,ref=host/cache:1,mode=max", "type=local,dest=DIR", "type=inline", and only for reading a plain
// reference. Errors: Code::invalid; Code::unsupported for other kinds of caches.
Result<CacheOption> parse_cache_from(const std::string& text);
Result<CacheOption> parse_cache_to(const std::string& text);

// The steps of a cache's config, and which of the manifest's layers each made. Pure.
struct CacheIndex {
  std::vector<CachedStep> steps;
  std::vector<size_t> layers;  // one a step
};
std::string render_cache_index(const CacheIndex& index);
// Errors: Code::invalid, also for a place beyond `layer_count`.
Result<CacheIndex> parse_cache_index(const std::string& json, size_t layer_count);
// Of an image with an inline cache; empty if it has none.
CacheIndex inline_cache_index(const ImageDocument& document);

class RemoteCache {
 public:
  virtual ~RemoteCache() = default;
  virtual size_t steps() const = 0;
  // The step's layer, fetched if it is not here and put on `parent`; nothing if the cache does not know the step.
  virtual Result<std::optional<ImageStore::NewLayer>> take(const std::string& key, const std::string& parent,
                                                           const CancelCheck& cancelled) = 0;
};

}  // namespace gantry::engine
