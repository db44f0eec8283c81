// LocalImageStore: images on their way out. Blobs that came from a registry go back byte for byte, so that digests
// stay; layers that were built or loaded as plain tars are compressed once, and the result is kept.
#include <nlohmann/json.hpp>

#include "engine/image/digest.h"
#include "engine/image/gzip_writer.h"
#include "engine/image/layer_tar.h"
#include "engine/image/local_image_store.h"

namespace gantry::engine {
namespace {

using OrderedJson = nlohmann::ordered_json;

enum class Compression { none, gzip, zstd, other };

Result<Compression> compression_of(const std::filesystem::path& blob) {
  const Fd file = TRY(open_file(blob, O_RDONLY));
  unsigned char head[6] = {};
  FdSource source(file.get());
  size_t size = 0;
  while (size < sizeof head) {
    const size_t got = TRY(source.read({reinterpret_cast<char*>(head) + size, sizeof head - size}));
    if (got == 0) break;
    size += got;
  }
  if (size >= 2 && head[0] == 0x1f && head[1] == 0x8b) return Compression::gzip;
  if (size >= 4 && head[0] == 0x28 && head[1] == 0xb5 && head[2] == 0x2f && head[3] == 0xfd) return Compression::zstd;
  if (size >= 3 && head[0] == 'B' && head[1] == 'Z' && head[2] == 'h') return Compression::other;
  if (size >= 6 && head[0] == 0xfd && head[1] == '7' && head[2] == 'z') return Compression::other;
  return Compression::none;
}

}  // namespace

Result<LocalImageStore::Exported> LocalImageStore::export_image(const std::string& reference) {
  std::lock_guard lock(mutex_);
  const Known& known = *TRY(find_or_error(reference));
  Exported image{.id = known.image.id, .config_json = known.image.config_json};
  for (std::string chain = known.chain; !chain.empty(); chain = layers_.at(chain).parent) {
    ExportedLayer layer{.chain = chain, .diff_id = layers_.at(chain).diff_id};
    const auto blob = layer_blobs_.find(layer.diff_id);
    if (blob != layer_blobs_.end()) layer.blob = blob->second;
    image.layers.insert(image.layers.begin(), std::move(layer));
  }
  if (!known.chain.empty()) image.hold = hold_chain(known.chain);
  for (const std::string& digest : known.row.blobs) {
    Result<std::string> text = read_file(blob_path(digest), kLargestManifest);
    if (text.ok()) image.documents.push_back(std::move(*text));
  }
  return image;
}

Result<LayerBlobRow> LocalImageStore::compressed_layer(const ExportedLayer& layer, const CancelCheck& cancelled) {
  if (layer.blob.has_value()) {
    const Compression compression = TRY(compression_of(blob_path(layer.blob->digest)));
    if (compression == Compression::gzip || compression == Compression::zstd) {
      LayerBlobRow blob = *layer.blob;
      blob.media_type = compression == Compression::gzip ? "application/vnd.oci.image.layer.v1.tar+gzip"
                                                         : "application/vnd.oci.image.layer.v1.tar+zstd";
      return blob;
    }
  }
  Spool spool;
  const std::filesystem::path path = temporary_path("compress");
  const Fd file = TRY(open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  spool.path = path;
  Sha256 hash;
  GzipWriter gzip([&](std::string_view piece) -> Result<> {
    hash.update(piece);
    spool.size += piece.size();
    return write_all(file.get(), piece);
  });
  const TarSink sink = [&](std::string_view piece) -> Result<> {
    if (cancelled && cancelled()) return Error(Code::cancelled, "cancelled");
    return gzip.write(piece);
  };
  if (layer.blob.has_value()) {
    const Fd blob = TRY(open_file(blob_path(layer.blob->digest), O_RDONLY));
    FdSource raw(blob.get());
    const std::unique_ptr<ByteSource> plain = TRY(decompressed(raw));
    std::vector<char> buffer(kTransferBuffer);
    while (const size_t got = TRY(plain->read(buffer))) TRY(sink({buffer.data(), got}));
  } else {
    const Fd directory = TRY(open_file(layer_directory(layer.chain), O_RDONLY | O_DIRECTORY));
    TRY(write_layer_tar(directory.get(), sink));
  }
  TRY(gzip.finish());
  spool.digest = hash.finish();
  LayerBlobRow row{.diff_id = layer.diff_id,
                   .digest = spool.digest,
                   .media_type = "application/vnd.oci.image.layer.v1.tar+gzip",
                   .size = spool.size};
  TRY(replace_layer_blob(spool, row));
  return row;
}

// The compressed form takes the place of a plain one.
Result<> LocalImageStore::replace_layer_blob(const Spool& spool, const LayerBlobRow& row) {
  std::vector<std::filesystem::path> old;
  {
    std::lock_guard lock(mutex_);
    const std::filesystem::path place = blob_path(row.digest);
    if (link(spool.path.c_str(), place.c_str()) != 0 && errno != EEXIST) {
      return Error::from_errno(errno, "link", place.native());
    }
    const auto known = layer_blobs_.find(row.diff_id);
    TRY(database_->save(row));
    if (known != layer_blobs_.end() && known->second.digest != row.digest) {
      move_aside(blob_path(known->second.digest), old);
    }
    layer_blobs_.insert_or_assign(row.diff_id, row);
  }
  remove_from_disk(old);
  return {};
}

LocalImageStore::ExportedManifest LocalImageStore::manifest_of(const Exported& image,
                                                               const std::vector<LayerBlobRow>& blobs,
                                                               ManifestForm form) {
  for (const std::string& text : image.documents) {
    const Result<ManifestDocument> parsed = parse_manifest(text, "");
    const auto* manifest = parsed.ok() ? std::get_if<Manifest>(&*parsed) : nullptr;
    if (manifest == nullptr || manifest->config.digest != image.id.str()) continue;
    const bool same = std::equal(manifest->layers.begin(), manifest->layers.end(), blobs.begin(), blobs.end(),
                                 [](const Descriptor& a, const LayerBlobRow& b) { return a.digest == b.digest; });
    const std::string type = OrderedJson::parse(text, nullptr, false).value("mediaType", std::string(kOciManifestType));
    const bool fits = form == ManifestForm::any || type == kOciManifestType;
    if (same && fits) return {.media_type = type, .text = text};
  }
  // Docker's own form is what every registry and client of the last ten years knows; it has no zstd.
  const bool is_docker = form == ManifestForm::any &&
                         std::all_of(blobs.begin(), blobs.end(),
                                     [](const LayerBlobRow& blob) { return blob.media_type.ends_with("+gzip"); });
  const std::string type = is_docker ? kDockerManifestType : kOciManifestType;
  OrderedJson root = {{"schemaVersion", 2}, {"mediaType", type}};
  root["config"] = {{"mediaType", is_docker ? "application/vnd.docker.container.image.v1+json"
                                            : "application/vnd.oci.image.config.v1+json"},
                    {"size", image.config_json.size()},
                    {"digest", image.id.str()}};
  root["layers"] = OrderedJson::array();
  for (const LayerBlobRow& blob : blobs) {
    root["layers"].push_back(
        {{"mediaType", is_docker ? "application/vnd.docker.image.rootfs.diff.tar.gzip" : blob.media_type},
         {"size", blob.size},
         {"digest", blob.digest}});
  }
  return {.media_type = type, .text = root.dump(3)};
}

}  // namespace gantry::engine
