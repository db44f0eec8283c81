// Links: gantry_loader
// Any text as a port, mount, device, command, size, duration, boolean, host or plain scalar. What is canonical stays so.
#include <cstdlib>

#include "compose/canonical.h"
#include "compose/output.h"
#include "compose/scalar.h"
#include "compose/values.h"

using namespace gantry::compose;

namespace {

// Makes a list of one text canonical, twice.
void stays_canonical(void (*form)(Node&, const Path&, Report&), const std::string& text) {
  Node list = Node::sequence({0, 1, 1});
  list.items.push_back(Node::string(text, {0, 1, 3}));
  Report report;
  report.add_file("f", text);
  form(list, Path::root(), report);
  if (report.failed() || list.items.size() > 1000) return;  // a range of 65,535 ports is right, and slow
  Node again = list;
  form(again, Path::root(), report);
  if (report.failed()) abort();
  const OutputStyle style{.double_dollars = false, .canonical = false};
  Node one = Node::mapping(), two = Node::mapping();
  one.set("x", std::move(list));
  two.set("x", std::move(again));
  if (to_yaml(one, style) != to_yaml(two, style)) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  for (auto form : {canonical::ports, canonical::volumes, canonical::devices, canonical::extra_hosts, canonical::env_files,
                    canonical::file_references}) {
    stays_canonical(form, text);
  }
  if (auto bytes = parse_bytes(text); bytes.ok()) {
    auto again = parse_bytes(std::to_string(*bytes));
    if (!again.ok() || *again != *bytes) abort();
  }
  if (auto duration = parse_duration(text); duration.ok()) {
    auto again = parse_duration(format_duration(*duration));
    if (!again.ok() || *again != *duration) abort();
  }
  (void)split_command(text);
  (void)parse_boolean(text);
  if (clean_path(clean_path(text)) != clean_path(text)) abort();
  Scalar scalar = resolve_plain(text);
  if (scalar.kind == Node::Kind::string && scalar.text != text) abort();
  return 0;
}
