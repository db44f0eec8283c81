// Signals by name, as `docker kill -s` takes them. Pure.
#pragma once

#include <string_view>

#include "base/result.h"

namespace gantry::engine {

// "9", "KILL", "SIGKILL", any case, "RTMIN+3", "RTMAX-1". Code::invalid: "invalid signal: X".
Result<int> parse_signal(std::string_view text);

}  // namespace gantry::engine
