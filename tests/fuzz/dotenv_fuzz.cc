// Links: gantry_loader
// Any text as .env file, in both formats. Lines are within the text.
#include <algorithm>
#include <cstdlib>

#include "compose/dotenv.h"

using namespace gantry::compose;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  static const Environment kVariables = {{"A", "a"}, {"EMPTY", ""}, {"OUTER", "${A}"}};
  auto lines = std::count(text.begin(), text.end(), '\n') + 1;
  for (const auto& result : {parse_dotenv(text, lookup_in(kVariables)), parse_raw_env(text, lookup_in(kVariables))}) {
    if (!result.ok()) continue;
    for (const Assignment& one : *result) {
      if (one.key.empty() || one.line < 1 || one.line > lines) abort();
    }
  }
  return 0;
}
