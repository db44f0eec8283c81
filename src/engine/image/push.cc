// LocalImageStore::push: layers side by side, then config and manifest. What the registry has is not sent; what
// another of its repositories has is mounted.
#include <atomic>
#include <set>
#include <thread>

#include "base/scope_exit.h"
#include "engine/image/blob_upload.h"
#include "engine/image/digest.h"
#include "engine/image/local_image_store.h"
#include "engine/image/registry.h"

namespace gantry::engine {
namespace {

constexpr size_t kMostMountSources = 3;

}  // namespace

class ImagePush {
 public:
  ImagePush(LocalImageStore& store, Reference reference, const PullOptions& options, const TransferCallback& progress,
            const CancelCheck& cancelled)
      : store_(store),
        reference_(std::move(reference)),
        options_(options),
        progress_(progress),
        is_cancelled_(cancelled) {}

  Result<PushedImage> run() {
    Result<LocalImageStore::Exported> found = store_.export_image(reference_.canonical());
    if (!found.ok()) return not_found("An image does not exist locally with the tag: " + reference_.familiar_name());
    image_ = std::move(*found);
    registry_ = TRY(Registry::open(reference_, options_.auth, store_.settings_, Registry::Access::push));
    for (const LocalImageStore::ExportedLayer& layer : image_.layers) report(short_id(layer), "Preparing");
    blobs_.resize(image_.layers.size());
    TRY(push_layers());
    TRY(push_config());
    const LocalImageStore::ExportedManifest manifest =
        LocalImageStore::manifest_of(image_, blobs_, LocalImageStore::ManifestForm::any);
    HttpClient http;
    TRY(registry_->put_manifest(http, reference_.tag, manifest.media_type, manifest.text));
    const std::string digest = digest_of(manifest.text);
    TRY(store_.note_digest(image_.id, reference_.domain + "/" + reference_.path + "@" + digest, manifest.text));
    report("", reference_.tag + ": digest: " + digest + " size: " + std::to_string(manifest.text.size()));
    return PushedImage{.tag = reference_.tag, .digest = digest, .size = manifest.text.size()};
  }

 private:
  static std::string short_id(const LocalImageStore::ExportedLayer& layer) {
    return hex_part(layer.diff_id).substr(0, 12);
  }
  bool is_cancelled() const { return stopping_.load(std::memory_order_relaxed) || (is_cancelled_ && is_cancelled_()); }

  void report(const std::string& id, const std::string& status, uint64_t current = 0, uint64_t total = 0) {
    std::lock_guard lock(report_mutex_);
    if (progress_) progress_({.id = id, .status = status, .current = current, .total = total});
  }

  Result<> push_layers() {
    std::mutex mutex;
    size_t next = 0;
    std::optional<Error> failure;
    const auto work = [&] {
      HttpClient http;
      while (true) {
        size_t index = 0;
        {
          std::lock_guard lock(mutex);
          if (next == image_.layers.size() || failure.has_value()) return;
          index = next++;
        }
        Result<> pushed = push_layer(http, index);
        if (pushed.ok()) continue;
        std::lock_guard lock(mutex);
        if (!failure.has_value()) failure = std::move(pushed).error();
        stopping_ = true;
      }
    };
    std::vector<std::thread> workers;
    const size_t count = std::min<size_t>(store_.settings_.uploads, image_.layers.size());
    for (size_t i = 0; i < count; ++i) workers.emplace_back(work);
    for (std::thread& worker : workers) worker.join();
    if (failure.has_value()) return *std::move(failure);
    return {};
  }

  Result<> push_layer(HttpClient& http, size_t index) {
    const LocalImageStore::ExportedLayer& layer = image_.layers[index];
    const std::string id = short_id(layer);
    blobs_[index] = TRY(store_.compressed_layer(layer, [this] { return is_cancelled(); }));
    const LayerBlobRow& blob = blobs_[index];
    if (TRY(registry_->has_blob(http, blob.digest))) {
      report(id, "Layer already exists");
      return {};
    }
    // An attempt to mount that fails is an upload that has begun.
    std::string place;
    std::vector<std::string> sources = mount_sources(layer.chain);
    if (sources.empty()) sources.emplace_back();
    for (const std::string& source : sources) {
      place = TRY(registry_->begin_upload(http, blob.digest, source));
      if (!place.empty()) continue;
      report(id, source.empty() ? "Layer already exists" : "Mounted from " + source);
      return {};
    }
    const Fd file = TRY(open_file(store_.blob_path(blob.digest), O_RDONLY));
    TRY(registry_->upload(http, place, blob.digest, watched(id, file_upload(file.get(), blob.size)),
                          [this] { return is_cancelled(); }));
    report(id, "Pushed");
    return {};
  }

  // Tells how far it has got.
  HttpRequest::Upload watched(const std::string& id, HttpRequest::Upload content) {
    const uint64_t size = content.size;
    return {.size = size,
            .read = [this, id, size, read = std::move(content.read), last = std::chrono::steady_clock::time_point()](
                        uint64_t offset, std::span<char> into) mutable -> Result<size_t> {
              const auto now = std::chrono::steady_clock::now();
              if (now - last >= kProgressPause) {
                last = now;
                report(id, "Pushing", offset, size);
              }
              return read(offset, into);
            }};
  }

  Result<> push_config() {
    HttpClient http;
    return push_blob(*registry_, http, image_.id.str(), text_upload(image_.config_json),
                     [this] { return is_cancelled(); });
  }

  // Other repositories of the registry that some image with this layer came from or went to.
  std::vector<std::string> mount_sources(const std::string& chain) {
    std::set<std::string> sources;
    std::lock_guard lock(store_.mutex_);
    for (const auto& [name, id] : store_.names_) {
      if (name.find('@') == std::string::npos) continue;  // a tag alone does not say that it is there
      const Result<Reference> parsed = Reference::parse(name);
      if (!parsed.ok() || parsed->domain != reference_.domain || parsed->path == reference_.path) continue;
      for (std::string at = store_.images_.at(id).chain; !at.empty(); at = store_.layers_.at(at).parent) {
        if (at == chain) sources.insert(parsed->path);
      }
      if (sources.size() == kMostMountSources) break;
    }
    return {sources.begin(), sources.end()};
  }

  LocalImageStore& store_;
  const Reference reference_;
  const PullOptions& options_;
  const TransferCallback& progress_;
  const CancelCheck& is_cancelled_;
  LocalImageStore::Exported image_;
  std::vector<LayerBlobRow> blobs_;
  std::unique_ptr<Registry> registry_;
  std::mutex report_mutex_;
  std::atomic<bool> stopping_ = false;
};

// The image is known by that digest from now on.
Result<> LocalImageStore::note_digest(const ImageId& id, const std::string& name, const std::string& document) {
  TRY(keep_blob(document));
  std::lock_guard lock(mutex_);
  TRY(keep_blob(document));  // somebody may have removed it with another image
  const auto known = images_.find(id.str());
  if (known == images_.end()) return {};
  ImageRow row = known->second.row;
  const std::string digest = digest_of(document);
  if (std::find(row.blobs.begin(), row.blobs.end(), digest) == row.blobs.end()) {
    row.blobs.push_back(digest);
    TRY(database_->save(row));
    known->second.row = std::move(row);
  }
  return set_name(name, id.str());
}

Result<PushedImage> LocalImageStore::push(const std::string& reference, const PullOptions& options,
                                          const TransferCallback& progress, const CancelCheck& cancelled) {
  const Reference parsed = TRY(Reference::parse(reference));
  if (!parsed.digest.empty()) return invalid("cannot push a digest reference");
  return ImagePush(*this, parsed, options, progress, cancelled).run();
}

Result<Distribution> LocalImageStore::distribution(const std::string& reference, const std::string& auth) {
  const Reference parsed = TRY(Reference::parse(reference));
  const std::unique_ptr<Registry> registry = TRY(Registry::open(parsed, auth, settings_));
  HttpClient http;
  const std::string which = parsed.digest.empty() ? parsed.tag : parsed.digest;
  const Registry::ManifestAnswer answer = TRY(registry->manifest(http, which));
  Distribution found{.media_type = answer.media_type, .digest = answer.digest, .size = answer.text.size()};
  const ManifestDocument document = TRY(parse_manifest(answer.text, answer.media_type));
  if (const auto* index = std::get_if<Index>(&document)) {
    for (const Descriptor& entry : index->manifests) {
      if (!entry.platform.has_value() || entry.platform->os == "unknown") continue;
      found.platforms.push_back({.os = entry.platform->os,
                                 .architecture = entry.platform->architecture,
                                 .variant = entry.platform->variant});
    }
    return found;
  }
  std::string text;
  const Descriptor& config = std::get<Manifest>(document).config;
  TRY(registry->blob(http, config, 0,
                     [&](std::string_view piece, int) -> Result<> {
                       text.append(piece);
                       if (text.size() > kLargestManifest) return invalid("image config is too long");
                       return {};
                     },
                     {}));
  const ImageDocument image = TRY(parse_image_document(text));
  found.platforms.push_back({.os = image.os, .architecture = image.architecture, .variant = image.variant});
  return found;
}

Result<> LocalImageStore::log_in(const std::string& server, const std::string& auth) {
  return check_login(server, auth, settings_);
}

Result<std::vector<std::string>> LocalImageStore::remote_tags(const std::string& repository, const std::string& auth) {
  const std::unique_ptr<Registry> registry =
      TRY(Registry::open(TRY(Reference::parse(repository)), auth, settings_));
  HttpClient http;
  return registry->tags(http);
}

}  // namespace gantry::engine
