#include "shim/log_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "shim/log_compressor.h"
#include "shim/log_lines.h"

namespace gantry::shim {
namespace {

constexpr uint64_t kBlock = 128 << 10;
constexpr size_t kSpace = 384 << 10;  // touched as far as it is used
constexpr uint64_t kReserve = 16 << 20;
constexpr size_t kPage = 4096;
constexpr int kWriterPatienceMs = 2000;  // a disk that hangs must not keep the container's end from being told
constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW;

alignas(kPage) char record_space[kSpace];
static_assert(kSpace >= 2 * kBlock + RecordMaker::kLeastRoom);  // see begin_space()

char last_byte(const std::string& path, off_t size) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  char last = '\n';
  if (file && ::pread(file.get(), &last, 1, size - 1) != 1) last = '\n';
  return last;
}

}  // namespace

// ---- The files ---------------------------------------------------------------------------------------

LogDisk::LogDisk() = default;
LogDisk::~LogDisk() = default;

void LogDisk::stop_compressing() { compressor_.reset(); }

bool LogDisk::open(LogOptions options) {
  options_ = static_cast<LogOptions&&>(options);
  if (options_.max_files == 0) options_.max_files = 1;
  fd_.reset(::open(options_.path.c_str(), kFlags, 0640));
  struct stat status {};
  if (!fd_ || ::fstat(fd_.get(), &status) != 0) return false;
  size_ = static_cast<uint64_t>(status.st_size);
  is_torn_ = size_ != 0 && last_byte(options_.path, status.st_size) != '\n';
  begin_compressing();  // what an earlier run left
  return true;
}

void LogDisk::append(std::string_view records) {
  while (!records.empty()) {
    // The file that has reached its size is left before the next line, not after its own last one.
    if (options_.max_size != 0 && size_ >= options_.max_size) rotate();
    size_t take = records.size();
    if (options_.max_size != 0 && size_ + take > options_.max_size) {
      // Up to the end of the line that reaches the size.
      uint64_t room = options_.max_size - (size_ < options_.max_size ? size_ : options_.max_size);
      size_t end = records.find('\n', room == 0 ? 0 : static_cast<size_t>(room - 1));
      take = end == std::string_view::npos ? records.size() : end + 1;
    }
    write_out(records.substr(0, take));
    records.remove_prefix(take);
  }
}

bool LogDisk::append_blocks(std::string_view before, std::string_view& records) {
  const uint64_t begin = size_ + before.size();
  const uint64_t end = (begin + records.size()) / kBlock * kBlock;
  if (options_.max_size != 0 || end <= begin) return false;
  const auto size = static_cast<size_t>(end - begin);
  // What follows a record that is torn now is its rest, up to where the next one begins.
  const bool goes_on = write_out(before, records.substr(0, size)) || records[size - 1] == '\n';
  records.remove_prefix(goes_on ? size : records.find('\n', size) + 1);
  return true;
}

size_t LogDisk::until_block_end() const { return kBlock - size_ % kBlock; }

void LogDisk::reserve(size_t coming) {
  if (options_.max_size != 0 || size_ + coming <= reserved_until_) return;  // one that rotates is left before it is filled
  (void)::fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(size_), kReserve);
  reserved_until_ = size_ + kReserve;  // also if it failed: half of it may be there, and to ask again is of no use
}

void LogDisk::release() {
  reserved_until_ = 0;
  // The size that it has: somebody may have emptied the file.
  struct stat status {};
  if (::fstat(fd_.get(), &status) == 0) (void)!::ftruncate(fd_.get(), status.st_size);
}

bool LogDisk::write_out(std::string_view bytes, std::string_view more) {
  end_torn_record();
  const size_t written = write_as_possible(fd_.get(), bytes, more);
  size_ += written;
  if (written > 0) in_record_ = (written <= bytes.size() ? bytes[written - 1] : more[written - bytes.size() - 1]) != '\n';
  if (written == bytes.size() + more.size()) return true;
  is_torn_ = in_record_;
  end_torn_record();
  return false;
}

// A record without its end would swallow the next good one.
void LogDisk::end_torn_record() {
  if (!is_torn_ || ::write(fd_.get(), "\n", 1) != 1) return;
  ++size_;
  is_torn_ = in_record_ = false;
}

std::string LogDisk::numbered(uint32_t number, bool packed) const {
  std::string name = options_.path;
  if (number > 0) name += "." + text_of(number);
  return packed ? name + ".gz" : name;
}

// A number has its file in one of the two forms. The oldest ones move first, so that a reader who looks from the newest
// upwards misses none.
void LogDisk::rotate() {
  uint32_t last = options_.max_files - 1;
  for (bool packed : {false, true}) {
    if (last == 0) break;
    ::unlink(numbered(last, packed).c_str());
  }
  if (compressor_ && !compressor_->moved_up(last)) compressor_.reset();
  for (uint32_t i = last; i > 0; --i) {
    ::rename(numbered(i - 1, false).c_str(), numbered(i, false).c_str());
    if (i > 1) ::rename(numbered(i - 1, true).c_str(), numbered(i, true).c_str());
  }
  if (last == 0) ::unlink(options_.path.c_str());
  Fd next(::open(options_.path.c_str(), kFlags, 0640));
  if (!next) return;  // goes on in the old file, which then only has another name
  fd_ = static_cast<Fd&&>(next);
  size_ = 0;
  is_torn_ = in_record_ = false;
  if (!compressor_) begin_compressing();
}

void LogDisk::begin_compressing() {
  if (!options_.compress) return;
  for (uint32_t number = 1; number < options_.max_files; ++number) {
    if (::access(numbered(number, false).c_str(), F_OK) != 0) continue;
    compressor_ = LogCompressor::begin(numbered(number, false), options_.path + ".gz-new", number);
    return;
  }
}

void LogDisk::work() {
  if (!compressor_) return;
  LogCompressor::State state = compressor_->step();
  if (state == LogCompressor::State::working) return;
  uint32_t number = compressor_->number();
  if (state == LogCompressor::State::finished &&
      ::rename(compressor_->output().c_str(), numbered(number, true).c_str()) == 0) {
    compressor_->keep();
    ::unlink(numbered(number, false).c_str());
    compressor_.reset();
    begin_compressing();
    return;
  }
  compressor_.reset();  // stays as it is; the next rotation tries again
}

// ---- The lines ---------------------------------------------------------------------------------------

bool LogFile::open(LogOptions options, LogFormat format, const std::string& attributes, uint64_t buffer) {
  maker_ = RecordMaker(format, attributes);
  waiting_ = RecordSpace(record_space, sizeof record_space);
  if (!disk_.open(static_cast<LogOptions&&>(options))) return false;
  return buffer == 0 || start_writer(buffer);
}

// Before there is a container, so that the writer is in none of its namespaces. It ends when the pipe does, also if we
// are killed: what was buffered is written then.
bool LogFile::start_writer(uint64_t buffer) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  Fd reading(ends[0]);
  pipe_.reset(ends[1]);
  // Beyond fs.pipe-max-size only with CAP_SYS_RESOURCE: as much as there is.
  for (uint64_t size = buffer; size > (64 << 10) && ::fcntl(pipe_.get(), F_SETPIPE_SZ, static_cast<int>(size)) < 0; size /= 2) {
  }
  capacity_ = static_cast<size_t>(::fcntl(pipe_.get(), F_GETPIPE_SZ));
  ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
  pid_t pid = ::fork();
  if (pid < 0) return false;
  if (pid > 0) {
    writer_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    return true;
  }
  pipe_.reset();
  ::prctl(PR_SET_NAME, "gantry-log", 0, 0, 0);
  ::fcntl(reading.get(), F_SETFL, O_NONBLOCK);
  std::string held;
  char chunk[64 << 10];
  for (;;) {
    pollfd ready{reading.get(), POLLIN, 0};
    if (::poll(&ready, 1, disk_.busy() ? 0 : -1) == 0) {
      disk_.work();
      continue;
    }
    ssize_t n = ::read(reading.get(), chunk, sizeof chunk);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) ::_exit(0);
    held.append(chunk, static_cast<size_t>(n));
    size_t end = held.rfind('\n');
    if (end == std::string::npos) continue;
    disk_.append(std::string_view(held).substr(0, end + 1));
    held.erase(0, end + 1);
  }
}

void LogFile::write(LineCutter& stream, std::string_view data, int64_t now) {
  if (!is_open()) return;
  while (!data.empty()) {
    if (!pipe_ && stream.at_line_start()) write_whole_lines(stream.stream(), data, now);
    if (data.empty()) break;
    // What is left begins with the end of a line, a long line or one without its end.
    const size_t length = std::min(data.find('\n'), data.size() - 1) + 1;
    stream.feed(data.substr(0, length), now, [&](std::string_view text, bool newline, int64_t time) {
      add(stream.stream(), text, newline, time);
    });
    data.remove_prefix(length);
  }
}

void LogFile::write_whole_lines(const char* stream, std::string_view& data, int64_t now) {
  for (size_t before = 0; before != data.size();) {
    before = data.size();
    if (waiting_.room() < RecordMaker::kLeastRoom) make_room();
    maker_.append(stream, data, now, waiting_);
  }
}

void LogFile::write_records(std::string_view records) {
  if (in_burst_) disk_.reserve(waiting_.records().size() + records.size());
  if (disk_.append_blocks(waiting_.records(), records)) {
    waiting_.clear();
    begin_space(waiting_.records());
  }
  if (waiting_.append(records)) return;
  flush();
  disk_.append(records);
}

void LogFile::finish(LineCutter& stream) {
  if (!is_open()) return;
  stream.finish([&](std::string_view text, bool newline, int64_t time) { add(stream.stream(), text, newline, time); });
  flush();
}

void LogFile::close() {
  if (!pipe_) return;
  pipe_.reset();
  pollfd ended{writer_.get(), POLLIN, 0};
  if (writer_) ::poll(&ended, 1, kWriterPatienceMs);
  writer_.reset();
}

void LogFile::add(const char* stream, std::string_view text, bool newline, int64_t time) {
  record_.clear();
  if (maker_.format() == LogFormat::compact) append_compact_line(record_, text, newline, stream, time);
  else append_log_line(record_, text, newline, stream, maker_.time(time), maker_.attributes());
  if (pipe_) return hand_over(record_);
  if (waiting_.append(record_)) return;
  flush();
  if (!waiting_.append(record_)) disk_.append(record_);
}

// A pipe takes a record whole or not at all.
void LogFile::hand_over(std::string_view record) {
  // A write that fits in the pipe's free pages is never cut.
  int waiting = 0;
  bool fits = ::ioctl(pipe_.get(), FIONREAD, &waiting) == 0 &&
              static_cast<size_t>(waiting) + record.size() + 2 * kPage <= capacity_;
  if (!fits || ::write(pipe_.get(), record.data(), record.size()) != static_cast<ssize_t>(record.size())) ++dropped_;
}

void LogFile::make_room() {
  std::string_view left = waiting_.records();
  if (in_burst_) disk_.reserve(left.size());
  if (disk_.append_blocks({}, left)) begin_space(left);
  else flush();
}

// Full with the end of the next blocks and little more: what is left over then is moved.
void LogFile::begin_space(std::string_view left) {
  waiting_.keep(left);
  waiting_.set_size(disk_.until_block_end() + kBlock + RecordMaker::kLeastRoom);
}

void LogFile::flush() {
  disk_.append(waiting_.records());
  waiting_.clear();
}

void LogFile::begin_burst() {
  in_burst_ = true;
  ::madvise(record_space, sizeof record_space, MADV_POPULATE_WRITE);  // at once: each page's fault costs as much as its lines
}

void LogFile::end_burst() {
  flush();
  in_burst_ = false;
  if (disk_.has_reserve()) disk_.release();
  ::madvise(record_space, sizeof record_space, MADV_DONTNEED);
}

}  // namespace gantry::shim
