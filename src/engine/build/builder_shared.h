// What all builds of a daemon have in common.
#pragma once

#include "engine/build/builder.h"
#include "engine/build/cache_mounts.h"

namespace gantry::engine {

struct BuilderShared {
  explicit BuilderShared(const std::filesystem::path& work) : cache_mounts(work / "cache-mounts") {}
  KeyLocks locks;
  CacheMounts cache_mounts;
};

}  // namespace gantry::engine
