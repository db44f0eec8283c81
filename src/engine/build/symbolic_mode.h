// What --chmod says: octal, or symbolic as of chmod(1) ("u+x,go-w", "a=rX"). Pure.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::engine {

class ModeChange {
 public:
  // Errors: Code::invalid "invalid chmod parameter: '9'. …".
  static Result<ModeChange> parse(const std::string& text);
  mode_t apply(mode_t mode, bool is_directory) const;
  const std::string& text() const { return text_; }

 private:
  struct Clause {
    mode_t who = 0;     // mask of the bits that it may touch
    char operation = '=';
    mode_t bits = 0;    // for all three classes
    bool conditional_execute = false;  // X
  };
  std::string text_;
  std::vector<Clause> clauses_;
};

}  // namespace gantry::engine
