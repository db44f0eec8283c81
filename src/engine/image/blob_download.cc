#include "engine/image/blob_download.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "engine/image/digest.h"

namespace gantry::engine {
namespace {

constexpr int kMostDownloadAttempts = 5;
constexpr auto kDownloadRetryPause = std::chrono::seconds(5);  // times the number of failures
constexpr auto kAskPause = std::chrono::milliseconds(100);  // a CancelCheck can only be asked, it does not call

// One download: all its attempts write into one file.
class Fetching {
 public:
  Fetching(const BlobFetch& fetch, BlobDownload& download) : fetch_(fetch), download_(download) {
    pending_.reserve(2 * kTransferBuffer);
  }

  Result<Spool> run() {
    file_ = TRY(open_file(fetch_.file, O_WRONLY | O_CREAT | O_EXCL, 0600));
    spool_.path = fetch_.file;
    download_.begin(TRY(open_file(fetch_.file, O_RDONLY)));
    for (int attempt = 1;; ++attempt) {
      const uint64_t before = spool_.size;
      Result<> got = attempt_once();
      if (got.ok()) break;
      // Only what may go away by itself is tried again.
      if (got.error().code() != Code::unavailable || attempt == kMostDownloadAttempts) return std::move(got).error();
      if (spool_.size != before) continue;  // a connection that broke midway is taken up at once
      TRY(pause(attempt));
    }
    if (spool_.size != fetch_.descriptor.size) {
      return invalid("layer " + fetch_.name + " has " + std::to_string(spool_.size) + " bytes instead of " +
                     std::to_string(fetch_.descriptor.size));
    }
    fetch_.report("Verifying Checksum", 0, 0);
    spool_.digest = hash_.finish();
    if (spool_.digest != fetch_.descriptor.digest) {
      return invalid("filesystem layer verification failed for digest " + fetch_.descriptor.digest);
    }
    fetch_.report("Download complete", 0, 0);
    return std::move(spool_);
  }

 private:
  // Goes on where the last attempt stopped; if the registry starts over, what is here already is passed over.
  Result<> attempt_once() {
    if (spool_.size == fetch_.descriptor.size && spool_.size > 0) return {};
    uint64_t skipped = 0;
    const uint64_t present = spool_.size;
    const Registry::Sink sink = [&](std::string_view piece, int status) -> Result<> {
      if (status == 200 && skipped < present) {
        const size_t known = std::min<uint64_t>(present - skipped, piece.size());
        skipped += known;
        piece.remove_prefix(known);
      }
      if (spool_.size + pending_.size() + piece.size() > fetch_.descriptor.size) {
        return invalid("layer " + fetch_.name + " is longer than its manifest says");
      }
      pending_.append(piece);
      return pending_.size() >= kTransferBuffer ? flush() : Result<>();
    };
    Result<> got = fetch_.registry.blob(fetch_.http, fetch_.descriptor, spool_.size, sink, fetch_.cancelled);
    TRY(flush());
    return got;
  }

  Result<> flush() {
    if (pending_.empty()) return {};
    TRY(write_all(file_.get(), pending_));
    spool_.size += pending_.size();
    download_.grow_to(spool_.size);
    hash_.update(pending_);
    pending_.clear();
    const auto now = std::chrono::steady_clock::now();
    if (now - last_report_ < kProgressPause && spool_.size != fetch_.descriptor.size) return {};
    last_report_ = now;
    fetch_.report("Downloading", spool_.size, fetch_.descriptor.size);
    return {};
  }

  Result<> pause(int attempt) {
    const auto end = std::chrono::steady_clock::now() + kDownloadRetryPause * attempt;
    while (true) {
      if (fetch_.cancelled && fetch_.cancelled()) return Error(Code::cancelled, "pull cancelled");
      const auto left = std::chrono::ceil<std::chrono::seconds>(end - std::chrono::steady_clock::now());
      if (left.count() <= 0) return {};
      const char* unit = left.count() == 1 ? " second" : " seconds";
      fetch_.report("Retrying in " + std::to_string(left.count()) + unit, 0, 0);
      download_.pause(std::chrono::seconds(1));
    }
  }

  const BlobFetch& fetch_;
  BlobDownload& download_;
  Spool spool_;
  Fd file_;
  Sha256 hash_;
  std::string pending_;  // came, and is not in the file yet
  std::chrono::steady_clock::time_point last_report_;
};

}  // namespace

void BlobDownload::begin(Fd file) {
  std::lock_guard lock(mutex_);
  file_ = std::make_shared<Fd>(std::move(file));
}

void BlobDownload::grow_to(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  bytes_ = bytes;
  changed_.notify_all();
}

void BlobDownload::end(Result<SharedSpool> result) {
  std::lock_guard lock(mutex_);
  result_.emplace(std::move(result));
  changed_.notify_all();
}

void BlobDownload::pause(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time);
}

Result<size_t> BlobDownload::read(uint64_t offset, std::span<char> into, const CancelCheck& cancelled) {
  std::shared_ptr<Fd> file;
  {
    std::unique_lock lock(mutex_);
    while (bytes_ <= offset && !result_.has_value()) {
      changed_.wait_for(lock, kAskPause);
      if (cancelled && cancelled()) return Error(Code::cancelled, "pull cancelled");
    }
    if (result_.has_value() && !result_->ok()) return result_->error();
    if (bytes_ <= offset) return size_t{0};
    file = file_;
    into = into.first(std::min<uint64_t>(into.size(), bytes_ - offset));
  }
  while (true) {
    const ssize_t got = pread(file->get(), into.data(), into.size(), static_cast<off_t>(offset));
    if (got > 0) return static_cast<size_t>(got);
    if (got == 0) return internal_error("a downloaded file was cut short");
    if (errno != EINTR) return Error::from_errno(errno, "pread", "a downloaded file");
  }
}

Result<BlobDownload::SharedSpool> BlobDownload::wait(const CancelCheck& cancelled) {
  std::unique_lock lock(mutex_);
  while (!result_.has_value()) {
    changed_.wait_for(lock, kAskPause);
    if (cancelled && cancelled()) return Error(Code::cancelled, "pull cancelled");
  }
  return *result_;
}

uint64_t BlobDownload::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

bool BlobDownload::has_ended() const {
  std::lock_guard lock(mutex_);
  return result_.has_value();
}

Result<size_t> DownloadSource::read(std::span<char> into) {
  const size_t got = TRY(download_.read(offset_, into, cancelled_));
  offset_ += got;
  if (on_read_) on_read_(offset_);
  return got;
}

Result<Spool> fetch_blob(const BlobFetch& fetch, BlobDownload& download) { return Fetching(fetch, download).run(); }

}  // namespace gantry::engine
