// When a process began, as the kernel counts: with its number it is a name that is not given away again.
#pragma once

#include <cstdint>
#include <optional>

namespace gantry {

// Field 22 of /proc/PID/stat, clock ticks since the machine's start. Nothing: there is no such process, or it has ended
// and only waits for its parent. Any thread.
std::optional<uint64_t> process_start(int pid);

}  // namespace gantry
