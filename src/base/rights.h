// Descriptors that go with a message over a unix socket (SCM_RIGHTS, unix(7)).
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <span>
#include <vector>

#include "base/fd.h"

namespace gantry {

// DescriptorRoom::send for a room of any size.
void attach_descriptors(msghdr& message, void* room, size_t size, std::span<const int> fds);

// Room for them beside a message; lives until sendmsg or recvmsg has returned.
template <size_t Most>
class DescriptorRoom {
 public:
  // The message sends these, at most `Most`. The receiver gets copies.
  void send(msghdr& message, std::span<const int> fds) { attach_descriptors(message, bytes_, sizeof bytes_, fds); }
  // The message may bring up to `Most`: take_descriptors() after recvmsg.
  void receive(msghdr& message) {
    message.msg_control = bytes_;
    message.msg_controllen = sizeof bytes_;
  }

 private:
  alignas(cmsghdr) char bytes_[CMSG_SPACE(Most * sizeof(int))] = {};
};

// All that came with a received message. MSG_CTRUNC among its flags: there were more, which the kernel dropped.
std::vector<Fd> take_descriptors(msghdr& message);

}  // namespace gantry
