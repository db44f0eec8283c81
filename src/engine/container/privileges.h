// Capabilities and resource limits by name → the numbers that the shim sets. Pure, but for reading our own bounding
// set once. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/iface/specs.h"
#include "shim/protocol.h"

namespace gantry::engine {

// The 14 capabilities of a container for which nothing else is asked.
inline constexpr uint64_t kDefaultCapabilities = 0xa80425fb;

// Names in any case, with or without "CAP_", or "ALL". Privileged: all of them. `add` with ALL: all but `drop`;
// `drop` with ALL: only `add`; else the default ones without `drop` and with `add`. Nothing that our own bounding
// set lacks is given. Errors: invalid, `unknown capability: "CAP_FOO"`.
Result<uint64_t> capability_mask(const std::vector<std::string>& add, const std::vector<std::string>& drop,
                                 bool privileged);
// The same with a bounding set given: pure.
Result<uint64_t> capability_mask_within(uint64_t bounding, const std::vector<std::string>& add,
                                        const std::vector<std::string>& drop, bool privileged);

// -1 means unlimited. Errors: invalid, `invalid ulimit type: foo`, or a soft limit above the hard one.
Result<std::vector<shim::Rlimit>> rlimits_of(const std::vector<Ulimit>& ulimits);

}  // namespace gantry::engine
