// Links: gantry_loader
// Any text as YAML: it is refused with a message that has a place, or read into a tree that, printed and read again,
// is the same tree.
#include <cstdlib>

#include "compose/output.h"
#include "compose/yaml_tree.h"

using namespace gantry::compose;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  Report report;
  auto documents = parse_yaml(text, report.add_file("f", text), report);
  if (!documents && !report.failed()) abort();
  if (!documents || report.failed()) {
    for (const Diagnostic& diagnostic : report.take()) render(diagnostic, report.texts());
    return 0;
  }
  for (const Node& document : *documents) {
    if (!document.is_map() || document.entries.empty()) continue;  // nothing is printed as nothing
    std::string printed = to_yaml(document, {.double_dollars = false, .canonical = false});
    Report again;
    auto read = parse_yaml(printed, again.add_file("g", printed), again);
    if (!read || again.failed() || read->size() != 1) abort();
    if (to_yaml(read->at(0), {.double_dollars = false, .canonical = false}) != printed) abort();
  }
  return 0;
}
