// A seccomp profile of the user's own, in Docker's JSON form (moby, profiles/seccomp), as a BPF program. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gantry::engine {

// The bytes of a struct sock_filter[]. Rules whose `includes` and `excludes` (capabilities, architectures, kernel) do
// not fit this machine and the container's `capabilities` are left out; calls that no architecture has mean nothing.
// Errors: invalid, naming what in the text is wrong.
Result<std::string> compile_seccomp_profile(std::string_view json, uint64_t capabilities);

}  // namespace gantry::engine
