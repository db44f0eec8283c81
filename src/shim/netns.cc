#include "shim/netns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>

#include "shim/system.h"

namespace gantry::shim {
namespace {

constexpr int kLoopbackIndex = 1;  // it is the first interface of every namespace

// 127.0.0.11 can be bound only while lo is up.
void bring_loopback_up(int route) {
  struct {
    nlmsghdr header;
    ifinfomsg link;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_NEWLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  request.link.ifi_index = kLoopbackIndex;
  request.link.ifi_flags = IFF_UP;
  request.link.ifi_change = IFF_UP;
  check(::send(route, &request, sizeof request, 0) == sizeof request, "bring up the loopback interface");
  alignas(nlmsghdr) char buffer[1024];
  ssize_t n = ::recv(route, buffer, sizeof buffer, 0);
  auto* header = reinterpret_cast<nlmsghdr*>(buffer);
  if (n < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr))) || header->nlmsg_type != NLMSG_ERROR) {
    fail(128, "bring up the loopback interface: no answer from the kernel");
  }
  errno = -static_cast<nlmsgerr*>(NLMSG_DATA(header))->error;
  check(errno == 0, "bring up the loopback interface");
}

constexpr uint16_t kDnsPort = 53;

Fd dns_socket(int type, uint16_t port) {
  Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  check(static_cast<bool>(fd), "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(0x7f00000b);
  check(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind 127.0.0.11");
  if (type == SOCK_STREAM) check(::listen(fd.get(), 128) == 0, "listen 127.0.0.11");
  return fd;
}

}  // namespace

void open_network_sockets(bool no_netfilter) {
  Fd route(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  check(static_cast<bool>(route), "socket NETLINK_ROUTE");
  bring_loopback_up(route.get());
  Fd netfilter;
  if (!no_netfilter) {
    netfilter = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
    check(static_cast<bool>(netfilter), "socket NETLINK_NETFILTER");
  }
  const uint16_t port = no_netfilter ? kDnsPort : 0;
  Fd udp = dns_socket(SOCK_DGRAM, port);
  Fd tcp = dns_socket(SOCK_STREAM, port);
  Fd netns(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  check(static_cast<bool>(netns), "open /proc/self/ns/net");
  const int with[] = {route.get(), netfilter.get(), udp.get(), tcp.get(), netns.get()};
  const int without[] = {route.get(), udp.get(), tcp.get(), netns.get()};
  Writer writer;
  writer(ChildMessage::sockets);
  const bool sent = no_netfilter ? send_packet(child_channel(), writer.take(), without, std::size(without))
                                 : send_packet(child_channel(), writer.take(), with, std::size(with));
  check(sent, "hand over the network sockets");
}

}  // namespace gantry::shim
