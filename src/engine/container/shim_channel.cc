#include "engine/container/shim_channel.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/rights.h"

namespace gantry::engine {
Result<> send_to_shim(int channel, const std::string& packet, const std::vector<int>& fds) {
  if (packet.size() > shim::kMaxPacket) return invalid("a message to the container's shim is too large");
  iovec part{const_cast<char*>(packet.data()), packet.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  DescriptorRoom<shim::kMaxDescriptors> room;
  room.send(message, fds);
  for (;;) {
    if (::sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return {};
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Error(Code::unavailable, "the container's shim does not answer");
    return Error(Code::unavailable, "the container's shim is gone");
  }
}

Result<std::optional<ShimPacket>> receive_from_shim(int channel) {
  std::array<char, shim::kMaxPacket> bytes;  // of its pages only those are written that a packet reaches
  iovec part{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  DescriptorRoom<shim::kMaxDescriptors> room;
  room.receive(message);
  // A peer that closed with something of ours unread shows ECONNRESET, once, before what it had sent itself.
  ssize_t n = 0;
  bool was_reset = false;
  do {
    n = ::recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !std::exchange(was_reset, true))));
  if (n < 0 && errno != ECONNRESET) return Error::from_errno(errno, "receive from the container's shim");
  if (n <= 0) return std::optional<ShimPacket>();
  ShimPacket packet;
  packet.fds = take_descriptors(message);
  // The kernel drops descriptors that this process has no room for.
  if ((message.msg_flags & MSG_CTRUNC) != 0) return Error::from_errno(EMFILE, "receive from the container's shim");
  std::string_view body;
  packet.type = shim::split_packet(std::string_view(bytes.data(), static_cast<size_t>(n)), body);
  packet.body = std::string(body);
  return std::optional<ShimPacket>(std::move(packet));
}

Result<> wait_for_shim(int channel, std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd wait{channel, POLLIN, 0};
    const int ready = ::poll(&wait, 1, left.count() > 0 ? static_cast<int>(left.count()) : 0);
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return Error::from_errno(errno, "poll the container's shim");
    if (left.count() <= 0) return Error(Code::unavailable, "the container's shim does not answer");
  }
}

Result<Fd> make_blob(std::string_view content) {
  Fd blob(::memfd_create("gantry-launch", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!blob) return Error::from_errno(errno, "memfd_create");
  TRY(write_all(blob.get(), content));
  ::fcntl(blob.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  return blob;
}

Result<NetnsSockets> take_sockets(std::vector<Fd>& fds) {
  NetnsSockets sockets;
  if (fds.empty()) return sockets;
  if (fds.size() != 4 && fds.size() != 5) return internal_error("the container's shim sent a wrong number of network sockets");
  sockets.netns = std::move(fds.back());
  fds.pop_back();
  sockets.dns_tcp = std::move(fds.back());
  fds.pop_back();
  sockets.dns_udp = std::move(fds.back());
  fds.pop_back();
  sockets.route = std::move(fds.front());
  if (fds.size() > 1) sockets.netfilter = std::move(fds.back());
  return sockets;
}

ExitReport to_report(const shim::Exit& exit) {
  return {.exit_code = exit.code, .finished_at = wall_time(exit.at_ns), .oom_killed = exit.oom_killed != 0};
}

WallTime wall_time(int64_t ns) { return WallTime(std::chrono::nanoseconds(ns)); }

}  // namespace gantry::engine
