// What the store keeps of a volume. Plain value; JSON in container/record_json.h.
#pragma once

#include "base/clock.h"
#include "engine/iface/specs.h"

namespace gantry::engine {

inline constexpr const char* kAnonymousVolumeLabel = "com.docker.volume.anonymous";

struct VolumeRecord {
  VolumeSpec spec;  // with the name and driver filled in
  WallTime created_at{};
  friend bool operator==(const VolumeRecord&, const VolumeRecord&) = default;
};

}  // namespace gantry::engine
