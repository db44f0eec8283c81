// What a .dockerignore file says: which paths of a build context (or of develop.watch) are left out.
//
//   IgnorePatterns ignored = TRY(IgnorePatterns::parse(text));
//   walk: if ignored.matches(path): leave it out; if it is a directory and ignored.can_skip(path): don't even enter.
//
// Rules (Docker's): a "#" in column 0 starts a comment; white space around is trimmed; the path is cleaned and a
// leading
// "/" dropped; "!" takes back; the last line that matches a path or one of its parents wins; "*" and "?" stop at "/",
// "**" does not. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/glob.h"
#include "base/result.h"

namespace gantry {

class IgnorePatterns {
 public:
  IgnorePatterns() = default;  // leaves nothing out
  // Code::invalid, naming the line: "line 3: illegal exclusion pattern: \"!\"".
  static Result<IgnorePatterns> parse(std::string_view text);

  // Adds one pattern after the others ("!x" takes back), as a line of the file would.
  Result<> add(std::string_view pattern);

  // `path` is relative to the root, with "/" and without "." or "..": "src/a.o". True: it is left out.
  bool matches(std::string_view path) const;
  // For a directory that matches(): true if nothing below it can be taken back by a later "!" line.
  bool can_skip(std::string_view directory) const;

  bool empty() const { return patterns_.empty(); }

 private:
  struct Pattern {
    Glob glob;
    bool takes_back = false;
  };
  std::vector<Pattern> patterns_;
};

}  // namespace gantry
