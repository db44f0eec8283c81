// The system calls of a container: Docker's default profile, as a BPF program. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace gantry::engine {

// The bytes of a struct sock_filter[]; empty: no filter. `profile`: not given = the default (none when privileged),
// "unconfined" = none, else a profile's JSON text. What the default allows depends on `capabilities`, the container's
// mask; programs are cached by it. Errors: invalid for a text that is no profile; internal if libseccomp fails.
Result<std::string> seccomp_program(const std::optional<std::string>& profile, uint64_t capabilities, bool privileged);
// Whether the text can be compiled, before there is a container.
Result<> check_seccomp_profile(const std::string& profile);

}  // namespace gantry::engine
