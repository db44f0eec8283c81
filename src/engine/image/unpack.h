// Writes a tar into a directory, never outside it. Two uses with the same safety and different tastes: an image layer
// (whiteouts become overlayfs's, owners and devices are kept) and an archive of files (ADD, the build context).
//
// Rules: names are cleaned, "/" in front dropped, names with ".." that lead out refused; symlinks in parent directories
// are resolved within the directory, the last name is never followed; what is in the way is removed first, except
// that a directory on a directory only takes over mode and owner; hard links only to what the same tar has written,
// or, for layers, to a file of the layers below, which is then copied; sizes and counts are limited. Order for each
// file: content, owner, mode (chown clears setuid), extended attributes, time; times of directories at the very end.
#pragma once

#include <functional>

#include "base/result.h"
#include "engine/image/byte_source.h"
#include "engine/image/layer_view.h"

namespace gantry::engine {

struct UnpackLimits {
  uint64_t bytes = uint64_t{1} << 40;
  uint64_t entries = 10'000'000;
};

using LowerLayers = std::function<Result<const LayerView*>()>;
inline LowerLayers present(const LayerView& view) {
  return [&view]() -> Result<const LayerView*> { return &view; };
}

struct UnpackOptions {
  enum class Form {
    layer,  // .wh.NAME → char 0:0, .wh..wh..opq → trusted.overlay.opaque; needs root
    files,  // names are just names; devices are refused
  };
  Form form = Form::layer;
  // files: everything gets this owner instead of the tar's.
  std::optional<std::pair<uid_t, gid_t>> owner;
  // layer: what is below, for hard links into it, whiteouts, and the modes of directories that the tar forgot. Asked for
  // only when an entry needs it, and may then block until it is there: so layers can be unpacked side by side. May be
  // empty, and give null: there is nothing below.
  LowerLayers below;
  UnpackLimits limits;
  std::function<bool()> cancelled;  // may be empty
};

struct Unpacked {
  uint64_t bytes = 0;  // of file contents
  uint64_t entries = 0;
  bool has_root = false;  // there was an entry for the directory itself
};

// `directory` is a descriptor of an empty or existing directory. `tar` must be uncompressed; it is read to its end.
// After an error the directory is half-filled: throw it away.
Result<Unpacked> unpack(ByteSource& tar, int directory, const UnpackOptions& options);

}  // namespace gantry::engine
