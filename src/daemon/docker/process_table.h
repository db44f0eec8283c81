// The output of ps, cut down to a container's processes. Pure.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::daemon::docker {

// "-eo pid,cmd" in words. A column that calls itself PID without being it would defeat the choice of rows:
// `specifying "x=PID" is not allowed`.
Result<std::vector<std::string>> parse_ps_arguments(const std::string& text);

struct ProcessTable {
  std::vector<std::string> titles;
  std::vector<std::vector<std::string>> rows;
};
// Rows whose PID is a member. The last column takes the rest of its line.
// Errors: "Couldn't find PID field in ps output".
Result<ProcessTable> parse_ps_output(const std::string& output, const std::set<int>& members);

}  // namespace gantry::daemon::docker
