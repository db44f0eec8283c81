#include "engine/image/http_proxy.h"

#include <arpa/inet.h>

#include <array>
#include <cstring>

#include "base/strings.h"

namespace gantry::engine {
namespace {

struct Address {
  size_t size = 0;  // bytes; 0: none
  std::array<unsigned char, 16> bytes{};
};

Address parse_address(const std::string& text) {
  Address address;
  if (inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) {
    address.size = 4;
  } else if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) {
    address.size = 16;
  }
  return address;
}

// "host:port" → its parts; an IPv6 address may stand in brackets.
std::pair<std::string, std::string> split_port(const std::string& text) {
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string::npos) return {text, ""};
    const std::string rest = text.substr(end + 1);
    return {text.substr(1, end - 1), rest.starts_with(':') ? rest.substr(1) : ""};
  }
  const size_t colon = text.find(':');
  if (colon == std::string::npos || text.find(':', colon + 1) != std::string::npos) return {text, ""};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

bool excluded(const std::string& entry, const std::string& host, int port) {
  if (entry == "*") return true;
  if (entry.find('/') != std::string::npos) return address_in_network(host, entry);
  const auto [name, wanted_port] = split_port(entry);
  if (!wanted_port.empty() && wanted_port != std::to_string(port)) return false;
  std::string domain = to_lower(name);
  if (domain.starts_with("*.")) domain.erase(0, 1);
  if (domain.starts_with('.')) return host.ends_with(domain);
  return !domain.empty() && (host == domain || host.ends_with("." + domain));
}

std::string percent_decoded(const std::string& text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size() && sscanf(text.substr(i + 1, 2).c_str(), "%2x", &value) == 1) {
      decoded += static_cast<char>(value);
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

}  // namespace

bool address_in_network(const std::string& address, const std::string& network) {
  const size_t slash = network.find('/');
  if (slash == std::string::npos) return false;
  const Address a = parse_address(address);
  const Address b = parse_address(network.substr(0, slash));
  const std::optional<uint64_t> bits = parse_unsigned(std::string_view(network).substr(slash + 1));
  if (a.size == 0 || a.size != b.size || !bits.has_value() || *bits > a.size * 8) return false;
  const size_t whole = *bits / 8;
  if (memcmp(a.bytes.data(), b.bytes.data(), whole) != 0) return false;
  const unsigned rest = static_cast<unsigned>(*bits % 8);
  return rest == 0 || (a.bytes[whole] >> (8 - rest)) == (b.bytes[whole] >> (8 - rest));
}

bool is_loopback_host(const std::string& host) {
  return host == "localhost" || host.ends_with(".localhost") || address_in_network(host, "127.0.0.0/8") ||
         host == "::1";
}

Result<std::optional<Proxy>> choose_proxy(const std::string& scheme, const std::string& host, int port,
                                          const EnvironmentLookup& environment) {
  const auto variable = [&](const char* upper, const char* lower) {
    const std::string value = environment(upper);
    return value.empty() ? environment(lower) : value;
  };
  const std::string text =
      scheme == "https" ? variable("HTTPS_PROXY", "https_proxy") : variable("HTTP_PROXY", "http_proxy");
  const std::string name = to_lower(host);
  if (text.empty() || is_loopback_host(name)) return std::optional<Proxy>();
  for (const std::string& entry : split(variable("NO_PROXY", "no_proxy"), ',')) {
    if (excluded(std::string(trim(entry)), name, port)) return std::optional<Proxy>();
  }
  std::string rest = text;
  if (const size_t at = rest.find("://"); at != std::string::npos) {
    if (to_lower(rest.substr(0, at)) != "http") {
      return unsupported("proxy " + gantry::quoted(text) + ": only http:// proxies are supported");
    }
    rest.erase(0, at + 3);
  }
  rest = rest.substr(0, rest.find('/'));
  Proxy proxy;
  if (const size_t at = rest.rfind('@'); at != std::string::npos) {
    const std::string user = rest.substr(0, at);
    proxy.user = percent_decoded(user.substr(0, user.find(':')));
    if (user.find(':') != std::string::npos) proxy.password = percent_decoded(user.substr(user.find(':') + 1));
    rest.erase(0, at + 1);
  }
  const auto [proxy_host, proxy_port] = split_port(rest);
  const std::optional<uint64_t> number = proxy_port.empty() ? 80 : parse_unsigned(proxy_port);
  if (proxy_host.empty() || !number.has_value() || *number == 0 || *number > 65535) {
    return invalid("proxy " + gantry::quoted(text) + " is no URL: use http://HOST:PORT");
  }
  proxy.host = proxy_host;
  proxy.port = static_cast<int>(*number);
  return std::optional<Proxy>(std::move(proxy));
}

}  // namespace gantry::engine
