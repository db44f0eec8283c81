#include "engine/build/file_digests.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <iterator>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"

namespace gantry::engine {
namespace {

constexpr std::string_view kMagic = "gantry file digests 3\n\n\n";  // as long as keeps what follows aligned
constexpr size_t kMostFiles = 2'000'000;
// A file that changed so recently may change again without its times showing it.
constexpr int64_t kTooFreshNs = 2'000'000'000;

int64_t nanoseconds_of(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

}  // namespace

// A whole file, read only. It is replaced, never written to.
struct FileDigests::Mapping {
  void* start = MAP_FAILED;
  size_t size = 0;

  explicit Mapping(const std::filesystem::path& file) {
    const Result<Fd> fd = open_file(file, O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (!fd.ok() || fstat(fd->get(), &status) != 0 || status.st_size <= 0) return;
    size = static_cast<size_t>(status.st_size);
    start = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd->get(), 0);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (start != MAP_FAILED) munmap(start, size);
  }

  std::span<const Record> records() const {
    static_assert(sizeof(Record) == 80 && kMagic.size() % alignof(Record) == 0);
    if (start == MAP_FAILED || size < kMagic.size() || memcmp(start, kMagic.data(), kMagic.size()) != 0) return {};
    if ((size - kMagic.size()) % sizeof(Record) != 0) return {};
    const char* first = static_cast<const char*>(start) + kMagic.size();
    return {reinterpret_cast<const Record*>(first), (size - kMagic.size()) / sizeof(Record)};
  }
};

FileDigests::FileDigests(std::filesystem::path file)
    : file_(std::move(file)), mapping_(std::make_unique<Mapping>(file_)), known_(mapping_->records()) {}
FileDigests::FileDigests(FileDigests&& other) noexcept
    : file_(other.file_),
      mapping_(std::move(other.mapping_)),
      known_(std::exchange(other.known_, {})),
      fresh_(std::move(other.fresh_)) {}
FileDigests::~FileDigests() = default;

FileDigests FileDigests::load(std::filesystem::path file) { return FileDigests(std::move(file)); }

Result<FileDigests::Content> FileDigests::content(const struct stat& status,
                                                  const std::function<Result<Content>()>& read) {
  Record now{.id = {.device = status.st_dev, .inode = status.st_ino},
             .size = static_cast<uint64_t>(status.st_size),
             .modified_ns = nanoseconds_of(status.st_mtim),
             .changed_ns = nanoseconds_of(status.st_ctim)};
  if (const Record* known = find_known(now.id); known != nullptr && known->same_file(now)) return known->content();
  {
    const std::lock_guard lock(mutex_);
    const auto found = fresh_.find(now.id);
    if (found != fresh_.end() && found->second.same_file(now)) return found->second.content();
  }
  const Content content = TRY(read());
  if (now_ns() - std::max(now.modified_ns, now.changed_ns) < kTooFreshNs) return content;
  now.sha256 = content.sha256;
  now.has_xattrs = content.has_xattrs ? 1 : 0;
  const std::lock_guard lock(mutex_);
  if (fresh_.size() < kMostFiles) fresh_.insert_or_assign(now.id, now);
  return content;
}

const FileDigests::Record* FileDigests::find_known(const Identity& id) const {
  // Files that were made one after the other are often looked at so, too.
  thread_local size_t guess = 0;
  if (guess >= known_.size() || known_[guess].id != id) {
    const auto found =
        std::lower_bound(known_.begin(), known_.end(), id,
                         [](const Record& record, const Identity& wanted) { return record.id < wanted; });
    guess = static_cast<size_t>(found - known_.begin());
  }
  return guess < known_.size() && known_[guess].id == id ? &known_[guess++] : nullptr;
}

void FileDigests::save() {
  const std::lock_guard lock(mutex_);
  if (fresh_.empty()) return;
  std::vector<Record> all;
  all.reserve(known_.size() + fresh_.size());
  for (const auto& [id, record] : fresh_) all.push_back(record);
  if (known_.size() + fresh_.size() <= kMostFiles) {
    std::copy_if(known_.begin(), known_.end(), std::back_inserter(all),
                 [this](const Record& record) { return !fresh_.contains(record.id); });
  }
  std::sort(all.begin(), all.end(), [](const Record& a, const Record& b) { return a.id < b.id; });
  std::string text(kMagic);
  text.append(reinterpret_cast<const char*>(all.data()), all.size() * sizeof(Record));
  std::error_code ignored;
  std::filesystem::create_directories(file_.parent_path(), ignored);
  if (replace_file(file_, text, 0600).ok()) fresh_.clear();
}

}  // namespace gantry::engine
