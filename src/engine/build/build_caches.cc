#include "engine/build/build_caches.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "engine/image/digest.h"
#include "engine/image/reference.h"

namespace gantry::engine {

Result<CachePlace> BuildCaches::place_of(const CacheOption& option) const {
  if (option.kind == CacheOption::Kind::local) {
    if (!option.directory.is_absolute()) return invalid("a local cache needs an absolute path here");
    return CachePlace{.reference = {}, .auth = {}, .directory = option.directory};
  }
  const Reference reference = TRY(Reference::parse(option.reference));
  const auto auth = request_.auths.find(reference.domain);
  return CachePlace{
      .reference = option.reference, .auth = auth == request_.auths.end() ? "" : auth->second, .directory = {}};
}

Result<> BuildCaches::open(std::string& warnings, const CancelCheck& cancelled) {
  for (const std::string& text : request_.cache_to) targets_.push_back(TRY(parse_cache_to(text)));
  for (const std::string& text : request_.cache_from) {
    const CachePlace place = TRY(place_of(TRY(parse_cache_from(text))));
    if (request_.no_cache) continue;
    Result<std::shared_ptr<RemoteCache>> cache = store_.open_cache(place, cancelled);
    if (cache.ok()) {
      sources_.push_back(std::move(*cache));
    } else {
      warnings += "[Warning] cache-from " + text + " is not used: " + cache.error().message() + "\n";
    }
  }
  return {};
}

std::optional<ImageStore::NewLayer> BuildCaches::take(const std::string& key, const std::string& parent,
                                                      const CancelCheck& cancelled) {
  for (const std::shared_ptr<RemoteCache>& source : sources_) {
    Result<std::optional<ImageStore::NewLayer>> layer = source->take(key, parent, cancelled);
    if (layer.ok() && layer->has_value()) return std::move(**layer);
    // A step that cannot be fetched is done again.
    if (!layer.ok()) log_warning("build: a step of a cache is not used: " + layer.error().message());
  }
  return std::nullopt;
}

void BuildCaches::add(CachedStep step) {
  std::lock_guard lock(mutex_);
  if (std::find(steps_.begin(), steps_.end(), step) == steps_.end()) steps_.push_back(std::move(step));
}

void BuildCaches::mark(ImageDocument& document) const {
  document.cache_keys.clear();
  const bool is_wanted = std::any_of(targets_.begin(), targets_.end(), [](const CacheOption& option) {
    return option.kind == CacheOption::Kind::inlined;
  });
  if (!is_wanted) return;
  std::string parent;
  for (const std::string& diff_id : document.diff_ids) {
    const auto step = std::find_if(steps_.begin(), steps_.end(),
                                   [&](const CachedStep& it) { return it.parent == parent && it.diff_id == diff_id; });
    document.cache_keys.push_back(step == steps_.end() ? "" : step->key);
    parent = chain_id(parent, diff_id);
  }
}

Result<> BuildCaches::write(const ImageDocument& document, std::string& warnings, const CancelCheck& cancelled) {
  std::set<std::string> chains;  // of the result
  std::string chain;
  for (const std::string& diff_id : document.diff_ids) chains.insert(chain = chain_id(chain, diff_id));
  for (const CacheOption& target : targets_) {
    if (target.kind == CacheOption::Kind::inlined) continue;
    std::vector<CachedStep> steps;
    for (const CachedStep& step : steps_) {
      if (target.all_stages || chains.contains(chain_id(step.parent, step.diff_id))) steps.push_back(step);
    }
    Result<> written = store_.write_cache(TRY(place_of(target)), steps, cancelled).within("cache-to");
    if (written.ok()) continue;
    if (!target.ignores_error) return written;
    warnings += "[Warning] " + written.error().message() + "\n";
  }
  return {};
}

}  // namespace gantry::engine
