// Links: gantry_engine
// Any text as a manifest, an index, an image's config and the list of an archive.
#include "engine/image/image_document.h"
#include "engine/image/manifest.h"

using namespace gantry::engine;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const gantry::Result<ManifestDocument> document = parse_manifest(text, "");
  if (document.ok()) {
    if (const auto* index = std::get_if<Index>(&*document)) (void)choose(*index, Platform::of_host()).ok();
  }
  (void)parse_archive_manifest(text).ok();
  const gantry::Result<ImageDocument> image = parse_image_document(text);
  if (image.ok()) (void)render_image_document(*image);
  return 0;
}
