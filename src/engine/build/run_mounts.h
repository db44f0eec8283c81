// RUN --mount=… as values. Pure. Grammar: the Dockerfile reference, "RUN --mount".
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/build/dockerfile.h"
#include "engine/build/expand.h"

namespace gantry::engine {

struct RunMount {
  enum class Type { bind, cache, tmpfs, secret, ssh };
  enum class Sharing { shared, own, locked };  // "private" is a keyword
  Type type = Type::bind;
  std::string target;  // absolute; "" = as the type has it (secret with env, ssh)
  std::string source;  // bind, cache: path in `from`
  std::string from;    // stage, image or context; "" = the build context (bind), nothing (cache)
  bool read_only = true;
  std::string id;
  Sharing sharing = Sharing::shared;
  std::optional<mode_t> mode;
  uid_t uid = 0;
  gid_t gid = 0;
  uint64_t size = 0;         // tmpfs; 0 = no limit
  bool required = false;     // secret, ssh
  std::string environment;   // secret: the variable that gets it
};

// Of all --mount flags of a RUN. Values are expanded, except `from`; relative targets are under `working_dir`.
// Errors: Code::invalid in BuildKit's words.
Result<std::vector<RunMount>> parse_run_mounts(const Instruction& instruction, char escape,
                                               const VariableLookup& lookup, const std::string& working_dir);

}  // namespace gantry::engine
