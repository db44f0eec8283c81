// Path patterns with *, ?, [a-z] and \ (as Go's filepath.Match), optionally with ** for any depth (as in
// .dockerignore). Pure values; any thread. Matching takes time linear in pattern times path: hostile patterns cannot
// make it explode.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace gantry {

class Glob {
 public:
  enum class Stars {
    single,  // "**" is two "*"
    deep,    // "**/" and "**" before other text: any number of whole directories; "**" at the end: everything
  };
  // Code::invalid: "syntax error in pattern" for an open [ or a \ at the end.
  static Result<Glob> compile(std::string_view pattern, Stars stars);

  bool matches(std::string_view path) const;
  // Whether some path that starts with `prefix` could match. For "directory/": can anything below it match?
  bool could_match_below(std::string_view prefix) const;

  // Whether the text has any of * ? [ \, so that it is a pattern and not a name.
  static bool has_wildcards(std::string_view text);

 private:
  struct Token {
    enum class Kind { literal, any_one, any_run, whole_directories, everything, one_of };
    Kind kind;
    char literal = 0;
    bool negated = false;
    std::vector<std::pair<char, char>> ranges;
  };
  using States = std::vector<uint8_t>;  // states[i]: everything before token i has been matched
  States start() const;
  void close_over(States& states) const;
  States step(const States& from, char c) const;
  static bool accepts(const Token& token, char c);

  std::vector<Token> tokens_;
};

}  // namespace gantry
