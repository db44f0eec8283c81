// --chown and USER by the image's own passwd and group. Pure.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace gantry::engine {

struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
  friend bool operator==(const Owner&, const Owner&) = default;
};

// "user[:group]", each a name or a number. Without a group: the user's own one, for a number the same number.
// `passwd` and `group` are the files' texts. Errors: Code::invalid, in Docker's words.
Result<Owner> resolve_owner(const std::string& text, std::string_view passwd, std::string_view group);

}  // namespace gantry::engine
