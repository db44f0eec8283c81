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

// A limit as of --ulimit; -1: unlimited.
struct NamedLimit {
  std::string name;
  int64_t soft = 0;
  int64_t hard = 0;
};
// "nofile=1024[:2048]". Errors: invalid, in Docker's words.
Result<NamedLimit> parse_limit(const std::string& text);
// Soft and hard limits by name, as POST /build takes them.
std::string limits_json(const std::map<std::string, std::pair<int64_t, int64_t>>& limits);

// "10m" → bytes, binary units; "b" may follow. Errors: invalid size.
Result<int64_t> memory_size(const std::string& text);

}  // namespace gantry::cli
