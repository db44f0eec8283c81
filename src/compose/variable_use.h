// A variable as a text of a compose file mentions it.
#pragma once

#include <string>

namespace gantry::compose {

struct VariableUse {
  std::string name;
  bool required = false;      // ${NAME:?…}
  std::string default_value;  // ${NAME:-…}
  std::string alternative;    // ${NAME:+…}
  friend bool operator==(const VariableUse&, const VariableUse&) = default;
};

}  // namespace gantry::compose
