#include "engine/container/log_blocks.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "engine/container/log_entry.h"

namespace gantry::engine {
namespace {

// Blocks end at the last line end before a multiple of this, so that readers who began anywhere, or were at the end of
// the file for a while, ask for the same ones again.
constexpr uint64_t kIndexedBlock = 256 << 10;
// What is kept for readers that come later, of all files together.
constexpr size_t kBudget = 16 << 20;

using Key = std::tuple<const LogBlocks*, std::string, uint64_t>;  // file, rendering, begin

struct Slot {
  std::mutex mutex;  // held while the block is made
  bool made = false;
  Result<LogBlocks::Block> block = LogBlocks::Block{};
};

// Blocks by key, the oldest of them given up when they get too many. One for the process, so that its size has a bound.
class Cache {
 public:
  static Cache& get() {
    static Cache& only = *new Cache;  // never destroyed: readers' threads may outlive main()
    return only;
  }

  std::shared_ptr<Slot> slot(const Key& key) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<Slot>& slot = slots_[key];
    if (!slot) slot = std::make_shared<Slot>();
    return slot;
  }
  void keep(const Key& key, size_t size) {
    const std::lock_guard lock(mutex_);
    kept_.emplace_back(key, size);
    for (size_ += size; size_ > kBudget && kept_.size() > 1; kept_.pop_front()) {
      size_ -= kept_.front().second;
      slots_.erase(kept_.front().first);
    }
  }
  void drop(const Key& key) {
    const std::lock_guard lock(mutex_);
    slots_.erase(key);
  }
  void drop_all_of(const LogBlocks* file) {
    const std::lock_guard lock(mutex_);
    std::erase_if(slots_, [&](const auto& slot) { return std::get<0>(slot.first) == file; });
    std::erase_if(kept_, [&](const auto& kept) {
      const bool is_of_file = std::get<0>(kept.first) == file;
      if (is_of_file) size_ -= kept.second;
      return is_of_file;
    });
  }

 private:
  std::mutex mutex_;
  std::map<Key, std::shared_ptr<Slot>> slots_;   // guarded by mutex_, as all below
  std::list<std::pair<Key, size_t>> kept_;       // those of slots_ that are whole, the oldest first
  size_t size_ = 0;                              // of their texts
};

using FileKey = std::pair<dev_t, ino_t>;

class FileBlocks final : public LogBlocks {
 public:
  FileBlocks(Fd fd, FileKey key) : fd_(std::move(fd)), key_(key) {}
  ~FileBlocks() override {
    Cache::get().drop_all_of(this);
    const std::lock_guard lock(open_mutex());
    const auto at = open_files().find(key_);
    if (at != open_files().end() && at->second.expired()) open_files().erase(at);
  }

  static Result<std::shared_ptr<LogBlocks>> of(const Fd& fd) {
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return Error::from_errno(errno, "fstat", "a log");
    const FileKey key(status.st_dev, status.st_ino);
    Fd own = TRY(fd.duplicate());  // it keeps the inode's number from being another file's
    const std::lock_guard lock(open_mutex());
    std::weak_ptr<LogBlocks>& known = open_files()[key];
    if (std::shared_ptr<LogBlocks> blocks = known.lock()) return blocks;
    auto blocks = std::make_shared<FileBlocks>(std::move(own), key);
    known = blocks;
    return std::shared_ptr<LogBlocks>(std::move(blocks));
  }

  Result<Block> at(uint64_t begin, const LogRendering& rendering) override {
    const Key key(this, rendering.name, begin);
    for (;;) {
      const std::shared_ptr<Slot> slot = Cache::get().slot(key);
      const std::lock_guard lock(slot->mutex);
      const bool was_made = std::exchange(slot->made, true);
      if (!was_made) make(*slot, key, rendering);
      // Somebody else found no line; there may be one by now.
      if (was_made && slot->block.ok() && slot->block->end == begin) continue;
      return slot->block;
    }
  }

 private:
  static std::mutex& open_mutex() {
    static std::mutex& only = *new std::mutex;
    return only;
  }
  static std::map<FileKey, std::weak_ptr<LogBlocks>>& open_files() {
    static auto& only = *new std::map<FileKey, std::weak_ptr<LogBlocks>>;
    return only;
  }

  // What ends with the file may go on later: it is for those who wait for it, and not kept.
  void make(Slot& slot, const Key& key, const LogRendering& rendering) {
    bool whole = false;
    slot.block = render(std::get<uint64_t>(key), rendering, whole);
    if (whole && slot.block.ok()) Cache::get().keep(key, slot.block->text->capacity());
    else Cache::get().drop(key);
  }

  Result<Block> render(uint64_t begin, const LogRendering& rendering, bool& whole) {
    std::string lines;
    for (uint64_t end = (begin / kIndexedBlock + 1) * kIndexedBlock;; end += kIndexedBlock) {
      TRY(read_up_to(begin, end, lines));
      whole = begin + lines.size() == end;
      const size_t last = lines.rfind('\n');
      if (last != std::string::npos) {
        lines.resize(last + 1);
        break;
      }
      if (!whole) return Block{.text = std::make_shared<std::string>(), .end = begin};
      if (lines.size() > kMaxLine) break;
    }
    return Block{.text = std::make_shared<const std::string>(rendered(lines, rendering)), .end = begin + lines.size()};
  }

  // Appends to `lines`, which hold what comes from `begin` on.
  Result<> read_up_to(uint64_t begin, uint64_t end, std::string& lines) {
    while (begin + lines.size() < end) {
      const size_t held = lines.size();
      lines.resize(end - begin);
      const ssize_t n = ::pread(fd_.get(), lines.data() + held, lines.size() - held, static_cast<off_t>(begin + held));
      const int failure = errno;
      lines.resize(held + static_cast<size_t>(std::max<ssize_t>(n, 0)));
      if (n < 0 && failure != EINTR) return Error::from_errno(failure, "read", "a log");
      if (n == 0) break;
    }
    return {};
  }

  static std::string rendered(std::string_view lines, const LogRendering& rendering) {
    std::string text;
    text.reserve(lines.size());
    LogEntryParser parser;
    for (size_t end; !lines.empty(); lines.remove_prefix(end)) {
      end = std::min(lines.find('\n'), lines.size() - 1) + 1;
      const LogEntry* entry = parser.parse(lines.substr(0, end - 1));
      if (entry) rendering.append(*entry, text);
    }
    text.shrink_to_fit();
    return text;
  }

  const Fd fd_;
  const FileKey key_;
};

}  // namespace

Result<std::shared_ptr<LogBlocks>> LogBlocks::of(const Fd& fd) { return FileBlocks::of(fd); }

}  // namespace gantry::engine
