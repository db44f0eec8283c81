// Unpacks a tar stream that somebody hostile may have made: nothing of it gets outside the directory, whatever names
// and links it holds. Blocking; one thread.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace gantry::cli {

struct ExtractRules {
  // The first part of every name is replaced by this; "": it is dropped (what is in the root goes into the directory).
  std::string root_name;
  bool keep_owner = false;
};

// `next` gives the archive piece by piece, "" at its end.
Result<> extract_tar(const std::string& directory, const ExtractRules& rules,
                     const std::function<Result<std::string>()>& next);

}  // namespace gantry::cli
