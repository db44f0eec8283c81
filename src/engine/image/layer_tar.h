// The tar of a layer, made from its directory in overlay form: the same bytes for the same directory, whenever and
// wherever. Its digest is the layer's diff id, so what is written here must never change. (Entries sorted by name
// bytes, the root itself left out; char 0:0 → .wh.NAME, opaque → .wh..wh..opq; ustar, PAX headers only where ustar
// can't say it; times in whole seconds, as Docker's; user.* attributes and security.capability.)
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace gantry::engine {

// Gets the archive in pieces.
using TarSink = std::function<Result<>(std::string_view)>;

Result<> write_layer_tar(int directory, const TarSink& sink);

struct LayerSummary {
  std::string diff_id;
  uint64_t size = 0;  // bytes of file contents; files of several names count once
};
// Reads every file once; writes nothing.
Result<LayerSummary> summarize_layer(int directory);

// Pieces of other archives, in the same form: entries of root with the time 0.
std::string tar_file_header(const std::string& path, uint64_t size);
std::string tar_directory_header(const std::string& path);
std::string tar_padding(uint64_t size);  // zeros after a file's content, up to the next block

}  // namespace gantry::engine
