// Which proxy a request goes through, by the rules of HTTP_PROXY, HTTPS_PROXY and NO_PROXY as Go programs read them:
// lower case names, too; never for this machine; NO_PROXY holds "*", domains, ".domains", addresses, networks, each
// with or without a port. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"

namespace gantry::engine {

struct Proxy {
  std::string host;
  int port = 0;
  std::string user;
  std::string password;
  friend bool operator==(const Proxy&, const Proxy&) = default;
};

using EnvironmentLookup = std::function<std::string(const char* name)>;  // "" = not set

// For a URL's scheme ("http", "https"), host (an IPv6 address without brackets) and port.
// Errors: a proxy that is no http:// URL.
Result<std::optional<Proxy>> choose_proxy(const std::string& scheme, const std::string& host, int port,
                                          const EnvironmentLookup& environment);

// Whether `address` (numeric) lies in `network` ("10.0.0.0/8"); false if either is none.
bool address_in_network(const std::string& address, const std::string& network);
bool is_loopback_host(const std::string& host);

}  // namespace gantry::engine
