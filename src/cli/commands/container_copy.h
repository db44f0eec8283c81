// Files between this machine and one container, as both `cp` commands do it. Blocking; one thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cli/session.h"

namespace gantry::cli {

struct CopyRules {
  bool keep_owner = false;   // else root's, or the caller's on this machine
  bool follow_link = false;  // of the source
};

struct CopyContainer {
  std::string id;
  std::string name;  // for messages
};

// Of what was sent or received as an archive, in bytes.
using CopiedBytes = uint64_t;

// `source`: a path here, or "-" for a tar archive on standard input. Errors: in Docker's words.
Result<CopiedBytes> copy_in(Session& session, client::ApiClient& api, const CopyContainer& container,
                            const std::string& source, const std::string& given_target, const CopyRules& rules);
// `target`: a path here, or "-" for a tar archive on standard output.
Result<CopiedBytes> copy_out(Session& session, client::ApiClient& api, const CopyContainer& container,
                             const std::string& source, const std::string& target, const CopyRules& rules);

}  // namespace gantry::cli
