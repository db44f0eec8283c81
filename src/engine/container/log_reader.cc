#include "engine/container/log_reader.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <vector>

#include "base/fd.h"
#include "engine/container/log_blocks.h"
#include "engine/container/log_entry.h"
#include "engine/container/log_watch.h"
#include "engine/image/byte_source.h"

namespace gantry::engine {
namespace {

constexpr size_t kChunk = 64 << 10;

struct LogFile {
  Fd fd;
  ino_t inode = 0;
  uint64_t size = 0;  // when it was opened
  int64_t changed_ns = 0;
  std::string ends;     // its first and last bytes, where the times of its first and last line are
  std::shared_ptr<LogBlocks> blocks;  // shared with its other readers; made when needed
  bool packed = false;  // fd is an unnamed copy of what was in the .gz, which has the time of the file it was made from
};

// A file keeps its inode when it is renamed, and its time, size and content when it is compressed.
bool is_same(const LogFile& a, const LogFile& b) {
  if (a.packed == b.packed) return a.inode == b.inode;
  return a.changed_ns == b.changed_ns && a.size == b.size && a.ends == b.ends;
}

std::string ends_of(int fd, uint64_t size) {
  char first[64], last[128];
  const ssize_t n = ::pread(fd, first, sizeof first, 0);
  const ssize_t m = ::pread(fd, last, sizeof last, static_cast<off_t>(size > sizeof last ? size - sizeof last : 0));
  return std::string(first, static_cast<size_t>(std::max<ssize_t>(n, 0))) + std::string(last, static_cast<size_t>(std::max<ssize_t>(m, 0)));
}

Result<> look_at(LogFile& file, const std::string& path) {
  struct stat status {};
  if (::fstat(file.fd.get(), &status) != 0) return Error::from_errno(errno, "fstat log", path);
  file.inode = status.st_ino;
  file.size = static_cast<uint64_t>(status.st_size);
  file.changed_ns = int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
  file.ends = ends_of(file.fd.get(), file.size);
  return {};
}

// No value: it is not there.
Result<std::optional<LogFile>> open_one(const std::string& path) {
  LogFile file;
  file.fd = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.fd) {
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<LogFile>();
    return Error::from_errno(errno, "open log", path);
  }
  TRY(look_at(file, path));
  return std::optional<LogFile>(std::move(file));
}

// Beside the log, without a name: gone with the reader. What is damaged is read up to there.
Result<std::optional<LogFile>> open_packed(const std::string& path) {
  std::optional<LogFile> file = TRY(open_one(path));
  if (!file) return file;
  const Fd gzip = std::move(file->fd);
  file->fd = Fd(::open(std::filesystem::path(path).parent_path().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file->fd) return Error::from_errno(errno, "make a temporary file beside", path);
  FdSource source(gzip.get());
  const std::unique_ptr<ByteSource> text = TRY(decompressed(source));
  const Result<uint64_t> copied = copy_to_fd(*text, file->fd.get());
  if (!copied.ok() && copied.error().code() != Code::invalid) return copied.error();
  struct stat status {};
  if (::fstat(file->fd.get(), &status) != 0) return Error::from_errno(errno, "fstat log", path);
  file->size = static_cast<uint64_t>(status.st_size);
  file->ends = ends_of(file->fd.get(), file->size);
  file->packed = true;
  return file;
}

ino_t inode_of(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

// The log's files, oldest first. A rotation renames them upwards one by one, the oldest first, while we look upwards:
// so one number at a time may be free, and a file may be met twice, but none is missed.
Result<std::vector<LogFile>> open_all(const std::string& path) {
  std::vector<LogFile> files;
  bool was_free = false;
  for (unsigned number = 0;; ++number) {
    const std::string name = number == 0 ? path : path + "." + std::to_string(number);
    std::optional<LogFile> file = TRY(open_one(name));
    if (!file && number > 0) file = TRY(open_packed(name + ".gz"));
    if (!file && was_free) break;
    was_free = !file;
    const bool met = file && std::ranges::any_of(files, [&](const LogFile& f) { return is_same(f, *file); });
    if (file && !met) files.push_back(std::move(*file));
  }
  std::reverse(files.begin(), files.end());
  return files;
}

// Where the last `wanted` lines of the file begin; `wanted` is lowered by those that it has.
Result<uint64_t> tail_offset(const LogFile& file, uint64_t& wanted) {
  std::string chunk(kChunk, '\0');
  uint64_t found = 0;  // line ends; the first one from behind ends the last line
  for (uint64_t end = file.size; end > 0;) {
    const uint64_t begin = end > kChunk ? end - kChunk : 0;
    const ssize_t n = ::pread(file.fd.get(), chunk.data(), end - begin, static_cast<off_t>(begin));
    if (n < 0) return Error::from_errno(errno, "read", "the log");
    for (auto i = static_cast<uint64_t>(n); i > 0; --i) {
      if (chunk[i - 1] != '\n') continue;
      if (found == wanted) {
        wanted = 0;
        return begin + i;
      }
      ++found;
    }
    end = begin;
  }
  wanted -= std::min(found, wanted);
  return 0;
}

class FileLogReader final : public LogReader {
 public:
  FileLogReader(std::string path, LogReadOptions options) : path_(std::move(path)), options_(options) {}

  Result<> prepare() {
    wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return Error::from_errno(errno, "eventfd", "for reading a log");
    if (options_.follow) TRY(watch());
    files_ = TRY(open_all(path_));
    return skip_to_tail();
  }

  Result<std::optional<LogEntry>> next() override {
    const LogEntry* entry = TRY(next_wanted());
    return entry ? std::optional(*entry) : std::nullopt;
  }

  Result<std::shared_ptr<const std::string>> next_text(const LogRendering& rendering) override {
    if (options_.since != WallTime{} || options_.until != WallTime{}) return next_entries(rendering);
    while (!stopped_) {
      const bool finished = finished_;
      std::shared_ptr<const std::string> text = TRY(next_block(rendering));
      if (text) return text;
      if (!options_.follow || finished) break;
      TRY(wait());
    }
    stopped_ = true;
    return std::shared_ptr<const std::string>();
  }

  void finish() override {
    finished_ = true;
    wake();
  }
  void stop() override {
    stopped_ = true;
    wake();
  }

 private:
  void wake() {
    const uint64_t one = 1;
    // Can fail only when the counter is full, which wakes as well.
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
  }

  // The directory and not the file: a rotation replaces the file.
  Result<> watch() {
    watch_ = TRY(LogWatch::start(std::filesystem::path(path_).parent_path(), wake_.get()));
    return {};
  }

  Result<> skip_to_tail() {
    if (!options_.tail) return {};
    uint64_t wanted = *options_.tail;
    size_t first = files_.size();
    while (first > 0) {
      const LogFile& file = files_[first - 1];
      const bool newest = first == files_.size();
      if (wanted == 0 && !newest) break;
      offset_ = TRY(tail_offset(file, wanted));
      --first;
      if (wanted == 0) break;
    }
    files_.erase(files_.begin(), files_.begin() + static_cast<ptrdiff_t>(first));
    return {};
  }

  // As next(); null: the end. Valid until the next call, as all entries below.
  Result<const LogEntry*> next_wanted() {
    while (!stopped_ && !past_until_) {
      // Read before the file is: what was written before the end was reported must not be missed.
      const bool finished = finished_;
      const LogEntry* entry = TRY(next_stored());
      if (entry) {
        if (entry->time < options_.since) continue;
        if (options_.until != WallTime{} && entry->time > options_.until) break;
        return entry;
      }
      if (!options_.follow || finished) break;
      TRY(wait());
    }
    past_until_ = true;
    return nullptr;
  }

  // What depends on each entry's time cannot be shared.
  Result<std::shared_ptr<const std::string>> next_entries(const LogRendering& rendering) {
    std::string text;
    while (const LogEntry* entry = TRY(next_wanted())) {
      rendering.append(*entry, text);
      if (text.size() >= kChunk || (!text.empty() && !is_ready())) break;
    }
    return text.empty() ? nullptr : std::make_shared<const std::string>(std::move(text));
  }

  // There is another entry at hand.
  bool is_ready() const {
    return !stopped_ && !past_until_ && buffer_.find('\n', scanned_) != std::string::npos;
  }

  // As next_stored(), for whole blocks.
  Result<std::shared_ptr<const std::string>> next_block(const LogRendering& rendering) {
    for (;;) {
      if (files_.empty()) {
        if (options_.follow) files_ = TRY(open_all(path_));
        if (files_.empty()) return std::shared_ptr<const std::string>();
      }
      const bool replaced = files_.size() > 1 || (options_.follow && is_replaced());
      LogFile& file = files_.front();
      if (options_.follow || offset_ < file.size) {
        if (!file.blocks) file.blocks = TRY(LogBlocks::of(file.fd));
        LogBlocks::Block block = TRY(file.blocks->at(offset_, rendering));
        const bool moved = std::exchange(offset_, block.end) != block.end;
        if (!block.text->empty()) return std::move(block.text);
        if (moved) continue;
      }
      if (!replaced) return std::shared_ptr<const std::string>();
      TRY(leave_file());
    }
  }

  // The next entry without waiting. A follower goes on into files that have come meanwhile; others read what there
  // was at the beginning, so that a chatty program cannot keep them for ever.
  Result<const LogEntry*> next_stored() {
    for (;;) {
      while (std::optional<std::string_view> line = next_line()) {
        const LogEntry* entry = parser_.parse(*line);
        if (entry) return entry;
      }
      if (files_.empty()) {
        if (!options_.follow) return nullptr;
        files_ = TRY(open_all(path_));
        if (files_.empty()) return nullptr;
        continue;
      }
      // Asked before reading: a file that was already replaced grows no more.
      const bool replaced = files_.size() > 1 || (options_.follow && is_replaced());
      if (TRY(read_more())) continue;
      if (!replaced) return nullptr;
      TRY(leave_file());
    }
  }

  bool is_replaced() const {
    const ino_t current = inode_of(path_);
    return current != 0 && current != files_.front().inode;
  }

  std::optional<std::string_view> next_line() {
    const size_t end = buffer_.find('\n', scanned_);
    if (end == std::string::npos) {
      scanned_ = buffer_.size();
      return std::nullopt;
    }
    const std::string_view line(buffer_.data() + consumed_, end - consumed_);
    consumed_ = scanned_ = end + 1;
    return line;
  }

  // False: nothing more for now.
  Result<bool> read_more() {
    const LogFile& file = files_.front();
    size_t wanted = kChunk;
    if (!options_.follow) wanted = std::min<uint64_t>(wanted, file.size - std::min(file.size, offset_));
    if (wanted == 0) return false;
    buffer_.erase(0, consumed_);
    consumed_ = 0;
    if (buffer_.size() > kMaxLine) buffer_.clear();
    const size_t held = buffer_.size();
    scanned_ = held;
    buffer_.resize(held + wanted);
    const ssize_t n = ::pread(file.fd.get(), buffer_.data() + held, wanted, static_cast<off_t>(offset_));
    buffer_.resize(held + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0) return Error::from_errno(errno, "read log", path_);
    offset_ += static_cast<uint64_t>(n);
    return n > 0;
  }

  // On to the next newer file; at the last one, to those that came after it.
  Result<> leave_file() {
    LogFile left = std::move(files_.front());  // open until the end, or its number might be another's
    if (!left.packed) TRY(look_at(left, path_));  // as it is now, at its end
    files_.erase(files_.begin());
    buffer_.clear();
    consumed_ = scanned_ = 0;
    offset_ = 0;
    if (!files_.empty()) return {};
    files_ = TRY(open_all(path_));
    const auto last = std::ranges::find_if(files_, [&](const LogFile& file) { return is_same(file, left); });
    // Not among them: it was removed, and all that there are came later.
    if (last != files_.end()) files_.erase(files_.begin(), last + 1);
    return {};
  }

  Result<> wait() {
    pollfd ready[] = {{wake_.get(), POLLIN, 0}};
    std::optional<timespec> limit;
    if (options_.until != WallTime{}) {
      const auto left = options_.until - SystemClock().wall();
      if (left.count() < 0) {
        past_until_ = true;
        return {};
      }
      limit = timespec{.tv_sec = left.count() / 1'000'000'000, .tv_nsec = left.count() % 1'000'000'000};
    }
    if (::ppoll(ready, 1, limit ? &*limit : nullptr, nullptr) < 0 && errno != EINTR) {
      return Error::from_errno(errno, "poll", "a log");
    }
    uint64_t wakes = 0;
    [[maybe_unused]] const ssize_t heard = ::read(wake_.get(), &wakes, sizeof wakes);
    return {};
  }

  const std::string path_;
  const LogReadOptions options_;
  Fd wake_;
  std::unique_ptr<LogWatch> watch_;  // after wake_, which it writes to
  std::atomic<bool> finished_ = false;
  std::atomic<bool> stopped_ = false;
  bool past_until_ = false;

  std::vector<LogFile> files_;  // still to read, oldest first; the front one from offset_ on
  uint64_t offset_ = 0;
  std::string buffer_;          // read, but not delivered from consumed_ on
  size_t consumed_ = 0;
  size_t scanned_ = 0;          // no line end between consumed_ and here
  LogEntryParser parser_;
};

}  // namespace

Result<std::unique_ptr<LogReader>> open_log(const std::filesystem::path& path, LogReadOptions options) {
  auto reader = std::make_unique<FileLogReader>(path.string(), options);
  TRY(reader->prepare());
  return std::unique_ptr<LogReader>(std::move(reader));
}

}  // namespace gantry::engine
