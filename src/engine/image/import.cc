// LocalImageStore::import: any tar becomes an image of one layer.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/scope_exit.h"
#include "engine/build/metadata.h"
#include "engine/image/file_copy.h"
#include "engine/image/local_image_store.h"
#include "engine/image/manifest.h"
#include "engine/image/unpack.h"

namespace gantry::engine {

Result<ImageId> LocalImageStore::import(int input, const ImportOptions& options) {
  NewImage image;
  if (!options.reference.empty()) {
    const Reference reference = TRY(Reference::parse(options.reference));
    if (!reference.digest.empty()) return invalid("cannot import digest reference");
    image.names.push_back(reference.canonical());
  }
  const Platform host = Platform::of_host();
  ImageDocument document{.os = "linux", .architecture = host.architecture, .variant = host.variant};
  TRY(apply_changes(options.changes, document));

  // Unpacked in a layer's form, so that a tar made from a layer keeps its whiteouts; its digest is that of our own tar
  // of the result, which can be made again at any time.
  const std::filesystem::path directory = temporary_path("import");
  if (mkdir(directory.c_str(), 0755) != 0) return Error::from_errno(errno, "mkdir", directory.native());
  ScopeExit remove([&] { remove_from_disk({directory}); });
  {
    const Fd root = TRY(open_file(directory, O_RDONLY | O_DIRECTORY));
    TRY(copy_root_attributes(nullptr, root.get()));
    FdSource raw(input);
    const std::unique_ptr<ByteSource> plain = TRY(decompressed(raw));
    TRY(unpack(*plain, root.get(), {}));
  }
  const NewLayer layer = TRY(add_layer("", directory));
  document.diff_ids = {layer.diff_id};
  document.created = format_rfc3339(SystemClock().wall());
  document.comment = options.message.empty() ? "Imported from -" : options.message;
  document.history = {{.created = document.created, .comment = document.comment}};
  image.config_json = render_image_document(document);
  return register_image(image);
}

}  // namespace gantry::engine
