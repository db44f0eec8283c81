// The system calls of a container: Docker's default profile, as a BPF program. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace gantry::engine {

// The bytes of a struct sock_filter[]; empty: no filter. `profile`: not given = the default (none when privileged),
// "unconfined" = none. What the default allows depends on `capabilities`, the container's mask; programs are cached by
// it. Errors: unsupported for any other profile text; internal if libseccomp fails.
Result<std::string> seccomp_program(const std::optional<std::string>& profile, uint64_t capabilities, bool privileged);

}  // namespace gantry::engine
