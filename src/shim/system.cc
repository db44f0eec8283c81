#include "shim/system.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "shim/child_memory.h"

// The standard library would bring its exception machinery (200 KiB, and initialisation at every start) for errors
// that end the process here anyway: these replace it.
namespace std {
void __throw_length_error(const char*) { abort(); }
void __throw_logic_error(const char*) { abort(); }
void __throw_out_of_range_fmt(const char*, ...) { abort(); }
void __throw_bad_alloc() { abort(); }
void __throw_bad_array_new_length() { abort(); }
}  // namespace std

void* operator new(size_t size) {
  if (gantry::shim::child_heap != nullptr) return gantry::shim::child_heap->take(size);
  void* memory = malloc(size != 0 ? size : 1);
  if (memory == nullptr) abort();
  return memory;
}
void operator delete(void* memory) noexcept {
  if (gantry::shim::child_heap == nullptr) free(memory);
}
void operator delete(void* memory, size_t) noexcept { operator delete(memory); }

namespace gantry::shim {

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

int64_t wall_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

int64_t mono_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

std::string text_of(int64_t number) {
  char digits[24];
  return std::string(digits, static_cast<size_t>(snprintf(digits, sizeof digits, "%lld",
                                                          static_cast<long long>(number))));
}

std::string errno_text(int errno_value) {
  const char* description = ::strerrordesc_np(errno_value);  // strerror() would ask for translations
  std::string text = description != nullptr ? description : "error " + text_of(errno_value);
  if (text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a') text[0] += 'a' - 'A';
  return text;
}

bool read_whole(int fd, std::string& out, size_t limit) {
  char buffer[4096];
  for (;;) {
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    if (n == 0) return true;
    if (out.size() + static_cast<size_t>(n) > limit) {
      errno = EFBIG;
      return false;
    }
    out.append(buffer, static_cast<size_t>(n));
  }
}

bool read_file(const std::string& path, std::string& out, size_t limit) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd && read_whole(fd.get(), out, limit);
}

size_t write_as_possible(int fd, std::string_view first, std::string_view second) {
  const size_t size = first.size() + second.size();
  size_t written = 0;
  while (written < size) {
    const std::string_view head = first.substr(std::min(written, first.size()));
    const std::string_view tail = second.substr(written - (first.size() - head.size()));
    const iovec parts[] = {{const_cast<char*>(head.data()), head.size()}, {const_cast<char*>(tail.data()), tail.size()}};
    const ssize_t n = ::writev(fd, parts, 2);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    written += static_cast<size_t>(n);
  }
  return written;
}

bool write_whole(int fd, std::string_view data) { return write_as_possible(fd, data) == data.size(); }

bool write_file(const std::string& path, std::string_view data, int flags) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | flags, 0600));
  if (!fd) return false;
  // Kernel files take a value in one write, and an empty one too.
  ssize_t n = ::write(fd.get(), data.data(), data.size());
  return n >= 0 && static_cast<size_t>(n) == data.size();
}

bool send_packet(int fd, std::string_view bytes, const int* fds, size_t fd_count) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd_count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
    memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
  }
  for (;;) {
    if (::sendmsg(fd, &message, MSG_NOSIGNAL) >= 0) return true;
    if (errno != EINTR) return false;
  }
}

Received receive_packet(int fd, Packet& packet) {
  static char bytes[kMaxPacket];  // of one thread; of its pages only those are made that a packet reaches
  packet.bytes.clear();
  packet.fds.clear();
  iovec part{bytes, sizeof bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  // A peer that ended with something of ours unread shows as ECONNRESET, once, before its own last words.
  ssize_t n;
  bool was_reset = false;
  for (;;) {
    n = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (n >= 0 || (errno != EINTR && (errno != ECONNRESET || was_reset))) break;
    was_reset = was_reset || errno == ECONNRESET;
  }
  if (n < 0) return errno == EAGAIN ? Received::nothing : Received::end;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int received;
      memcpy(&received, CMSG_DATA(header) + i * sizeof(int), sizeof received);
      packet.fds.emplace_back(received);
    }
  }
  if (n == 0) return Received::end;
  packet.bytes.assign(bytes, static_cast<size_t>(n));
  return Received::packet;
}

// ---- In a child ----

namespace {
thread_local int channel = -1;

std::string failure(ChildMessage type, int exit_code, const std::string& message) {
  Writer writer;
  writer(type, Failed{.exit_code = exit_code, .message = message.substr(0, kMaxPacket / 2)});
  return writer.take();
}
}  // namespace

void set_child_channel(int fd) { channel = fd; }
int child_channel() { return channel; }

void fail(int exit_code, const std::string& message) {
  send_packet(channel, failure(ChildMessage::failed, exit_code, message));
  _exit(exit_code);
}

void fail_errno(const std::string& what) {
  int error = errno;
  fail(128, what + ": " + errno_text(error));
}

void warn(const std::string& message) { send_packet(channel, failure(ChildMessage::warning, 0, message)); }

}  // namespace gantry::shim
