// Connections over TCP, once it is known where to. Nothing here asks a name service (client/resolve.h does), so that
// the static program `gantry` can have it. Any thread.
#pragma once

#include <sys/socket.h>

#include <optional>
#include <span>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace gantry::client {

struct SocketAddress {
  sockaddr_storage bytes{};
  socklen_t size = 0;
};

// "10.1.2.3" or "fe80::1" with a port in digits. Nothing: one of the two is a name, or an odd spelling.
std::optional<SocketAddress> numeric_address(const std::string& host, const std::string& port);

// The first of them that answers. `where` is for the message. Errors: as nobody_there(), why the last one did not.
Result<Fd> connect_tcp(std::span<const SocketAddress> candidates, const std::string& where);

// Code::unavailable: `where` is there no daemon, says the kernel.
Error nobody_there(const std::string& where, int errno_value);

}  // namespace gantry::client
