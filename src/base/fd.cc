#include "base/fd.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/fault.h"

namespace gantry {

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<Fd> Fd::duplicate() const {
  int copy = ::fcntl(fd_, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return Error::from_errno(errno, "duplicate descriptor");
  return Fd(copy);
}

Result<Pipe> make_pipe(int flags) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | flags) != 0) return Error::from_errno(errno, "pipe2");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

Result<std::pair<Fd, Fd>> make_socket_pair(int type) {
  int ends[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) return Error::from_errno(errno, "socketpair");
  return std::pair(Fd(ends[0]), Fd(ends[1]));
}

Result<Fd> open_file(const std::filesystem::path& path, int flags, mode_t mode) {
  int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return Error::from_errno(errno, "open", path.native());
  return Fd(fd);
}

Result<Fd> open_at(int directory, const std::string& name, int flags, mode_t mode) {
  int fd = ::openat(directory, name.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return Error::from_errno(errno, "openat", name);
  return Fd(fd);
}

Result<std::string> read_all(int fd, size_t limit) {
  std::string data;
  struct stat status {};
  if (::fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
    data.reserve(std::min(static_cast<size_t>(status.st_size), limit));
  }
  char buffer[16384];
  for (;;) {
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno(errno, "read");
    if (n == 0) return data;
    if (data.size() + static_cast<size_t>(n) > limit) {
      return Error(Code::exhausted, "larger than the limit of " + std::to_string(limit) + " bytes");
    }
    data.append(buffer, static_cast<size_t>(n));
  }
}

Result<std::string> read_file(const std::filesystem::path& path, size_t limit) {
  Fd fd = TRY(open_file(path, O_RDONLY));
  return read_all(fd.get(), limit).within(path.native());
}

Result<> write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno(errno, "write");
    data.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<> write_file(const std::filesystem::path& path, std::string_view data, mode_t mode) {
  Fd fd = TRY(open_file(path, O_WRONLY | O_CREAT | O_TRUNC, mode));
  return write_all(fd.get(), data).within(path.native());
}

Result<> replace_file(const std::filesystem::path& path, std::string_view data, mode_t mode, bool durable) {
  static std::atomic<unsigned> counter{0};
  std::filesystem::path temporary = path;
  temporary += ".tmp" + std::to_string(::getpid()) + "." + std::to_string(counter++);
  Result<> written = [&]() -> Result<> {
    Fd fd = TRY(open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
    TRY(write_all(fd.get(), data));
    if (durable && ::fsync(fd.get()) != 0) return Error::from_errno(errno, "fsync", temporary.native());
    fault_point("file written");
    if (::rename(temporary.c_str(), path.c_str()) != 0) return Error::from_errno(errno, "rename", path.native());
    fault_point("file replaced");
    return {};
  }();
  if (!written) ::unlink(temporary.c_str());
  return written;
}

}  // namespace gantry
