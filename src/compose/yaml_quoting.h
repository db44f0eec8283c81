// How a text is written in YAML so that every reader gets it back as that text. Pure; any thread.
#pragma once

#include <string_view>

namespace gantry::compose {

enum class Quoting { plain, single_, double_, literal };

// `key`: of a mapping; those are never written over several lines.
Quoting quoting_of(std::string_view text, bool key);

// Characters beyond ASCII that YAML takes for line breaks or does not allow unescaped (YAML 1.2, section 5.1), with their
// escapes. C1 controls are written by their number.
struct Escape {
  std::string_view character;
  std::string_view escape;
};

// The escaped character that `text` begins with, or null.
const Escape* escape_at(std::string_view text);

// U+0080 to U+009F, two bytes each.
bool is_c1_control(std::string_view text);

}  // namespace gantry::compose
