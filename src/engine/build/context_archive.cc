#include "engine/build/context_archive.h"

#include "base/fd.h"
#include "engine/image/byte_source.h"
#include "engine/image/unpack.h"

namespace gantry::engine {

Result<> extract_context(int archive, const std::filesystem::path& directory) {
  const Fd root = TRY(open_file(directory, O_RDONLY | O_DIRECTORY));
  FdSource raw(archive);
  const std::unique_ptr<ByteSource> plain = TRY(decompressed(raw).within("build context"));
  TRY(unpack(*plain, root.get(), {.form = UnpackOptions::Form::files}).within("build context"));
  return {};
}

}  // namespace gantry::engine
