// Types of plain YAML scalars, as compose files know them: YAML 1.2 core plus underscores, binary and leading-zero
// octal numbers and timestamps, but without sexagesimal numbers and without yes/no booleans (compose-file.md section
// 2, "Scalar resolution"). Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "compose/yaml_tree.h"

namespace gantry::compose {

struct Scalar {
  Node::Kind kind;
  std::string text;  // canonical, as Node::text
};

// What a plain (unquoted, untagged) scalar is.
Scalar resolve_plain(std::string_view text);

// By a glance at its first letter: nothing that resolve_plain takes for anything but a string, and no timestamp. Says so of
// most texts, not of all.
inline bool is_plainly_text(std::string_view text) {
  constexpr size_t kLongestWord = 5;  // false
  if (text.empty()) return false;
  const char first = text[0];
  const bool letter = (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z');
  if (letter && text.size() <= kLongestWord) return std::string_view("tTfFnNyYoO").find(first) == std::string_view::npos;
  return letter || first == '/' || first == '_' || first == '$';
}

// A float64 with the shortest digits that read back as the same value; in exponent form below 1e-4 and from
// 10^exponent_from on (Go: 21 in %v and JSON; 6 where a YAML float lands in a place for strings).
std::string format_number(double value, int exponent_from);

// Whole text as a number / integer; decimal only.
std::optional<double> parse_number(std::string_view text);
std::optional<int64_t> parse_integer(std::string_view text);  // sign allowed

// Like 2001-12-14 or 2001-12-14T21:59:43.10-05:00.
bool is_timestamp(std::string_view text);

}  // namespace gantry::compose
