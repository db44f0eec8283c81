// The functions of templates and how Go prints values. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/template.h"

namespace gantry::cli {

bool is_template_function(std::string_view name);
// Errors: invalid, what is wrong with the arguments.
Result<Value> call_template_function(std::string_view name, std::vector<Value> arguments);

// As fmt.Print: texts bare, [a b] for lists, map[k:v] for objects, <no value> for nothing.
std::string printed(const Value& value);
// Empty, zero and nothing are false.
bool is_truthy(const Value& value);

}  // namespace gantry::cli
