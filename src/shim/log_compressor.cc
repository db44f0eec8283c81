#include "shim/log_compressor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <new>

namespace gantry::shim {
namespace {

constexpr int kLevel = 3;
constexpr int kGzipWindow = 15 + 16;

}  // namespace

std::unique_ptr<LogCompressor> LogCompressor::begin(const std::string& from, const std::string& to, uint32_t number) {
  std::unique_ptr<LogCompressor> work(new (std::nothrow) LogCompressor);
  if (!work) return nullptr;
  work->number_ = number;
  work->output_ = to;
  work->in_.reset(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  ::unlink(to.c_str());
  work->out_.reset(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640));
  work->ready_ = work->in_ && work->out_ &&
                 ::deflateInit2(&work->stream_, kLevel, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) == Z_OK;
  if (!work->ready_) work.reset();
  return work;
}

LogCompressor::~LogCompressor() {
  if (ready_) ::deflateEnd(&stream_);
  if (!kept_) ::unlink(output_.c_str());
}

LogCompressor::State LogCompressor::step() {
  ssize_t n = ::read(in_.get(), input_, sizeof input_);
  if (n < 0) return errno == EINTR ? State::working : State::failed;
  stream_.next_in = reinterpret_cast<Bytef*>(input_);
  stream_.avail_in = static_cast<uInt>(n);
  int code = Z_OK;
  do {
    stream_.next_out = reinterpret_cast<Bytef*>(packed_);
    stream_.avail_out = sizeof packed_;
    code = ::deflate(&stream_, n == 0 ? Z_FINISH : Z_NO_FLUSH);
    if (code == Z_STREAM_ERROR) return State::failed;
    if (!write_whole(out_.get(), std::string_view(packed_, sizeof packed_ - stream_.avail_out))) return State::failed;
  } while (stream_.avail_out == 0);
  if (code != Z_STREAM_END) return State::working;
  // A reader knows by it which file this one was.
  struct stat status {};
  if (::fstat(in_.get(), &status) != 0) return State::failed;
  const timespec times[2] = {status.st_mtim, status.st_mtim};
  return ::futimens(out_.get(), times) == 0 ? State::finished : State::failed;
}

}  // namespace gantry::shim
