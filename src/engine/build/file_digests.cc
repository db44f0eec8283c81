#include "engine/build/file_digests.h"

#include <cstring>
#include <ctime>

#include "base/fd.h"
#include "base/strings.h"
#include "engine/image/digest.h"

namespace gantry::engine {
namespace {

constexpr std::string_view kMagic = "gantry file digests 2\n";
constexpr size_t kRecord = 5 * 8 + 32 + 8;
constexpr size_t kMostFiles = 2'000'000;
// A file that changed so recently may change again without its times showing it.
constexpr int64_t kTooFreshNs = 2'000'000'000;

int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds(now);
}

}  // namespace

FileDigests FileDigests::load(std::filesystem::path file) {
  FileDigests digests(std::move(file));
  const Result<std::string> text = read_file(digests.file_, kMagic.size() + kMostFiles * kRecord);
  if (!text.ok() || !text->starts_with(kMagic) || (text->size() - kMagic.size()) % kRecord != 0) return digests;
  digests.known_.reserve((text->size() - kMagic.size()) / kRecord);
  for (const char* at = text->data() + kMagic.size(); at < text->data() + text->size(); at += kRecord) {
    Identity id;
    Known known;
    memcpy(&id.device, at, 8);
    memcpy(&id.inode, at + 8, 8);
    memcpy(&known.size, at + 16, 8);
    memcpy(&known.modified_ns, at + 24, 8);
    memcpy(&known.changed_ns, at + 32, 8);
    memcpy(known.content.sha256.data(), at + 40, 32);
    known.content.has_xattrs = at[72] != 0;
    digests.known_.emplace(id, known);
  }
  return digests;
}

Result<FileDigests::Content> FileDigests::content(const struct stat& status,
                                                  const std::function<Result<Content>()>& read) {
  const Identity id{.device = status.st_dev, .inode = status.st_ino};
  Known now{.size = static_cast<uint64_t>(status.st_size),
            .modified_ns = nanoseconds(status.st_mtim),
            .changed_ns = nanoseconds(status.st_ctim)};
  {
    std::lock_guard lock(mutex_);
    const auto found = known_.find(id);
    if (found != known_.end() && found->second.size == now.size && found->second.modified_ns == now.modified_ns &&
        found->second.changed_ns == now.changed_ns) {
      return found->second.content;
    }
  }
  now.content = TRY(read());
  if (now_ns() - std::max(now.modified_ns, now.changed_ns) < kTooFreshNs) return now.content;
  std::lock_guard lock(mutex_);
  if (known_.size() >= kMostFiles) known_.clear();
  known_.insert_or_assign(id, now);
  changed_ = true;
  return now.content;
}

void FileDigests::save() {
  std::lock_guard lock(mutex_);
  if (!changed_) return;
  std::string text(kMagic);
  text.reserve(kMagic.size() + known_.size() * kRecord);
  for (const auto& [id, known] : known_) {
    char record[kRecord] = {};
    memcpy(record, &id.device, 8);
    memcpy(record + 8, &id.inode, 8);
    memcpy(record + 16, &known.size, 8);
    memcpy(record + 24, &known.modified_ns, 8);
    memcpy(record + 32, &known.changed_ns, 8);
    memcpy(record + 40, known.content.sha256.data(), 32);
    record[72] = known.content.has_xattrs ? 1 : 0;
    text.append(record, kRecord);
  }
  std::error_code ignored;
  std::filesystem::create_directories(file_.parent_path(), ignored);
  changed_ = !replace_file(file_, text, 0600).ok();
}

}  // namespace gantry::engine
