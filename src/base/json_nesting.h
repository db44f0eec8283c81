// How deep a JSON text is nested, before anything is built from it: parsers and printers go down with it. Pure.
#pragma once

#include <string_view>

namespace gantry {

// The most objects and arrays that are open at once. Text that is no JSON has some depth, too.
int json_nesting(std::string_view text);

}  // namespace gantry
