// The shim's ground: descriptors, files, packets, and failures of the child.
//
// Two kinds of process share this code. The supervisor outlives everything and handles its errors. A child (the
// future program, before exec) has one way out on an error: fail() reports to the supervisor and ends it.
#pragma once

#include <csignal>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shim/protocol.h"

namespace gantry::shim {

// Owns a descriptor; -1 is none.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// What the supervisor ignores, and its children until their program runs. The daemon ignores no others.
inline constexpr int kIgnoredSignals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2};

int64_t wall_ns();  // since 1970
int64_t mono_ms();

std::string text_of(int64_t number);
std::string errno_text(int errno_value);  // "no such file or directory": lower case, as users know it from Docker

// False with errno set.
bool read_whole(int fd, std::string& out, size_t limit);
bool read_file(const std::string& path, std::string& out, size_t limit);
bool write_file(const std::string& path, std::string_view data, int flags = 0);
bool write_whole(int fd, std::string_view data);
// One after the other. → how much: less than all when the disk is full or failed
size_t write_as_possible(int fd, std::string_view first, std::string_view second = {});

// One packet with descriptors. send: false with errno set, never blocks if the descriptor does not.
bool send_packet(int fd, std::string_view bytes, const int* fds = nullptr, size_t fd_count = 0);
struct Packet {
  std::string bytes;
  std::vector<Fd> fds;
};
enum class Received { packet, nothing, end };
Received receive_packet(int fd, Packet& packet);

// ---- In a child ----

// What a child tells its supervisor. The descriptor is close-on-exec: its end without a word means "running".
enum class ChildMessage : uint32_t {
  sockets = 1,  // fds as of MessageType::ready
  terminal,     // fd: the pty's master
  root,         // fd: the root filesystem, as the container sees it
  warning,      // Failed
  prepared,     // waits for one byte now
  failed,       // Failed
};

void set_child_channel(int fd);
int child_channel();
[[noreturn]] void fail(int exit_code, const std::string& message);
[[noreturn]] void fail_errno(const std::string& what);  // "what: errno text", 128; reads errno first
inline void check(bool ok, const char* call) {
  if (!ok) fail_errno(call);
}
inline void check(bool ok, const char* call, const std::string& object) {
  if (!ok) fail_errno(std::string(call) + " " + object);
}
void warn(const std::string& message);

}  // namespace gantry::shim
