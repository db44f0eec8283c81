// The caches elsewhere that one build takes steps from and leaves its own in.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/build/builder.h"
#include "engine/image/remote_cache.h"

namespace gantry::engine {

class BuildCaches {
 public:
  BuildCaches(ImageStore& store, const BuildRequest& request) : store_(store), request_(request) {}

  // Looks at all of them. What cannot be read is warned of in `warnings`, and the build takes longer; a mistake in an
  // option is an error.
  Result<> open(std::string& warnings, const CancelCheck& cancelled);

  // Any thread. The layer of a step, from the first cache that has it.
  std::optional<ImageStore::NewLayer> take(const std::string& key, const std::string& parent,
                                           const CancelCheck& cancelled);
  void add(CachedStep step);  // done or found in this build; any thread

  // After the build, with the image's document. Inline: the keys go into it, so that it comes before the image.
  void mark(ImageDocument& document) const;
  Result<> write(const ImageDocument& document, std::string& warnings, const CancelCheck& cancelled);

 private:
  Result<CachePlace> place_of(const CacheOption& option) const;

  ImageStore& store_;
  const BuildRequest& request_;
  std::vector<std::shared_ptr<RemoteCache>> sources_;
  std::vector<CacheOption> targets_;
  std::mutex mutex_;  // of steps_
  std::vector<CachedStep> steps_;
};

}  // namespace gantry::engine
