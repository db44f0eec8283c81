// LocalImageStore::pull: manifest, choice of platform, layers. Three layers are downloaded at once and unpacked while
// they come; each is put on top of those below it when they are there. Nothing becomes visible before every digest has
// matched.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "engine/image/blob_download.h"
#include "engine/image/digest.h"
#include "engine/image/image_document.h"
#include "engine/image/local_image_store.h"
#include "engine/image/manifest.h"
#include "engine/image/registry.h"

namespace gantry::engine {

class ImagePull {
 public:
  ImagePull(LocalImageStore& store, Reference reference, const PullOptions& options, const TransferCallback& progress,
            const CancelCheck& cancelled)
      : store_(store),
        reference_(std::move(reference)),
        options_(options),
        progress_(progress),
        is_cancelled_(cancelled) {}

  Result<ImageId> run() {
    const Platform platform = TRY(Platform::parse(options_.platform));
    registry_ = TRY(Registry::open(reference_, options_.auth, store_.settings_));
    const std::string which = reference_.digest.empty() ? reference_.tag : reference_.digest;
    if (has_digest_of_repository()) {
      const std::string digest = TRY(registry_->manifest_digest(http_, which));
      const std::optional<ImageId> present = TRY(find_present(digest, platform));
      if (present.has_value()) return report_present(*present, which, digest);
    }
    const Registry::ManifestAnswer top = TRY(registry_->manifest(http_, which));
    if (const std::optional<ImageId> present = TRY(find_present(top.digest, platform))) {
      return report_present(*present, which, top.digest);
    }
    report_headline(which);
    LocalImageStore::NewImage image;
    const Manifest manifest = TRY(resolve(top, platform, image));
    image.config_json = TRY(fetch_config(manifest.config));
    const ImageDocument document = TRY(parse_image_document(image.config_json));
    if (document.diff_ids.size() != manifest.layers.size()) {
      return invalid("manifest lists " + std::to_string(manifest.layers.size()) + " layers, the image's config " +
                     std::to_string(document.diff_ids.size()));
    }
    Result<> fetched = fetch_layers(manifest, document);
    if (!fetched.ok()) {
      keep_finished();
      return std::move(fetched).error();
    }
    image.names.push_back(repository() + "@" + top.digest);
    if (reference_.digest.empty()) image.names.push_back(repository() + ":" + reference_.tag);
    image.durability = LocalImageStore::NewImage::Durability::soon;
    const ImageId id = TRY(store_.register_image(image));
    report("", "Digest: " + top.digest);
    report("", "Status: Downloaded newer image for " + shown_name());
    return id;
  }

 private:
  // A layer that is not here yet.
  struct Layer {
    Descriptor descriptor;
    std::string id;  // first 12 digits of the digest
    std::string diff_id;
    std::string parent;  // chain id of what is below
    bool is_installed = false;
  };

  void report_headline(const std::string& which) {
    report(which, "Pulling from " + (reference_.domain == "docker.io" ? reference_.path : reference_.familiar_name()));
  }
  ImageId report_present(const ImageId& id, const std::string& which, const std::string& digest) {
    report_headline(which);
    report("", "Digest: " + digest);
    report("", "Status: Image is up to date for " + shown_name());
    return id;
  }

  // A look at the digest alone pays only where it may be known.
  bool has_digest_of_repository() {
    std::lock_guard lock(store_.mutex_);
    const auto found = store_.names_.lower_bound(repository() + "@");
    return found != store_.names_.end() && found->first.starts_with(repository() + "@");
  }

  // Layers that are complete stay when the pull fails, for the next one; pruning the cache removes them.
  void keep_finished() {
    for (const std::string& chain : installed_) {
      if (!store_.cache_put("pull:" + chain, chain).ok()) return;
    }
  }

  std::string repository() const { return reference_.domain + "/" + reference_.path; }
  std::string shown_name() const {
    Reference shown = reference_;
    if (!shown.digest.empty()) shown.tag.clear();
    return shown.familiar();
  }

  bool is_cancelled() const { return stopping_.load(std::memory_order_relaxed) || (is_cancelled_ && is_cancelled_()); }

  void report(const std::string& id, const std::string& status, uint64_t current = 0, uint64_t total = 0) {
    std::lock_guard lock(report_mutex_);
    if (progress_) progress_({.id = id, .status = status, .current = current, .total = total});
  }

  // The image that this digest means, if it is here; its tag is set without another request.
  Result<std::optional<ImageId>> find_present(const std::string& digest, const Platform& platform) {
    std::string id;
    {
      std::lock_guard lock(store_.mutex_);
      const auto found = store_.names_.find(repository() + "@" + digest);
      if (found == store_.names_.end()) return std::optional<ImageId>();
      id = found->second;
      const Image& image = store_.images_.at(id).image;
      const bool other_platform = !options_.platform.empty() && !image.architecture.empty() &&
                                  (image.os != platform.os || image.architecture != platform.architecture);
      if (other_platform) return std::optional<ImageId>();
      const std::string name = repository() + ":" + reference_.tag;
      const auto tagged = store_.names_.find(name);
      if (reference_.digest.empty() && (tagged == store_.names_.end() || tagged->second != id)) {
        TRY(store_.set_name(name, id));
      }
    }
    return {ImageId(id)};
  }

  // Follows an index to the manifest of the platform, collecting the documents on the way.
  Result<Manifest> resolve(const Registry::ManifestAnswer& top, const Platform& platform,
                           LocalImageStore::NewImage& image) {
    Registry::ManifestAnswer answer = top;
    for (int depth = 0; depth < 4; ++depth) {
      const ManifestDocument document = TRY(parse_manifest(answer.text, answer.media_type));
      image.documents.push_back(answer.text);
      if (const auto* manifest = std::get_if<Manifest>(&document)) return *manifest;
      const Descriptor chosen = TRY(choose(std::get<Index>(document), platform));
      answer = TRY(registry_->manifest(http_, chosen.digest));
      if (answer.text.size() != chosen.size)
        return invalid("manifest " + chosen.digest + " has not the announced size");
    }
    return invalid("index within index within index");
  }

  Result<std::string> fetch_config(const Descriptor& descriptor) {
    if (descriptor.size > kLargestConfig) return invalid("image config of more than 16 MiB");
    std::string text;
    const Registry::Sink sink = [&](std::string_view piece, int) -> Result<> {
      if (text.size() + piece.size() > descriptor.size) return invalid("image config is longer than announced");
      text.append(piece);
      return {};
    };
    TRY(registry_->blob(http_, descriptor, 0, sink, [this] { return is_cancelled(); }));
    if (digest_of(text) != descriptor.digest)
      return invalid("image config does not match its digest " + descriptor.digest);
    return text;
  }

  Result<> fetch_layers(const Manifest& manifest, const ImageDocument& document) {
    // What is here from the bottom up needs no download; the first gap means that all above are needed.
    std::string parent;
    size_t present = 0;
    while (present < document.diff_ids.size()) {
      const std::string chain = chain_id(parent, document.diff_ids[present]);
      std::optional<LocalImageStore::Held> held = store_.hold_layer(chain);
      if (!held.has_value()) break;
      holds_.push_back(std::move(held->hold));
      report(hex_part(manifest.layers[present].digest).substr(0, 12), "Already exists");
      parent = chain;
      ++present;
    }
    for (size_t i = present; i < manifest.layers.size(); ++i) {
      const Descriptor& descriptor = manifest.layers[i];
      const std::string& diff_id = document.diff_ids[i];
      layers_.push_back({.descriptor = descriptor,
                         .id = hex_part(descriptor.digest).substr(0, 12),
                         .diff_id = diff_id,
                         .parent = parent});
      parent = chain_id(parent, diff_id);
      report(layers_.back().id, "Pulling fs layer");
    }
    for (size_t i = store_.settings_.downloads; i < layers_.size(); ++i) report(layers_[i].id, "Waiting");

    std::vector<std::thread> workers;
    for (size_t i = 0; i < std::min<size_t>(store_.settings_.downloads, layers_.size()); ++i) {
      workers.emplace_back([this] { work(); });
    }
    for (std::thread& worker : workers) worker.join();
    if (failure_.has_value()) return *failure_;
    return {};
  }

  // A worker thread: takes one layer after the other, the lowest first. So a layer that waits for those below it waits
  // for something that is under way.
  void work() {
    HttpClient http;
    while (true) {
      size_t index = 0;
      {
        std::lock_guard lock(mutex_);
        if (stopping_ || next_ == layers_.size()) return;
        index = next_++;
      }
      Result<LocalImageStore::Held> held = pull_layer(http, index);
      std::lock_guard lock(mutex_);
      if (held.ok()) {
        layers_[index].is_installed = true;
        installed_.push_back(held->row.chain);
        holds_.push_back(std::move(held->hold));
      } else if (!failure_.has_value()) {
        failure_ = std::move(held).error();
        stopping_ = true;
      }
      done_.notify_all();
    }
  }

  // Unpacks the layer while it, or another pull, downloads it.
  Result<LocalImageStore::Held> pull_layer(HttpClient& http, size_t index) {
    const Layer& layer = layers_[index];
    while (true) {
      bool is_first = false;
      const std::shared_ptr<BlobDownload> download = store_.join_download(layer.descriptor.digest, is_first);
      std::atomic<bool> is_given_up = false;
      std::thread fetcher;
      if (is_first) fetcher = std::thread([&] { fetch(http, layer, *download, is_given_up); });
      Result<LocalImageStore::Held> held = install(index, *download, is_first);
      is_given_up = true;
      if (fetcher.joinable()) fetcher.join();
      const bool was_others_end = !held.ok() && held.error().code() == Code::cancelled && !is_first && !is_cancelled();
      if (!was_others_end) return held;  // else it is our turn
    }
  }

  void fetch(HttpClient& http, const Layer& layer, BlobDownload& download, const std::atomic<bool>& is_given_up) {
    const BlobFetch fetch{.registry = *registry_,
                          .http = http,
                          .descriptor = layer.descriptor,
                          .file = store_.temporary_path("pull"),
                          .name = layer.id,
                          .report = [&](const std::string& status, uint64_t current,
                                        uint64_t total) { report(layer.id, status, current, total); },
                          .cancelled = [&] { return is_given_up.load() || is_cancelled(); }};
    Result<Spool> fetched = fetch_blob(fetch, download);
    if (fetched.ok()) {
      store_.end_download(layer.descriptor.digest, download, std::make_shared<Spool>(std::move(fetched).value()));
    } else {
      store_.end_download(layer.descriptor.digest, download, std::move(fetched).error());
    }
  }

  Result<LocalImageStore::Held> install(size_t index, BlobDownload& download, bool is_first) {
    const Layer& layer = layers_[index];
    auto last_report = std::chrono::steady_clock::time_point();
    const auto show = [&](uint64_t offset) {
      const auto now = std::chrono::steady_clock::now();
      if (now - last_report < kProgressPause) return;
      last_report = now;
      if (download.has_ended()) {
        report(layer.id, "Extracting", offset, layer.descriptor.size);
      } else if (!is_first) {  // whoever downloads tells its own user only
        report(layer.id, "Downloading", download.bytes(), layer.descriptor.size);
      }
    };
    const CancelCheck cancelled = [this] { return is_cancelled(); };
    DownloadSource source(download, cancelled, show);
    Result<LocalImageStore::Held> held =
        store_.install_layer(layer.parent, layer.diff_id, source, cancelled, [&] { return wait_for_below(index); })
            .within("layer " + layer.id);
    // If it has not, then somebody else put the layer there, or the layer is bad: the download is given up.
    if (download.has_ended()) {
      const Result<LocalImageStore::SharedSpool> spool = download.wait(cancelled);
      if (!held.ok() && !spool.ok()) return spool.error();  // why, without our context
      if (held.ok() && spool.ok()) {
        TRY(store_.keep_layer_blob(**spool, layer.diff_id, layer.descriptor.media_type));
      }
    }
    if (held.ok()) report(layer.id, "Pull complete");
    return held;
  }

  // The layers below may still be unpacked by other workers.
  Result<> wait_for_below(size_t index) {
    if (index == 0) return {};
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return layers_[index - 1].is_installed || stopping_; });
    if (!layers_[index - 1].is_installed) return Error(Code::cancelled, "pull cancelled");
    return {};
  }

  LocalImageStore& store_;
  const Reference reference_;
  const PullOptions& options_;
  const TransferCallback& progress_;
  const CancelCheck& is_cancelled_;
  HttpClient http_;
  std::unique_ptr<Registry> registry_;
  std::mutex report_mutex_;
  std::atomic<bool> stopping_ = false;
  std::vector<std::shared_ptr<void>> holds_;
  std::vector<std::string> installed_;  // chain ids

  std::deque<Layer> layers_;  // bottom first
  std::mutex mutex_;          // while workers run: of next_, is_installed, failure_, installed_ and holds_
  std::condition_variable done_;
  size_t next_ = 0;
  std::optional<Error> failure_;
};

std::shared_ptr<BlobDownload> LocalImageStore::join_download(const std::string& digest, bool& is_first) {
  std::lock_guard lock(mutex_);
  std::shared_ptr<BlobDownload>& slot = downloads_[digest];
  is_first = slot == nullptr;
  if (is_first) slot = std::make_shared<BlobDownload>();
  return slot;
}

void LocalImageStore::end_download(const std::string& digest, BlobDownload& download, Result<SharedSpool> result) {
  {
    std::lock_guard lock(mutex_);
    downloads_.erase(digest);
  }
  download.end(std::move(result));
}

Result<ImageId> LocalImageStore::pull(const std::string& reference, const PullOptions& options,
                                      const TransferCallback& progress, const CancelCheck& cancelled) {
  return ImagePull(*this, TRY(Reference::parse(reference)), options, progress, cancelled).run();
}

}  // namespace gantry::engine
