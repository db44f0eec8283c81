// Variables in values: `$NAME`, `${NAME}`, `${NAME:-word}` and its relatives (compose-file.md section 3.1). Pure; any
// thread. The result of a substitution is never scanned again.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "compose/report.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {

using Environment = std::map<std::string, std::string, std::less<>>;
// The value of a variable; nullptr: not set.
using Lookup = std::function<const std::string*(std::string_view)>;

Lookup lookup_in(const Environment& environment);

struct Substitution {
  std::string text;
  std::vector<std::string> unset;  // variables replaced by nothing, in order, repetitions kept: each deserves a warning
};

// Errors (code invalid): "invalid interpolation format …" in two lines, or "required variable V is missing a value: …".
Result<Substitution> substitute(std::string_view text, const Lookup& lookup);

// Every string value of the tree, in place; keys are never touched. Warnings for unset variables, errors at the value.
void interpolate(Node& node, const Lookup& lookup, const Path& path, Report& report);

}  // namespace gantry::compose
