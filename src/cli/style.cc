#include "cli/style.h"

#include <array>

namespace gantry::cli {

namespace {

std::string wrapped(std::string_view text, std::string_view code) {
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

}  // namespace

std::string coloured(std::string_view text, Colour colour) {
  switch (colour) {
    case Colour::none:
      return std::string(text);
    case Colour::red:
      return wrapped(text, "31");
    case Colour::green:
      return wrapped(text, "32");
    case Colour::yellow:
      return wrapped(text, "33");
    case Colour::blue:
      return wrapped(text, "34");
    case Colour::magenta:
      return wrapped(text, "35");
    case Colour::cyan:
      return wrapped(text, "36");
    case Colour::bold_red:
      return wrapped(text, "1;31");
    case Colour::bold_yellow:
      return wrapped(text, "1;33");
  }
  return std::string(text);
}

std::string in_cycle_colour(std::string_view text, size_t index) {
  constexpr std::array<std::string_view, 10> kCodes = {"36",   "33",   "32",   "35",   "34",
                                                       "1;36", "1;33", "1;32", "1;35", "1;34"};
  return wrapped(text, kCodes[index % kCodes.size()]);
}

}  // namespace gantry::cli
