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
#include "compose/variable_use.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {

using Environment = std::map<std::string, std::string, std::less<>>;
// The value of a variable; nullptr: not set.
using Lookup = std::function<const std::string*(std::string_view)>;

Lookup lookup_in(const Environment& environment);

// Where variables got their values: NAME → ".env:3". What is not in it comes from the process's environment.
using Origins = std::map<std::string, std::string, std::less<>>;
// "PORT comes from .env:3"
std::string describe_variable(const std::string& name, const Environment& environment, const Origins& origins);

struct Substitution {
  std::string text;
  std::vector<std::string> used;   // variables that were looked at, each once
  std::vector<std::string> unset;  // variables replaced by nothing, in order, repetitions kept: each deserves a warning
};

// A value with its variables replaced, and all such values of one file: variables that are made of others twice each
// would grow beyond all memory ("billion laughs"). Bytes; far above what a program can get as its environment.
inline constexpr size_t kLargestValue = size_t{16} << 20;
inline constexpr size_t kLargestValues = size_t{64} << 20;

// Errors (code invalid): "invalid interpolation format …" in two lines, "required variable V is missing a value: …", or
// a result of more than kLargestValue.
Result<Substitution> substitute(std::string_view text, const Lookup& lookup);

// Every string value of the tree, in place; keys are never touched. Warnings for unset variables, errors at the value.
// The report's history learns which variables are in which value.
void interpolate(Node& node, const Environment& environment, const Origins& origins, const Path& path, Report& report);

// All variables of a text, those within words too, in order. What is malformed ends the list.
std::vector<VariableUse> variables_in(std::string_view text);

}  // namespace gantry::compose
