// Links: gantry_engine
// Any text as an image reference: what parses must render to something that parses to the same.
#include "engine/image/reference.h"

#include "base/check.h"

using namespace gantry::engine;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const gantry::Result<Reference> reference =
      Reference::parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!reference.ok()) return 0;
  const gantry::Result<Reference> again = Reference::parse(reference->canonical());
  CHECK(again.ok() && again->canonical() == reference->canonical());
  return 0;
}
