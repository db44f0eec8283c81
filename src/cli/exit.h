// Exit statuses of the commands (a container's own status is passed on as it is).
#pragma once

namespace gantry::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;            // anything that went wrong
inline constexpr int kExitLostContainer = 125;  // run: the container vanished, or could not be made
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;
inline constexpr int kExitInterrupted = 130;  // SIGINT or SIGTERM ended the command

}  // namespace gantry::cli
