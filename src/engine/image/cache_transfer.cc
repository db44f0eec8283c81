// LocalImageStore: build caches that are read from and written to registries and directories.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "engine/image/blob_download.h"
#include "engine/image/blob_upload.h"
#include "engine/image/digest.h"
#include "engine/image/local_image_store.h"
#include "engine/image/registry.h"
#include "engine/image/remote_cache.h"

namespace gantry::engine {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr size_t kLargestIndex = size_t{64} << 20;
constexpr const char* kLayoutMark = R"({"imageLayoutVersion":"1.0.0"})";

// The manifest of a directory: the only one of its index.json.
Result<std::string> manifest_of_directory(const std::filesystem::path& directory) {
  const std::string text = TRY(read_file(directory / "index.json", kLargestManifest));
  const ManifestDocument document = TRY(parse_manifest(text, "").within("index.json"));
  const auto* index = std::get_if<Index>(&document);
  if (index == nullptr || index->manifests.size() != 1) return invalid("index.json does not name one manifest");
  const std::string& digest = index->manifests.front().digest;
  const std::string manifest = TRY(read_file(directory / "blobs/sha256" / hex_part(digest), kLargestManifest));
  if (digest_of(manifest) != digest) return invalid("manifest " + digest + " does not match its digest");
  return manifest;
}

// Under its last name only when it is complete.
Result<> put_file(const std::filesystem::path& place, const std::string& text) {
  const std::filesystem::path temporary = place.native() + ".new";
  TRY(write_file(temporary, text, 0644));
  if (rename(temporary.c_str(), place.c_str()) != 0) return Error::from_errno(errno, "rename", place.native());
  return {};
}

}  // namespace

class LocalImageStore::CacheReader final : public RemoteCache {
 public:
  CacheReader(LocalImageStore& store, CachePlace place) : store_(store), place_(std::move(place)) {}

  Result<> open(const CancelCheck& cancelled) {
    std::string manifest_text;
    HttpClient http;
    if (place_.directory.empty()) {
      const Reference reference = TRY(Reference::parse(place_.reference));
      registry_ = TRY(Registry::open(reference, place_.auth, store_.settings_));
      const std::string which = reference.digest.empty() ? reference.tag : reference.digest;
      manifest_text = TRY(registry_->manifest(http, which)).text;
    } else {
      manifest_text = TRY(manifest_of_directory(place_.directory));
    }
    ManifestDocument document = TRY(parse_manifest(manifest_text, ""));
    if (const auto* index = std::get_if<Index>(&document); index != nullptr && registry_ != nullptr) {
      const Descriptor chosen = TRY(choose(*index, Platform::of_host()));
      document = TRY(parse_manifest(TRY(registry_->manifest(http, chosen.digest)).text, ""));
    }
    const auto* manifest = std::get_if<Manifest>(&document);
    if (manifest == nullptr) return invalid("this is no build cache");
    const std::string config = TRY(read_config(http, manifest->config, cancelled));
    if (manifest->config.media_type == kCacheConfigType) {
      index_ = TRY(parse_cache_index(config, manifest->layers.size()));
    } else {
      index_ = inline_cache_index(TRY(parse_image_document(config)));
      if (index_.steps.empty()) return invalid("the image has no build cache in it (--cache-to type=inline)");
    }
    layers_ = manifest->layers;
    return {};
  }

  // The cache of an image that is here.
  Result<> open_local(const Image& image) {
    index_ = inline_cache_index(TRY(parse_image_document(image.config_json)));
    if (index_.steps.empty()) return not_found("no cache");
    return {};
  }

  size_t steps() const override { return index_.steps.size(); }

  Result<std::optional<NewLayer>> take(const std::string& key, const std::string& parent,
                                       const CancelCheck& cancelled) override {
    for (size_t i = 0; i < index_.steps.size(); ++i) {
      const CachedStep& step = index_.steps[i];
      if (step.key != key || step.parent != parent) continue;
      std::optional<Held> held = store_.hold_layer(chain_id(parent, step.diff_id));
      if (!held.has_value() && index_.layers[i] < layers_.size()) {
        held = TRY(fetch(layers_[index_.layers[i]], step, cancelled));
      }
      if (!held.has_value()) continue;
      return std::optional(NewLayer{.diff_id = held->row.diff_id,
                                    .chain_id = held->row.chain,
                                    .size = held->row.size,
                                    .hold = std::move(held->hold)});
    }
    return std::optional<NewLayer>();
  }

 private:
  std::filesystem::path blob(const std::string& digest) const {
    return place_.directory / "blobs/sha256" / hex_part(digest);
  }

  Result<std::string> read_config(HttpClient& http, const Descriptor& config, const CancelCheck& cancelled) {
    if (config.size > kLargestIndex) return invalid("the build cache's config is too long");
    std::string text;
    if (registry_ == nullptr) {
      text = TRY(read_file(blob(config.digest), kLargestIndex));
    } else {
      const Registry::Sink sink = [&](std::string_view piece, int) -> Result<> {
        if (text.size() + piece.size() > config.size)
          return invalid("the build cache's config is longer than announced");
        text.append(piece);
        return {};
      };
      TRY(registry_->blob(http, config, 0, sink, cancelled));
    }
    if (digest_of(text) != config.digest) return invalid("the build cache's config does not match its digest");
    return text;
  }

  Result<Held> fetch(const Descriptor& layer, const CachedStep& step, const CancelCheck& cancelled) {
    if (registry_ == nullptr) {
      const Fd file = TRY(open_file(blob(layer.digest), O_RDONLY));
      FdSource source(file.get());
      return store_.install_layer(step.parent, step.diff_id, source, cancelled);
    }
    HttpClient http;
    BlobDownload download;
    const BlobFetch task{.registry = *registry_,
                         .http = http,
                         .descriptor = layer,
                         .file = store_.temporary_path("cache"),
                         .name = hex_part(layer.digest).substr(0, 12),
                         .report = [](const std::string&, uint64_t, uint64_t) {},
                         .cancelled = cancelled};
    const Spool spool = TRY(fetch_blob(task, download));
    const Fd file = TRY(open_file(spool.path, O_RDONLY));
    FdSource source(file.get());
    Held held = TRY(store_.install_layer(step.parent, step.diff_id, source, cancelled));
    TRY(store_.keep_layer_blob(spool, step.diff_id, layer.media_type));
    return held;
  }

  LocalImageStore& store_;
  const CachePlace place_;
  std::unique_ptr<Registry> registry_;
  CacheIndex index_;
  std::vector<Descriptor> layers_;
};

class LocalImageStore::CacheWriter {
 public:
  CacheWriter(LocalImageStore& store, const CachePlace& place, const CancelCheck& cancelled)
      : store_(store), place_(place), cancelled_(cancelled) {}

  Result<> write(const std::vector<CachedStep>& steps) {
    for (const CachedStep& step : steps) TRY(add(step));
    if (place_.directory.empty()) return push();
    return write_directory();
  }

 private:
  // Each layer once, whatever it was put on.
  Result<> add(const CachedStep& step) {
    const std::string chain = chain_id(step.parent, step.diff_id);
    const std::optional<Held> held = store_.hold_layer(chain);
    if (!held.has_value()) return {};  // pruned meanwhile
    const auto known = places_.find(step.diff_id);
    size_t place = blobs_.size();
    if (known != places_.end()) {
      place = known->second;
    } else {
      ExportedLayer layer{.chain = chain, .diff_id = step.diff_id};
      {
        std::lock_guard lock(store_.mutex_);
        const auto blob = store_.layer_blobs_.find(step.diff_id);
        if (blob != store_.layer_blobs_.end()) layer.blob = blob->second;
      }
      blobs_.push_back(TRY(store_.compressed_layer(layer, cancelled_)));
      places_.emplace(step.diff_id, place);
    }
    index_.steps.push_back(step);
    index_.layers.push_back(place);
    return {};
  }

  std::string manifest(const std::string& config) const {
    OrderedJson root = {{"schemaVersion", 2}, {"mediaType", kOciManifestType}};
    root["config"] = {{"mediaType", kCacheConfigType}, {"digest", digest_of(config)}, {"size", config.size()}};
    root["layers"] = OrderedJson::array();
    for (const LayerBlobRow& blob : blobs_) {
      root["layers"].push_back({{"mediaType", blob.media_type}, {"digest", blob.digest}, {"size", blob.size}});
    }
    return root.dump();
  }

  Result<> push() {
    const Reference reference = TRY(Reference::parse(place_.reference));
    const std::unique_ptr<Registry> registry =
        TRY(Registry::open(reference, place_.auth, store_.settings_, Registry::Access::push));
    HttpClient http;
    for (const LayerBlobRow& blob : blobs_) {
      const Fd file = TRY(open_file(store_.blob_path(blob.digest), O_RDONLY));
      TRY(push_blob(*registry, http, blob.digest, file_upload(file.get(), blob.size), cancelled_));
    }
    const std::string config = render_cache_index(index_);
    TRY(push_blob(*registry, http, digest_of(config), text_upload(config), cancelled_));
    return registry->put_manifest(http, reference.tag, kOciManifestType, manifest(config));
  }

  Result<> write_directory() {
    const std::filesystem::path blobs = place_.directory / "blobs/sha256";
    std::error_code error;
    std::filesystem::create_directories(blobs, error);
    if (error) return Error::from_errno(error.value(), "mkdir", blobs.native());
    for (const LayerBlobRow& blob : blobs_) {
      const std::filesystem::path place = blobs / hex_part(blob.digest);
      if (std::filesystem::exists(place, error)) continue;
      const std::filesystem::path temporary = place.native() + ".new";
      std::filesystem::copy_file(store_.blob_path(blob.digest), temporary,
                                 std::filesystem::copy_options::overwrite_existing, error);
      if (error) return Error::from_errno(error.value(), "copy", temporary.native());
      std::filesystem::rename(temporary, place, error);
      if (error) return Error::from_errno(error.value(), "rename", place.native());
    }
    const std::string config = render_cache_index(index_);
    const std::string text = manifest(config);
    TRY(put_file(blobs / hex_part(digest_of(config)), config));
    TRY(put_file(blobs / hex_part(digest_of(text)), text));
    TRY(put_file(place_.directory / "oci-layout", kLayoutMark));
    const OrderedJson entry = {{"mediaType", kOciManifestType}, {"digest", digest_of(text)}, {"size", text.size()}};
    const OrderedJson index = {{"schemaVersion", 2}, {"mediaType", kOciIndexType}, {"manifests", OrderedJson::array({entry})}};
    return put_file(place_.directory / "index.json", index.dump());
  }

  LocalImageStore& store_;
  const CachePlace& place_;
  const CancelCheck& cancelled_;
  CacheIndex index_;
  std::vector<LayerBlobRow> blobs_;
  std::map<std::string, size_t> places_;  // by diff id
};

Result<std::shared_ptr<RemoteCache>> LocalImageStore::open_cache(const CachePlace& place,
                                                                 const CancelCheck& cancelled) {
  auto reader = std::make_shared<CacheReader>(*this, place);
  if (place.directory.empty()) {
    const Result<Image> image = find(place.reference);
    if (image.ok() && reader->open_local(*image).ok()) return {std::shared_ptr<RemoteCache>(std::move(reader))};
  }
  TRY(reader->open(cancelled));
  return {std::shared_ptr<RemoteCache>(std::move(reader))};
}

Result<> LocalImageStore::write_cache(const CachePlace& place, const std::vector<CachedStep>& steps,
                                      const CancelCheck& cancelled) {
  return CacheWriter(*this, place, cancelled).write(steps);
}

}  // namespace gantry::engine
