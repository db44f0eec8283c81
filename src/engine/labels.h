// Labels that the engine itself looks at.
#pragma once

namespace gantry::engine {

inline constexpr const char* kProjectLabel = "com.docker.compose.project";

}  // namespace gantry::engine
