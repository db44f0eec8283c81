// JSON written straight into a text, where building a document first would cost more than all else. Pure.
#pragma once

#include <string>
#include <string_view>

namespace gantry {

// Appends `text` as a JSON string, quotes included. What is no UTF-8 becomes U+FFFD.
void append_json(std::string& out, std::string_view text);

}  // namespace gantry
