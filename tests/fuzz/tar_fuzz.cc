// Links: gantry_engine
// Any bytes as an archive, compressed or not: read entry by entry, nothing written.
#include "engine/image/tar_reader.h"

using namespace gantry::engine;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  TextSource raw(std::string_view(reinterpret_cast<const char*>(data), size));
  gantry::Result<std::unique_ptr<ByteSource>> plain = decompressed(raw);
  if (!plain.ok()) return 0;
  TarReader reader(**plain);
  uint64_t left = uint64_t{1} << 24;  // a bomb needs no more
  while (left > 0) {
    gantry::Result<std::optional<TarEntry>> entry = reader.next();
    if (!entry.ok() || !entry->has_value()) return 0;
    --left;
    while (left > 0) {
      gantry::Result<std::optional<TarReader::Block>> block = reader.next_block();
      if (!block.ok()) return 0;
      if (!block->has_value()) break;
      left -= std::min<uint64_t>(left, (*block)->data.size() + 1);
    }
  }
  return 0;
}
