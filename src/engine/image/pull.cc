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

constexpr size_t kParallelDownloads = 3;
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
    registry_ = TRY(Registry::open(reference_, options_.auth));
    const std::string which = reference_.digest.empty() ? reference_.tag : reference_.digest;
    const Registry::ManifestAnswer top = TRY(registry_->manifest(http_, which));
    report(which, "Pulling from " + (reference_.domain == "docker.io" ? reference_.path : reference_.familiar_name()));
    if (const std::optional<ImageId> present = TRY(find_present(top.digest, platform))) {
      report("", "Digest: " + top.digest);
      report("", "Status: Image is up to date for " + shown_name());
      return *present;
    }
    LocalImageStore::NewImage image;
    const Manifest manifest = TRY(resolve(top, platform, image));
    image.config_json = TRY(fetch_config(manifest.config));
    const ImageDocument document = TRY(parse_image_document(image.config_json));
    if (document.diff_ids.size() != manifest.layers.size()) {
      return invalid("manifest lists " + std::to_string(manifest.layers.size()) + " layers, the image's config " +
                     std::to_string(document.diff_ids.size()));
    }
    TRY(fetch_layers(manifest, document));
    image.names.push_back(repository() + "@" + top.digest);
    if (reference_.digest.empty()) image.names.push_back(repository() + ":" + reference_.tag);
    const ImageId id = TRY(store_.register_image(image));
    report("", "Digest: " + top.digest);
    report("", "Status: Downloaded newer image for " + shown_name());
    return id;
  }

 private:
  // A layer that must be downloaded.
  struct Download {
    Descriptor descriptor;
    std::string id;  // first 12 digits of the digest
    std::optional<Result<LocalImageStore::Spool>> result;
  };

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
    for (size_t i = kParallelDownloads; i < downloads_.size(); ++i) report(downloads_[i].id, "Waiting");

    std::vector<std::thread> workers;
    ScopeExit join([&] {
      stopping_ = true;
      for (std::thread& worker : workers) worker.join();
    });
    for (size_t i = 0; i < std::min(kParallelDownloads, downloads_.size()); ++i) {
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
    LocalImageStore::Spool spool = TRY(std::move(*download.result));
    report(download.id, "Extracting", spool.size, spool.size);
    const Fd file = TRY(open_file(spool.path, O_RDONLY));
    FdSource source(file.get());
    LocalImageStore::Held held = TRY(store_.install_layer(parent, diff_id, source, [this] { return is_cancelled(); })
                                         .within("layer " + download.id));
    TRY(store_.keep_layer_blob(spool, diff_id, download.descriptor.media_type));
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
      Result<LocalImageStore::Spool> result = fetch(http, *download);
      std::lock_guard lock(mutex_);
      download->result.emplace(std::move(result));
      done_.notify_all();
    }
  }

  Result<LocalImageStore::Spool> fetch(HttpClient& http, const Download& download) {
    LocalImageStore::Spool spool;
    const std::filesystem::path path = store_.temporary_path("pull");
    const Fd file = TRY(open_file(path, O_RDWR | O_CREAT | O_EXCL, 0600));
    spool.path = path;
    Sha256 hash;
    for (int attempt = 1;; ++attempt) {
      const uint64_t before = spool.size;
      Result<> got = fetch_once(http, download, file, spool, hash);
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
                      Sha256& hash) {
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

  std::mutex mutex_;  // of next_ and the downloads' results
  std::condition_variable done_;
  std::deque<Download> downloads_;
  size_t next_ = 0;
};

Result<ImageId> LocalImageStore::pull(const std::string& reference, const PullOptions& options,
                                      const TransferCallback& progress, const CancelCheck& cancelled) {
  return ImagePull(*this, TRY(Reference::parse(reference)), options, progress, cancelled).run();
}

}  // namespace gantry::engine
