// Programs of the kernel's own machine (BPF) that run as a process calls connect(2), getpeername(2) or getsockname(2) on a TCP
// socket: who asks for a published port at 127.0.0.0/8 is connected to the container at once, and goes on seeing the address
// that it asked for. Pure: the instructions; connect_redirect.h runs them.
//
// As C, for one family of sockets:
//
//   connect:      if (protocol != TCP || address not in 127.0.0.0/8) return;
//                 if (the socket is bound to an address or interface || its network namespace is not `netns`) return;
//                 target = targets[address, port] or targets[0, port];  if (!target) return;
//                 connected[cookie of the socket] = {asked for: address and port, reached: target};
//                 address and port = target
//   getpeername:  known = connected[cookie];  if (known && known.reached is the answer) the answer = known.asked_for
//   getsockname:  known = connected[cookie];  if (known && known.reached is the socket's peer) the address = 127.0.0.1
#pragma once

#include <linux/bpf.h>

#include <compare>
#include <cstdint>
#include <vector>

#include "net/bpf.h"

namespace gantry::net {

// An IPv4 address and a port as bpf_sock_addr has them: in network byte order, the port in the first two bytes.
struct ConnectPlace {
  uint32_t address = 0;  // in keys also 0: every address of 127.0.0.0/8
  uint32_t port = 0;
  friend auto operator<=>(const ConnectPlace&, const ConnectPlace&) = default;
};
// Of a socket that was led elsewhere.
struct LedSocket {
  ConnectPlace asked_for;
  ConnectPlace reached;
};

struct ConnectMaps {
  int targets = -1;    // ConnectPlace → ConnectPlace
  int connected = -1;  // uint64_t, the kernel's cookie of a socket → LedSocket
};

// For sockets of IPv4, and for those of IPv6 that connect to ::ffff:127.0.0.0/104. `netns`: the cookie (SO_NETNS_COOKIE) of the
// network namespace whose processes are meant.
std::vector<BpfProgram> connect_programs(const ConnectMaps& maps, uint64_t netns);

}  // namespace gantry::net
