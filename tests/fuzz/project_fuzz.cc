// Links: gantry_loader
// Any text as a whole compose file from standard input: refused with messages, or loaded; what `config` prints of it
// loads again, and prints the same.
#include <cstdlib>

#include "compose/load.h"

using namespace gantry::compose;

namespace {

LoadResult load_text(std::string text) {
  LoadOptions options;
  options.files = {"-"};
  options.project_name = "fuzz";
  options.working_dir = "/nonexistent/fuzz";
  options.environment = {{"HOME", "/nonexistent"}, {"A", "a"}, {"EMPTY", ""}};
  options.standard_input = std::move(text);
  options.resolve_environment = false;
  options.profiles = {"*"};  // an optional dependency on a hidden service is printed, but cannot be loaded without it
  return load(options);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  // Files of the machine are none of the test's business.
  for (const char* word : {"include", "extends", "env_file", "label_file"}) {
    if (text.find(word) != std::string::npos) return 0;
  }
  LoadResult first = load_text(text);
  for (const Diagnostic& diagnostic : first.diagnostics) render(diagnostic, first.texts);
  if (!first.ok()) {
    if (first.diagnostics.empty()) abort();
    return 0;
  }
  LoadResult second = load_text(first.canonical_yaml);
  if (!second.ok() || second.canonical_yaml != first.canonical_yaml) abort();
  return 0;
}
