// LocalImageStore::pull: manifest, choice of platform, layers. Three layers are downloaded at once; they are unpacked
// bottom up as soon as they are there. Nothing becomes visible before every digest has matched.
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/scope_exit.h"
#include "engine/image/digest.h"
#include "engine/image/local_image_store.h"
#include "engine/image/manifest.h"
#include "engine/image/registry.h"

namespace gantry::engine {
namespace {

constexpr int kMostAttempts = 5;
constexpr auto kRetryPause = std::chrono::seconds(5);  // times the number of failures
constexpr auto kProgressPause = std::chrono::milliseconds(100);
constexpr size_t kLargestConfig = size_t{16} << 20;

}  // namespace

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
    const ImageId id = TRY(store_.register_image(image));
    report("", "Digest: " + top.digest);
    report("", "Status: Downloaded newer image for " + shown_name());
    return id;
  }

 private:
  using SharedSpool = LocalImageStore::SharedSpool;
  // A layer that must be downloaded.
  struct Download {
    Descriptor descriptor;
    std::string id;  // first 12 digits of the digest
    std::optional<Result<SharedSpool>> result;
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
      downloads_.push_back({.descriptor = descriptor, .id = hex_part(descriptor.digest).substr(0, 12)});
      report(downloads_.back().id, "Pulling fs layer");
    }
    for (size_t i = store_.settings_.downloads; i < downloads_.size(); ++i) report(downloads_[i].id, "Waiting");

    std::vector<std::thread> workers;
    ScopeExit join([&] {
      stopping_ = true;
      for (std::thread& worker : workers) worker.join();
    });
    for (size_t i = 0; i < std::min<size_t>(store_.settings_.downloads, downloads_.size()); ++i) {
      workers.emplace_back([this] { work(); });
    }
    for (size_t i = 0; i < downloads_.size(); ++i) {
      const std::string& diff_id = document.diff_ids[present + i];
      TRY(install(downloads_[i], parent, diff_id));
      parent = chain_id(parent, diff_id);
    }
    return {};
  }

  Result<> install(Download& download, const std::string& parent, const std::string& diff_id) {
    {
      std::unique_lock lock(mutex_);
      done_.wait(lock, [&] { return download.result.has_value(); });
    }
    const SharedSpool spool = TRY(std::move(*download.result));
    report(download.id, "Extracting", spool->size, spool->size);
    const Fd file = TRY(open_file(spool->path, O_RDONLY));
    FdSource source(file.get());
    LocalImageStore::Held held = TRY(store_.install_layer(parent, diff_id, source, [this] { return is_cancelled(); })
                                         .within("layer " + download.id));
    TRY(store_.keep_layer_blob(*spool, diff_id, download.descriptor.media_type));
    installed_.push_back(held.row.chain);
    holds_.push_back(std::move(held.hold));
    report(download.id, "Pull complete");
    return {};
  }

  // A worker thread: takes one download after the other.
  void work() {
    HttpClient http;
    while (true) {
      Download* download = nullptr;
      {
        std::lock_guard lock(mutex_);
        if (stopping_ || next_ == downloads_.size()) return;
        download = &downloads_[next_++];
      }
      Result<SharedSpool> result = fetch_or_share(http, *download);
      std::lock_guard lock(mutex_);
      download->result.emplace(std::move(result));
      done_.notify_all();
    }
  }

  // Downloads a blob, or waits for another pull that is at it.
  Result<SharedSpool> fetch_or_share(HttpClient& http, const Download& download) {
    while (true) {
      bool is_first = false;
      const std::shared_ptr<LocalImageStore::SharedDownload> shared =
          store_.join_download(download.descriptor.digest, is_first);
      if (is_first) {
        Result<LocalImageStore::Spool> fetched = fetch(http, download, *shared);
        Result<SharedSpool> result = fetched.ok()
                                         ? Result<SharedSpool>(std::make_shared<LocalImageStore::Spool>(
                                               std::move(fetched).value()))
                                         : Result<SharedSpool>(std::move(fetched).error());
        store_.end_download(download.descriptor.digest, *shared, result);
        return result;
      }
      std::optional<Result<SharedSpool>> result = TRY(follow(download, *shared));
      const bool was_given_up = !result->ok() && result->error().code() == Code::cancelled;
      if (!was_given_up) return *std::move(result);  // else it is our turn
    }
  }

  Result<std::optional<Result<SharedSpool>>> follow(const Download& download, LocalImageStore::SharedDownload& shared) {
    uint64_t shown = 0;
    std::unique_lock lock(shared.mutex);
    while (!shared.result.has_value()) {
      shared.changed.wait_for(lock, kProgressPause);  // the caller can only be asked, it does not call
      if (is_cancelled()) return Error(Code::cancelled, "pull cancelled");
      if (shared.bytes == shown) continue;
      shown = shared.bytes;
      lock.unlock();
      report(download.id, "Downloading", shown, download.descriptor.size);
      lock.lock();
    }
    if (shared.result->ok()) {
      lock.unlock();
      report(download.id, "Download complete");
      lock.lock();
    }
    return shared.result;
  }

  Result<LocalImageStore::Spool> fetch(HttpClient& http, const Download& download,
                                       LocalImageStore::SharedDownload& shared) {
    LocalImageStore::Spool spool;
    const std::filesystem::path path = store_.temporary_path("pull");
    const Fd file = TRY(open_file(path, O_RDWR | O_CREAT | O_EXCL, 0600));
    spool.path = path;
    Sha256 hash;
    for (int attempt = 1;; ++attempt) {
      const uint64_t before = spool.size;
      Result<> got = fetch_once(http, download, file, spool, hash, shared);
      if (got.ok()) break;
      // Only what may go away by itself is tried again.
      if (got.error().code() != Code::unavailable || attempt == kMostAttempts) return std::move(got).error();
      if (spool.size == before) TRY(pause(download, attempt));  // a connection that broke midway is taken up at once
    }
    if (spool.size != download.descriptor.size) {
      return invalid("layer " + download.id + " has " + std::to_string(spool.size) + " bytes instead of " +
                     std::to_string(download.descriptor.size));
    }
    report(download.id, "Verifying Checksum");
    spool.digest = hash.finish();
    if (spool.digest != download.descriptor.digest) {
      return invalid("filesystem layer verification failed for digest " + download.descriptor.digest);
    }
    report(download.id, "Download complete");
    return spool;
  }

  // Goes on where the last attempt stopped, if the registry can.
  Result<> fetch_once(HttpClient& http, const Download& download, const Fd& file, LocalImageStore::Spool& spool,
                      Sha256& hash, LocalImageStore::SharedDownload& shared) {
    auto last_report = std::chrono::steady_clock::time_point();
    bool first = true;
    const Registry::Sink sink = [&](std::string_view piece, int status) -> Result<> {
      if (std::exchange(first, false) && status == 200 && spool.size > 0) {
        if (ftruncate(file.get(), 0) != 0 || lseek(file.get(), 0, SEEK_SET) < 0) {
          return Error::from_errno(errno, "ftruncate", spool.path.native());
        }
        spool.size = 0;
        hash = Sha256();
      }
      if (spool.size + piece.size() > download.descriptor.size) {
        return invalid("layer " + download.id + " is longer than its manifest says");
      }
      TRY(write_all(file.get(), piece));
      hash.update(piece);
      spool.size += piece.size();
      const auto now = std::chrono::steady_clock::now();
      if (now - last_report >= kProgressPause || spool.size == download.descriptor.size) {
        last_report = now;
        report(download.id, "Downloading", spool.size, download.descriptor.size);
        std::lock_guard lock(shared.mutex);
        shared.bytes = spool.size;
      }
      return {};
    };
    if (spool.size == download.descriptor.size && spool.size > 0) return {};
    return registry_->blob(http, download.descriptor, spool.size, sink, [this] { return is_cancelled(); });
  }

  Result<> pause(const Download& download, int attempt) {
    const auto end = std::chrono::steady_clock::now() + kRetryPause * attempt;
    std::unique_lock lock(mutex_);
    while (true) {
      if (is_cancelled()) return Error(Code::cancelled, "pull cancelled");
      const auto left = std::chrono::ceil<std::chrono::seconds>(end - std::chrono::steady_clock::now());
      if (left.count() <= 0) return {};
      lock.unlock();
      report(download.id, "Retrying in " + std::to_string(left.count()) + (left.count() == 1 ? " second" : " seconds"));
      lock.lock();
      done_.wait_for(lock, std::chrono::seconds(1));  // the caller can only be asked, it does not call
    }
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

  std::mutex mutex_;  // of next_ and the downloads' results
  std::condition_variable done_;
  std::deque<Download> downloads_;
  size_t next_ = 0;
};

std::shared_ptr<LocalImageStore::SharedDownload> LocalImageStore::join_download(const std::string& digest,
                                                                                bool& is_first) {
  std::lock_guard lock(mutex_);
  std::shared_ptr<SharedDownload>& slot = downloads_[digest];
  is_first = slot == nullptr;
  if (is_first) slot = std::make_shared<SharedDownload>();
  return slot;
}

void LocalImageStore::end_download(const std::string& digest, SharedDownload& download,
                                   const Result<SharedSpool>& result) {
  {
    std::lock_guard lock(mutex_);
    downloads_.erase(digest);
  }
  std::lock_guard lock(download.mutex);
  download.result = result;
  download.changed.notify_all();
}

Result<ImageId> LocalImageStore::pull(const std::string& reference, const PullOptions& options,
                                      const TransferCallback& progress, const CancelCheck& cancelled) {
  return ImagePull(*this, TRY(Reference::parse(reference)), options, progress, cancelled).run();
}

}  // namespace gantry::engine
