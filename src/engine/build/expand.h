// Variables in a Dockerfile's words: $NAME, ${NAME} with all its modifiers, quotes and escapes. Pure; any thread.
// Grammar: the Dockerfile reference, "Environment replacement".
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gantry::engine {

// The value, or nothing if the variable is not set.
using VariableLookup = std::function<std::optional<std::string>(const std::string& name)>;

enum class Quotes {
  remove,  // of words: 'a b' → a b, \$ → $
  keep,    // of here-documents: everything but variables stays as it is, and quotes mean nothing
};

// Time linear in the text; nesting is limited. Errors: Code::invalid, in BuildKit's words.
Result<std::string> expand(std::string_view text, char escape, const VariableLookup& lookup,
                           Quotes quotes = Quotes::remove);

// Splits at white space outside of quotes; nothing is removed or expanded.
std::vector<std::string> split_words(std::string_view text, char escape);

}  // namespace gantry::engine
