#include "net/socket_address.h"

#include <arpa/inet.h>

#include <array>
#include <cstring>

namespace gantry::net {

SocketAddress::SocketAddress(const IpAddress& address, uint16_t port) {
  if (address.is_v6()) {
    sockaddr_in6 in{.sin6_family = AF_INET6, .sin6_port = htons(port)};
    std::memcpy(&in.sin6_addr, address.bytes(), 16);
    std::memcpy(&storage, &in, sizeof in);
    size = sizeof in;
    return;
  }
  sockaddr_in in{.sin_family = AF_INET, .sin_port = htons(port)};
  std::memcpy(&in.sin_addr, address.bytes(), 4);
  std::memcpy(&storage, &in, sizeof in);
  size = sizeof in;
}

uint16_t SocketAddress::port() const {
  if (family() == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(storage).sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port);
}

IpAddress SocketAddress::address() const {
  if (family() != AF_INET6) return IpAddress::v4(ntohl(reinterpret_cast<const sockaddr_in&>(storage).sin_addr.s_addr));
  std::array<uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr, bytes.size());
  return IpAddress::v6(bytes);
}

SocketAddress local_address(int socket) {
  SocketAddress local;
  local.size = sizeof local.storage;
  if (::getsockname(socket, local.get(), &local.size) != 0) return {};
  return local;
}

}  // namespace gantry::net
