#include "client/tcp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <cstring>

#include "base/strings.h"

namespace gantry::client {

std::optional<SocketAddress> numeric_address(const std::string& host, const std::string& port) {
  const auto number = parse_unsigned(port);
  if (!number || *number > 65535) return std::nullopt;
  const in_port_t network_port = htons(static_cast<in_port_t>(*number));
  SocketAddress address;
  if (auto& v4 = reinterpret_cast<sockaddr_in&>(address.bytes); ::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = network_port;
    address.size = sizeof v4;
    return address;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address.bytes);
  if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) return std::nullopt;
  v6.sin6_family = AF_INET6;
  v6.sin6_port = network_port;
  address.size = sizeof v6;
  return address;
}

Result<Fd> connect_tcp(std::span<const SocketAddress> candidates, const std::string& where) {
  int last = ECONNREFUSED;
  for (const SocketAddress& candidate : candidates) {
    Fd socket(::socket(candidate.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (socket && ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&candidate.bytes), candidate.size) == 0) {
      const int on = 1;
      ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return socket;
    }
    last = errno;
  }
  return nobody_there(where, last);
}

Error nobody_there(const std::string& where, int errno_value) {
  return {Code::unavailable, "cannot connect to the Gantry daemon at " + where + ": " + std::strerror(errno_value)};
}

}  // namespace gantry::client
