#include "shim/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

namespace gantry::shim {
namespace {

constexpr size_t kBatch = 128 << 10;
constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW;

}  // namespace

bool LogFile::open(const std::string& path, uint64_t max_size, uint32_t max_files) {
  path_ = path;
  max_size_ = max_size;
  max_files_ = max_files == 0 ? 1 : max_files;
  fd_.reset(::open(path.c_str(), kFlags, 0640));
  struct stat status {};
  if (!fd_ || ::fstat(fd_.get(), &status) != 0) return false;
  size_ = static_cast<uint64_t>(status.st_size);
  return true;
}

void LogFile::write(LineCutter& stream, std::string_view data) {
  if (!fd_) return;
  stream.feed(data, wall_ns(), [&](std::string_view text, bool newline, int64_t time) {
    add(stream.stream(), text, newline, time);
  });
  flush();
}

void LogFile::finish(LineCutter& stream) {
  if (!fd_) return;
  stream.finish([&](std::string_view text, bool newline, int64_t time) { add(stream.stream(), text, newline, time); });
  flush();
}

void LogFile::add(const char* stream, std::string_view text, bool newline, int64_t time) {
  // The file that has reached its size is left before the next line, not after its own last one.
  if (max_size_ != 0 && size_ + batch_.size() >= max_size_) {
    flush();
    rotate();
  }
  if (time != time_ns_) {
    time_.set(time);
    time_ns_ = time;
  }
  append_log_line(batch_, text, newline, stream, time_.text());
  if (batch_.size() >= kBatch) flush();
}

void LogFile::flush() {
  if (batch_.empty()) return;
  std::string_view rest = batch_;
  while (!rest.empty()) {
    ssize_t n = ::write(fd_.get(), rest.data(), rest.size());
    if (n <= 0) break;
    size_ += static_cast<uint64_t>(n);
    rest.remove_prefix(static_cast<size_t>(n));
  }
  // A line torn by a full disk would swallow the next good one.
  if (!rest.empty() && rest.size() != batch_.size() && ::ftruncate(fd_.get(), static_cast<off_t>(size_)) == 0) {
    if (::write(fd_.get(), "\n", 1) == 1) ++size_;
  }
  batch_.clear();
}

void LogFile::rotate() {
  for (uint32_t i = max_files_ - 1; i > 0; --i) {
    std::string older = path_ + "." + text_of(i);
    std::string newer = i == 1 ? path_ : path_ + "." + text_of(i - 1);
    ::rename(newer.c_str(), older.c_str());
  }
  if (max_files_ == 1) ::unlink(path_.c_str());
  Fd next(::open(path_.c_str(), kFlags, 0640));
  if (!next) return;  // goes on in the old file, which then only has another name
  fd_ = static_cast<Fd&&>(next);
  size_ = 0;
}

}  // namespace gantry::shim
