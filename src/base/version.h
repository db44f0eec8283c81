// The one place that knows which release this is.
#pragma once

namespace gantry {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace gantry
