// The options of `gantry run` and `gantry create`, which are `docker run`'s, and the body of POST /containers/create that
// they mean. Reads the files that options name (--env-file, --label-file, seccomp profiles); else pure.
#pragma once

#include <map>
#include <span>
#include <string>

#include "base/result.h"
#include "cli/flags.h"

namespace gantry::cli {

// Those of both commands; run has a few of its own.
std::span<const Flag> container_flags();

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
