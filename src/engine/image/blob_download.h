// A blob on its way from a registry into a file. Whoever needs the same one meanwhile joins; all of them may read what
// is there already while the rest still comes, so that a layer is unpacked while it is downloaded. Any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "base/fd.h"
#include "engine/image/byte_source.h"
#include "engine/image/image_store.h"
#include "engine/image/registry.h"
#include "engine/image/spool.h"

namespace gantry::engine {

class BlobDownload {
 public:
  using SharedSpool = std::shared_ptr<Spool>;

  // --- the one who downloads, in this order
  void begin(Fd file);                   // for reading what will be written
  void grow_to(uint64_t bytes);          // so much is in the file
  void end(Result<SharedSpool> result);  // checked, or why not
  void pause(std::chrono::milliseconds time);

  // --- all others
  // At least one byte from `offset` on, as soon as it is there; 0 at the end, and only when the digest has matched.
  // Errors: Code::cancelled, also if the one who downloads was cancelled; what else ended the download.
  Result<size_t> read(uint64_t offset, std::span<char> into, const CancelCheck& cancelled);
  Result<SharedSpool> wait(const CancelCheck& cancelled);
  uint64_t bytes() const;
  bool has_ended() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<Fd> file_;
  uint64_t bytes_ = 0;
  std::optional<Result<SharedSpool>> result_;
};

// The bytes of a download from its first. `on_read` learns how far the reader has got.
class DownloadSource final : public ByteSource {
 public:
  DownloadSource(BlobDownload& download, CancelCheck cancelled, std::function<void(uint64_t)> on_read)
      : download_(download), cancelled_(std::move(cancelled)), on_read_(std::move(on_read)) {}
  Result<size_t> read(std::span<char> into) override;

 private:
  BlobDownload& download_;
  CancelCheck cancelled_;
  std::function<void(uint64_t)> on_read_;
  uint64_t offset_ = 0;
};

struct BlobFetch {
  Registry& registry;
  HttpClient& http;
  const Descriptor& descriptor;
  std::filesystem::path file;  // is made
  std::string name;            // of the layer, for messages
  // status, bytes so far and of all (0, 0: an event)
  std::function<void(const std::string&, uint64_t, uint64_t)> report;
  CancelCheck cancelled;
};

// Downloads into the file, goes on where a connection broke, checks size and digest. Says nothing of the end to
// `download`. Blocking.
Result<Spool> fetch_blob(const BlobFetch& fetch, BlobDownload& download);

}  // namespace gantry::engine
