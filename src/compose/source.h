// Where a value was written: kept on every value of a project to the end, so that every error can point at it.
#pragma once

#include <compare>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace gantry::compose {

struct Mark {
  std::string file;  // as the user would type it; "" = not from a file (flag, default)
  int line = 0;      // from 1; 0 = unknown
  int column = 0;    // from 1, in characters
  friend auto operator<=>(const Mark&, const Mark&) = default;
  std::string to_string() const;  // "compose.yaml:12:7"
};

enum class Severity { warning, error };

// One thing that is wrong, where, and what would be right.
//
//   compose.yaml:14:11: services.web.depends_on: no service "databse"
//     14 |         - databse
//        |           ^~~~~~~ did you mean "database"?
struct Diagnostic {
  Severity severity = Severity::error;
  Mark mark;
  std::string path;     // "services.web.depends_on[0]"; may be empty
  std::string message;
  std::string hint;     // "did you mean \"database\"?"; may be empty
  std::string note;     // lines of more: where a variable in the value was set; may be empty
  int length = 0;       // characters to underline; 0 = the word at the mark
  friend bool operator==(const Diagnostic&, const Diagnostic&) = default;
};

// With the source line and a caret, where `texts` has the file. `texts`: file → whole text.
std::string render(const Diagnostic& diagnostic, const std::map<std::string, std::string>& texts);

}  // namespace gantry::compose
