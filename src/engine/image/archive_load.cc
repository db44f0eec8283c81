// LocalImageStore::load: a docker-archive or an OCI layout, read as it comes. The list of images stands at the end of
// many archives, so members are spooled to files first; nothing becomes visible before all of it has been checked.
#include <algorithm>

#include "base/strings.h"
#include "engine/image/digest.h"
#include "engine/image/local_image_store.h"
#include "engine/image/manifest.h"
#include "engine/image/tar_reader.h"

namespace gantry::engine {

class ArchiveLoad {
 public:
  explicit ArchiveLoad(LocalImageStore& store) : store_(store) {}

  Result<std::vector<std::string>> run(int input) {
    FdSource raw(input);
    const std::unique_ptr<ByteSource> plain = TRY(decompressed(raw));
    TRY(read_members(*plain));
    TRY(drain(*plain));
    if (members_.contains("manifest.json")) return load_docker_archive();
    if (members_.contains("index.json")) return load_oci_layout();
    return invalid("archive holds neither manifest.json nor index.json: it was not made by `docker save`");
  }

 private:
  static constexpr size_t kMostMembers = 100'000;
  static constexpr size_t kLargestConfig = size_t{16} << 20;

  // "./a//b" → "a/b"; names that lead out stay as they are and match nothing.
  static std::string cleaned(const std::string& name) {
    std::string path = std::filesystem::path(name).lexically_normal().string();
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path.starts_with('/') ? path.substr(1) : path;
  }

  Result<> read_members(ByteSource& tar) {
    TarReader reader(tar);
    while (true) {
      std::optional<TarEntry> entry = TRY(reader.next());
      if (!entry.has_value()) return {};
      if (members_.size() + links_.size() > kMostMembers) return invalid("archive with too many members");
      const std::string name = cleaned(entry->path);
      if (entry->kind == TarEntry::Kind::file) {
        members_.insert_or_assign(name, TRY(store_.spool(reader.content(), "load").within(name)));
      } else if (entry->kind == TarEntry::Kind::symlink) {
        // Older `docker save` names equal layers by links: "../ID/layer.tar".
        const std::filesystem::path directory = std::filesystem::path(name).parent_path();
        links_.insert_or_assign(name, cleaned((directory / entry->link_target).string()));
      } else if (entry->kind == TarEntry::Kind::hard_link) {
        links_.insert_or_assign(name, cleaned(entry->link_target));
      }
    }
  }

  Result<Spool*> member(const std::string& name) {
    std::string path = cleaned(name);
    for (int links = 0; links < 8; ++links) {
      const auto found = members_.find(path);
      if (found != members_.end()) return &found->second;
      const auto link = links_.find(path);
      if (link == links_.end()) break;
      path = link->second;
    }
    return invalid("archive has no member " + gantry::quoted(name));
  }

  Result<std::string> text_member(const std::string& name, size_t limit) {
    Spool* spool = TRY(member(name));
    return read_file(spool->path, limit).within(name);
  }

  Result<Spool*> blob(const Descriptor& descriptor) {
    Spool* spool = TRY(member("blobs/sha256/" + hex_part(descriptor.digest)));
    if (spool->digest != descriptor.digest || spool->size != descriptor.size) {
      return invalid("blob " + descriptor.digest + " does not match its digest and size");
    }
    return spool;
  }

  Result<std::string> text_blob(const Descriptor& descriptor, size_t limit) {
    TRY(blob(descriptor));
    return text_member("blobs/sha256/" + hex_part(descriptor.digest), limit);
  }

  Result<> install_layers(const ImageDocument& document, const std::vector<std::string>& layers) {
    if (layers.size() != document.diff_ids.size()) {
      return invalid("archive lists " + std::to_string(layers.size()) + " layers, the image's config " +
                     std::to_string(document.diff_ids.size()));
    }
    std::string parent;
    for (size_t i = 0; i < layers.size(); ++i) {
      const std::string& diff_id = document.diff_ids[i];
      const std::string chain = chain_id(parent, diff_id);
      std::optional<LocalImageStore::Held> held = store_.hold_layer(chain);
      if (!held.has_value()) {
        Spool* spool = TRY(member(layers[i]));
        const Fd file = TRY(open_file(spool->path, O_RDONLY));
        FdSource source(file.get());
        held = TRY(store_.install_layer(parent, diff_id, source, {}).within("layer " + layers[i]));
        TRY(store_.keep_layer_blob(*spool, diff_id, ""));
      }
      holds_.push_back(std::move(held->hold));
      parent = chain;
    }
    return {};
  }

  Result<std::vector<std::string>> load_docker_archive() {
    const std::string list = TRY(text_member("manifest.json", kLargestManifest));
    for (const ArchivedImage& image : TRY(parse_archive_manifest(list))) {
      LocalImageStore::NewImage added{.config_json = TRY(text_member(image.config, kLargestConfig))};
      std::vector<std::string> shown;
      for (const std::string& tag : image.tags) {
        const Reference reference = TRY(Reference::parse(tag).within("tag " + gantry::quoted(tag)));
        added.names.push_back(reference.canonical());
        shown.push_back(reference.familiar());
      }
      TRY(add(std::move(added), image.layers, shown));
    }
    return finish();
  }

  Result<std::vector<std::string>> load_oci_layout() {
    const std::string text = TRY(text_member("index.json", kLargestManifest));
    const ManifestDocument document = TRY(parse_manifest(text, "").within("index.json"));
    const auto* index = std::get_if<Index>(&document);
    if (index == nullptr) return invalid("index.json is no index");
    for (const Descriptor& descriptor : index->manifests) TRY(add_oci(descriptor));
    return finish();
  }

  Result<> add_oci(const Descriptor& entry) {
    LocalImageStore::NewImage added;
    std::vector<std::string> shown;
    for (const char* key : {"io.containerd.image.name", "org.opencontainers.image.ref.name"}) {
      const auto name = entry.annotations.find(key);
      if (name == entry.annotations.end() || !shown.empty()) continue;
      const Result<Reference> reference = Reference::parse(name->second);
      if (!reference.ok()) continue;
      added.names.push_back(reference->canonical());
      shown.push_back(reference->familiar());
    }
    Descriptor descriptor = entry;
    while (true) {
      const std::string text = TRY(text_blob(descriptor, kLargestManifest));
      const ManifestDocument document = TRY(parse_manifest(text, descriptor.media_type));
      added.documents.push_back(text);
      if (const auto* index = std::get_if<Index>(&document)) {
        if (added.documents.size() > 4) return invalid("index within index within index");
        descriptor = TRY(choose(*index, Platform::of_host()));
        continue;
      }
      const auto& manifest = std::get<Manifest>(document);
      added.config_json = TRY(text_blob(manifest.config, kLargestConfig));
      std::vector<std::string> layers;
      for (const Descriptor& layer : manifest.layers) {
        TRY(blob(layer));
        layers.push_back("blobs/sha256/" + hex_part(layer.digest));
      }
      return add(std::move(added), layers, shown);
    }
  }

  Result<> add(LocalImageStore::NewImage image, const std::vector<std::string>& layers,
               const std::vector<std::string>& shown) {
    const ImageDocument document = TRY(parse_image_document(image.config_json));
    TRY(install_layers(document, layers));
    const std::string id = digest_of(image.config_json);
    if (shown.empty()) loaded_.push_back(id);
    loaded_.insert(loaded_.end(), shown.begin(), shown.end());
    images_.push_back(std::move(image));
    return {};
  }

  Result<std::vector<std::string>> finish() {
    if (images_.empty()) return invalid("archive holds no images");
    for (const LocalImageStore::NewImage& image : images_) TRY(store_.register_image(image));
    return std::move(loaded_);
  }

  LocalImageStore& store_;
  std::map<std::string, Spool> members_;
  std::map<std::string, std::string> links_;
  std::vector<LocalImageStore::NewImage> images_;
  std::vector<std::string> loaded_;
  std::vector<std::shared_ptr<void>> holds_;
};

Result<std::vector<std::string>> LocalImageStore::load(int input) { return ArchiveLoad(*this).run(input); }

}  // namespace gantry::engine
