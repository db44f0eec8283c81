// The directories behind RUN --mount=type=cache: they outlive builds, are never part of a layer, and several builds
// may use one at a time as their sharing says. Any thread.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/build/run_mounts.h"
#include "engine/image/image_store.h"

namespace gantry::engine {

class CacheMounts {
 public:
  explicit CacheMounts(std::filesystem::path root) : root_(std::move(root)) {}

  struct Use {
    std::filesystem::path directory;
    bool is_new = false;         // empty: may be seeded
    std::shared_ptr<void> hold;  // while it is in use
  };
  // Made if it is missing, with the mount's mode and owner. `locked` waits for the others; `private` gets one that
  // nobody uses. `seed` distinguishes caches that begin with different content.
  Result<Use> acquire(const RunMount& mount, const std::string& seed, const CancelCheck& cancelled);

  // Removes those that nobody uses; returns the bytes that became free.
  Result<uint64_t> prune();
  uint64_t size() const;

 private:
  void release(const std::string& name, bool exclusive);

  const std::filesystem::path root_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, unsigned> users_;  // by directory name
  std::set<std::string> locked_;
};

}  // namespace gantry::engine
