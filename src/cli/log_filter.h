// Which lines of a log are shown: a regular expression and a least severity. Pure; any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gantry::cli {

enum class LogLevel { trace, debug, info, warn, error };

// What a line says about itself: level=warn, "level":"error", [ERROR], WARN, … Nothing if it says nothing.
std::optional<LogLevel> level_of_line(std::string_view line);

class LogFilter {
 public:
  LogFilter();  // lets everything through
  // "" means no limit. Lines without a level pass every level but error and warn: a stack trace is not asked for by
  // its level, and `--level info` must not hide plain text.
  // Errors: no regular expression, no level.
  static Result<LogFilter> create(const std::string& pattern, const std::string& level);
  bool passes(std::string_view line) const;

 private:
  struct Pattern;
  std::shared_ptr<const Pattern> pattern_;
  std::optional<LogLevel> least_;
};

}  // namespace gantry::cli
