// The grammar of `.env`, env_file and label_file (compose-file.md section 3.4), and the raw form of env_file. Pure;
// any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "compose/interpolate.h"

namespace gantry::compose {

struct Assignment {
  std::string key;
  std::string value;
  int line = 0;  // from 1
};
using Assignments = std::vector<Assignment>;  // in order; later ones win

// `lookup` resolves variables that the file itself has not set yet, and bare `KEY` lines. Errors: "line N: …".
// `earlier` holds what files before this one set; the file's own lines hide it.
// `unset` (may be null) gets the names of variables that were replaced by nothing.
Result<Assignments> parse_dotenv(std::string_view text, const Lookup& lookup, const Environment& earlier = {},
                                 std::vector<std::string>* unset = nullptr);

// env_file with `format: raw`: everything after the first `=` is the value, untouched.
Result<Assignments> parse_raw_env(std::string_view text, const Lookup& lookup);

}  // namespace gantry::compose
