// Colours of the terminal (SGR sequences); switched off they are empty. Pure.
#pragma once

#include <string>
#include <string_view>

namespace gantry::cli {

enum class Colour { none, red, green, yellow, blue, magenta, cyan, bold_red, bold_yellow };

// "\x1b[32m" + text + "\x1b[0m"; the bare text for Colour::none.
std::string coloured(std::string_view text, Colour colour);
// The n-th colour of the cycle in which containers are told apart: cyan, yellow, green, magenta, blue, then bold.
std::string in_cycle_colour(std::string_view text, size_t index);

}  // namespace gantry::cli
