// Follows a container's log until a line matches: the health check {"LOG", "regular expression"}.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/function.h"
#include "base/result.h"
#include "base/tasks.h"

namespace gantry::engine {

// Loop thread only. Destroying it ends the following; nothing is called afterwards.
class LogProbe {
 public:
  // `matched` gets the line. Extended regular expressions (POSIX). Errors: one that is none, a log that cannot be read.
  static Result<std::unique_ptr<LogProbe>> start(Tasks& tasks, const std::filesystem::path& log, WallTime since,
                                                 const std::string& expression,
                                                 Function<void(std::string line)> matched);
  ~LogProbe();

 private:
  struct State;
  explicit LogProbe(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

Result<> check_log_expression(const std::string& expression);

}  // namespace gantry::engine
