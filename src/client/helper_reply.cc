#include "client/helper_reply.h"

#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <vector>

#include "base/rights.h"

namespace gantry::client {
namespace {

// The first byte of a message: kDone, or the error's code after kFailed. Its text follows.
constexpr unsigned char kDone = 0;
constexpr unsigned char kFailed = 1;
constexpr size_t kMaxMessage = 32 << 10;

std::string encoded(const Result<Fd>& outcome) {
  if (outcome.ok()) return std::string(1, static_cast<char>(kDone));
  const auto code = static_cast<unsigned char>(kFailed + static_cast<unsigned char>(outcome.error().code()));
  return (static_cast<char>(code) + outcome.error().message()).substr(0, kMaxMessage);
}

}  // namespace

Result<> send_reply(int channel, const Result<Fd>& outcome) {
  std::string text = encoded(outcome);
  iovec piece{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  DescriptorRoom<1> room;
  if (outcome.ok() && *outcome) room.send(message, std::vector<int>{outcome->get()});
  while (::sendmsg(channel, &message, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return Error::from_errno(errno, "sendmsg", "the client");
  }
  return {};
}

Result<Fd> receive_reply(int channel) {
  std::string text(kMaxMessage, '\0');
  iovec piece{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  DescriptorRoom<1> room;
  room.receive(message);
  ssize_t size = 0;
  while ((size = ::recvmsg(channel, &message, MSG_CMSG_CLOEXEC)) < 0) {
    if (errno != EINTR) return Error::from_errno(errno, "recvmsg", "gantry-tls");
  }
  std::vector<Fd> descriptors = take_descriptors(message);
  if (size == 0) return internal_error("gantry-tls ended without an answer");
  const auto first = static_cast<unsigned char>(text[0]);
  if (first != kDone) return Error(static_cast<Code>(first - kFailed), text.substr(1, static_cast<size_t>(size) - 1));
  return descriptors.empty() ? Fd() : std::move(descriptors.front());
}

}  // namespace gantry::client
