// Links: gantry_loader
// Any template with some variables set. The result of a text without `$` is the text.
#include <cstdlib>

#include "compose/interpolate.h"

using namespace gantry::compose;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  static const Environment kVariables = {{"A", "a"}, {"EMPTY", ""}, {"B", "${A}"}, {"_", "$"}};
  auto result = substitute(text, lookup_in(kVariables));
  if (text.find('$') == std::string::npos && (!result.ok() || result->text != text)) abort();
  auto uses = variables_in(text);
  if (result.ok()) {
    // What the substitution looked at is among what the template mentions.
    for (const std::string& name : result->used) {
      bool found = false;
      for (const VariableUse& use : uses) found = found || use.name == name;
      if (!found) abort();
    }
  }
  return 0;
}
