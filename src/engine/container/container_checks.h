// What cannot be meant in a container's spec, found before anything is made. Pure. Texts are Docker's where it has
// the same rule; what Gantry does not build yet is refused by name rather than ignored.
#pragma once

#include "base/result.h"
#include "engine/container/image_merge.h"
#include "engine/iface/specs.h"

namespace gantry::engine {

struct MachineLimits {
  int processors = 1;
};

Result<> check_container_spec(const ContainerSpec& spec, const MachineLimits& machine);
// What only the merged form can tell: working directory, variables.
Result<> check_effective_config(const EffectiveConfig& config);

}  // namespace gantry::engine
