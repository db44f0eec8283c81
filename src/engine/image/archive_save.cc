// LocalImageStore::save: one tar that is a docker-archive (manifest.json, repositories) and an OCI layout (oci-layout,
// index.json, blobs/) at once. Blobs are written as they lie here, so that digests stay.
#include <unistd.h>

#include <map>
#include <nlohmann/json.hpp>

#include "engine/image/digest.h"
#include "engine/image/layer_tar.h"
#include "engine/image/local_image_store.h"

namespace gantry::engine {

class ArchiveSave {
 public:
  ArchiveSave(LocalImageStore& store, const ByteSink& sink) : store_(store), sink_(sink) {}

  Result<> run(const std::vector<std::string>& references) {
    TRY(collect(references));
    TRY(directory("blobs"));
    TRY(directory("blobs/sha256"));
    for (Item& item : items_) TRY(write_image(item));
    TRY(file("index.json", index_json().dump()));
    TRY(file("manifest.json", manifest_json().dump()));
    TRY(file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
    if (const Json names = repositories_json(); !names.empty()) TRY(file("repositories", names.dump()));
    return sink_(std::string(1024, '\0'));
  }

 private:
  using Json = nlohmann::ordered_json;
  struct Item {
    LocalImageStore::Exported image;
    std::vector<Reference> names;
    std::vector<LayerBlobRow> blobs;
    LocalImageStore::ExportedManifest manifest;
  };

  // All are looked up before the first byte goes out. An image that was named twice is written once.
  Result<> collect(const std::vector<std::string>& references) {
    for (const std::string& reference : references) {
      const Image found = TRY(store_.find(reference));
      LocalImageStore::Exported image = TRY(store_.export_image(found.id.str()));
      auto item = std::find_if(items_.begin(), items_.end(), [&](const Item& it) { return it.image.id == image.id; });
      if (item == items_.end()) item = items_.insert(items_.end(), Item{.image = std::move(image)});
      for (const std::string& tag : names_meant(reference, found)) {
        const Reference name = TRY(Reference::parse(tag));
        if (std::find(item->names.begin(), item->names.end(), name) == item->names.end()) item->names.push_back(name);
      }
    }
    return {};
  }

  // "app" means app:latest, unless only other tags of it are here: then all of them. An id means no name.
  static std::vector<std::string> names_meant(const std::string& reference, const Image& image) {
    const Result<Reference> parsed = Reference::parse(reference);
    if (!parsed.ok() || !parsed->digest.empty()) return {};
    const std::string familiar = parsed->familiar();
    const bool has = std::find(image.tags.begin(), image.tags.end(), familiar) != image.tags.end();
    return has ? std::vector<std::string>{familiar} : std::vector<std::string>();
  }

  Result<> write_image(Item& item) {
    for (const LocalImageStore::ExportedLayer& layer : item.image.layers) {
      item.blobs.push_back(TRY(write_layer(layer)));
    }
    TRY(text_blob(item.image.config_json));
    // Readers of OCI layouts pass over manifests in Docker's form.
    item.manifest = LocalImageStore::manifest_of(item.image, item.blobs, LocalImageStore::ManifestForm::oci);
    return text_blob(item.manifest.text);
  }

  Result<LayerBlobRow> write_layer(const LocalImageStore::ExportedLayer& layer) {
    // Layers that were built here go out as plain tars: whoever loads them need not inflate them.
    if (!layer.blob.has_value()) return write_plain_layer(layer);
    const LayerBlobRow blob = TRY(store_.compressed_layer(layer, {}));
    if (!written_.insert(blob.digest).second) return blob;
    const Fd file = TRY(open_file(store_.blob_path(blob.digest), O_RDONLY));
    TRY(sink_(tar_file_header("blobs/sha256/" + hex_part(blob.digest), blob.size)));
    FdSource source(file.get());
    std::vector<char> buffer(kTransferBuffer);
    uint64_t left = blob.size;
    while (left > 0) {
      const size_t got = TRY(source.read(std::span(buffer).first(std::min<uint64_t>(left, buffer.size()))));
      if (got == 0) return internal_error("blob " + blob.digest + " is shorter than it should be");
      TRY(sink_({buffer.data(), got}));
      left -= got;
    }
    TRY(sink_(tar_padding(blob.size)));
    return blob;
  }

  Result<LayerBlobRow> write_plain_layer(const LocalImageStore::ExportedLayer& layer) {
    LayerBlobRow blob{.diff_id = layer.diff_id,
                      .digest = layer.diff_id,
                      .media_type = "application/vnd.oci.image.layer.v1.tar"};
    const Fd directory = TRY(open_file(store_.layer_directory(layer.chain), O_RDONLY | O_DIRECTORY));
    TRY(write_layer_tar(directory.get(), [&](std::string_view piece) -> Result<> {
      blob.size += piece.size();  // the header wants it first
      return {};
    }));
    if (!written_.insert(blob.digest).second) return blob;
    TRY(sink_(tar_file_header("blobs/sha256/" + hex_part(blob.digest), blob.size)));
    Sha256 hash;
    TRY(write_layer_tar(directory.get(), [&](std::string_view piece) -> Result<> {
      hash.update(piece);
      return sink_(piece);
    }));
    if (hash.finish() != layer.diff_id) return internal_error("layer " + layer.diff_id + " has changed on disk");
    TRY(sink_(tar_padding(blob.size)));
    return blob;
  }

  Result<> text_blob(const std::string& text) {
    const std::string digest = digest_of(text);
    return written_.insert(digest).second ? file("blobs/sha256/" + hex_part(digest), text) : Result<>();
  }
  Result<> file(const std::string& name, const std::string& text) {
    TRY(sink_(tar_file_header(name, text.size())));
    TRY(sink_(text));
    return sink_(tar_padding(text.size()));
  }
  Result<> directory(const std::string& name) { return sink_(tar_directory_header(name)); }

  Json index_json() const {
    Json manifests = Json::array();
    for (const Item& item : items_) {
      const Json entry = {{"mediaType", item.manifest.media_type},
                          {"digest", digest_of(item.manifest.text)},
                          {"size", item.manifest.text.size()}};
      if (item.names.empty()) manifests.push_back(entry);
      for (const Reference& name : item.names) {
        Json named = entry;
        named["annotations"] = {{"io.containerd.image.name", name.canonical()},
                                {"org.opencontainers.image.ref.name", name.tag}};
        manifests.push_back(named);
      }
    }
    return {{"schemaVersion", 2}, {"mediaType", kOciIndexType}, {"manifests", manifests}};
  }

  Json manifest_json() const {
    Json list = Json::array();
    for (const Item& item : items_) {
      Json tags = Json::array();
      for (const Reference& name : item.names) tags.push_back(name.familiar());
      Json layers = Json::array();
      for (const LayerBlobRow& blob : item.blobs) layers.push_back("blobs/sha256/" + hex_part(blob.digest));
      list.push_back({{"Config", "blobs/sha256/" + hex_part(item.image.id.str())},
                      {"RepoTags", tags.empty() ? Json() : tags},
                      {"Layers", layers}});
    }
    return list;
  }

  Json repositories_json() const {
    Json names = Json::object();
    for (const Item& item : items_) {
      for (const Reference& name : item.names) {
        names[name.familiar_name()][name.tag] = item.blobs.empty() ? "" : hex_part(item.blobs.back().diff_id);
      }
    }
    return names;
  }

  LocalImageStore& store_;
  const ByteSink& sink_;
  std::vector<Item> items_;
  std::set<std::string> written_;  // digests
};

Result<> LocalImageStore::save(const std::vector<std::string>& references, const ByteSink& sink) {
  if (references.empty()) return invalid("no image was named");
  return ArchiveSave(*this, sink).run(references);
}

}  // namespace gantry::engine
