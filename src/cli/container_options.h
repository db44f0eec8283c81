// The options of `gantry run` and `gantry create`, which are `docker run`'s, and the body of POST /containers/create that
// they mean. Reads the files that options name (--env-file, --label-file, seccomp profiles); else pure.
#pragma once

#include <array>
#include <map>
#include <string>

#include "base/result.h"
#include "cli/flags.h"

namespace gantry::cli {

// Those of both commands, and with the few of run's own. Put together by the compiler: what is made before main() delays
// every command.
inline constexpr size_t kContainerFlagCount = 99;
inline constexpr size_t kRunFlagCount = kContainerFlagCount + 3;
extern const std::array<Flag, kContainerFlagCount> kContainerFlags;
extern const std::array<Flag, kRunFlagCount> kRunFlags;

struct ContainerRequest {
  std::string name;
  std::string platform;
  std::string image;
  std::string body;         // JSON
  bool auto_remove = false;
  bool tty = false;
  bool open_stdin = false;
};
// `environment`: the user's, for `-e NAME` without a value. `attach`: streams that the command attaches to.
struct Attachment {
  bool in = false;
  bool out = false;
  bool err = false;
};
// Errors: invalid, in Docker's words where it has any.
Result<ContainerRequest> container_request(const Arguments& arguments,
                                           const std::map<std::string, std::string>& environment, Attachment attach);

}  // namespace gantry::cli
