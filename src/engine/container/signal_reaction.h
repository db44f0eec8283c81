// What a process would do about a signal, by /proc/PID/status.
#pragma once

#include <string_view>

namespace gantry::engine {

// True if `status` (the file's text) is that of a process that is PID 1 of a pid namespace of its own and neither
// handles, blocks nor deliberately ignores the signal: the kernel drops it then (pid_namespaces(7)), and waiting for an
// effect is in vain. A blocked one may be waited for by sigwait() or a signalfd. False when the text is no such file. Pure.
bool drops_signal(std::string_view status, int signal);
// The same of a living process; false when it cannot be looked at.
bool process_drops_signal(int pid, int signal);

}  // namespace gantry::engine
