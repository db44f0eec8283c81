#include "cli/publish.h"

#include <arpa/inet.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "base/strings.h"
#include "cli/mount_options.h"

namespace gantry::cli {
namespace {

using OrderedJson = nlohmann::ordered_json;

struct Range {
  unsigned first = 0;
  unsigned last = 0;
  unsigned size() const { return last - first + 1; }
};

bool is_address(const std::string& text) {
  in6_addr ignored{};
  const std::string without_zone = text.substr(0, text.find('%'));
  return ::inet_pton(AF_INET, text.c_str(), &ignored) == 1 || ::inet_pton(AF_INET6, without_zone.c_str(), &ignored) == 1;
}

std::optional<Range> parse_range(std::string_view text, unsigned least) {
  const size_t dash = text.find('-');
  const auto first = parse_unsigned(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_unsigned(text.substr(dash + 1));
  if (!first || !last || *first < least || *last > 65535 || *last < *first) return std::nullopt;
  return Range{static_cast<unsigned>(*first), static_cast<unsigned>(*last)};
}

Result<std::string> protocol_of(const std::string& text, const std::string& given) {
  const std::string protocol = to_lower(text);
  if (protocol == "tcp" || protocol == "udp" || protocol == "sctp") return protocol;
  return invalid("invalid port specification " + gantry::quoted(given) + ": unknown protocol " + gantry::quoted(text));
}

Result<std::vector<PublishedPort>> mapped(const std::string& given, const std::string& ip, const std::string& host,
                                          const std::string& container, const std::string& protocol) {
  const auto inner = parse_range(container, 1);
  if (!inner) return invalid("invalid containerPort: " + container + " in " + gantry::quoted(given));
  std::vector<PublishedPort> ports;
  if (host.empty()) {
    for (unsigned port = inner->first; port <= inner->last; ++port) {
      ports.push_back({.port = std::to_string(port) + "/" + protocol, .host_ip = ip, .host_port = ""});
    }
    return ports;
  }
  const auto outer = parse_range(host, 0);
  if (!outer) return invalid("invalid hostPort: " + host + " in " + gantry::quoted(given));
  if (outer->size() != inner->size() && inner->size() != 1) {
    return invalid("invalid ranges specified for container and host Ports: " + container + " and " + host);
  }
  for (unsigned i = 0; i < inner->size(); ++i) {
    const std::string published = inner->size() == 1 ? host : std::to_string(outer->first + i);
    ports.push_back({.port = std::to_string(inner->first + i) + "/" + protocol, .host_ip = ip, .host_port = published});
  }
  return ports;
}

Result<std::vector<PublishedPort>> long_form(const std::string& text) {
  std::string target, published, protocol = "tcp";
  for (const std::string& field : csv_fields(text)) {
    const size_t equals = field.find('=');
    if (equals == std::string::npos) return invalid("invalid field: " + field);
    const std::string key = field.substr(0, equals), value = field.substr(equals + 1);
    if (key == "target") target = value;
    else if (key == "published") published = value;
    else if (key == "protocol") protocol = TRY(protocol_of(value, text));
    else if (key != "mode") return invalid("invalid field key: " + key);
    else if (value != "host" && value != "ingress") return invalid("invalid publish mode value (" + value + "): must be either \"ingress\" or \"host\"");
  }
  if (target.empty()) return invalid("missing mandatory field \"target\"");
  return mapped(text, "", published, target, protocol);
}

}  // namespace

Result<std::vector<PublishedPort>> published_ports(const std::string& text) {
  if (text.find('=') != std::string::npos) return long_form(text);
  std::string rest = text;
  std::string protocol = "tcp";
  if (const size_t slash = rest.rfind('/'); slash != std::string::npos) {
    protocol = TRY(protocol_of(rest.substr(slash + 1), text));
    rest.resize(slash);
  }
  const auto take_last = [&rest](bool& had) {
    const size_t colon = rest.rfind(':');
    std::string last = colon == std::string::npos ? rest : rest.substr(colon + 1);
    had = colon != std::string::npos;
    rest = had ? rest.substr(0, colon) : "";
    return last;
  };
  bool more = false;
  const std::string container = take_last(more);
  if (container.empty()) return invalid("no port specified: " + text + "<empty>");
  if (!more) return mapped(text, "", "", container, protocol);
  // What is left is HOST, IP:HOST, IP: or [IPv6]:HOST.
  const std::string host = take_last(more);
  std::string ip = rest;
  if (ip.starts_with('[') && ip.ends_with(']')) ip = ip.substr(1, ip.size() - 2);
  if (!more && rest.empty()) ip.clear();
  if (more && !ip.empty() && !is_address(ip)) return invalid("invalid IP address: " + ip);
  return mapped(text, ip, host, container, protocol);
}

Result<std::vector<std::string>> exposed_ports(const std::string& text) {
  const size_t slash = text.find('/');
  const std::string protocol = slash == std::string::npos ? "tcp" : TRY(protocol_of(text.substr(slash + 1), text));
  if (text.find(':') != std::string::npos) return invalid("invalid port format for --expose: " + text);
  const auto range = parse_range(std::string_view(text).substr(0, slash), 1);
  if (!range) return invalid("invalid range format for --expose: " + text);
  std::vector<std::string> ports;
  for (unsigned port = range->first; port <= range->last; ++port) ports.push_back(std::to_string(port) + "/" + protocol);
  return ports;
}

Result<std::string> network_choice(const std::string& text, OrderedJson& endpoint) {
  if (text.find('=') == std::string::npos) return text;
  std::string name;
  for (const std::string& field : csv_fields(text)) {
    const size_t equals = field.find('=');
    if (equals == std::string::npos) return invalid("invalid field " + field);
    const std::string key = to_lower(field.substr(0, equals)), value = field.substr(equals + 1);
    if (key == "name") name = value;
    else if (key == "alias") endpoint["Aliases"].push_back(value);
    else if (key == "ip") endpoint["IPAMConfig"]["IPv4Address"] = value;
    else if (key == "ip6") endpoint["IPAMConfig"]["IPv6Address"] = value;
    else if (key == "mac-address") endpoint["MacAddress"] = value;
    else if (key == "link-local-ip") endpoint["IPAMConfig"]["LinkLocalIPs"].push_back(value);
    else if (key == "gw-priority") {
      const auto number = parse_unsigned(value.starts_with('-') ? value.substr(1) : value);
      if (!number || *number > 1'000'000'000) return invalid("invalid gw-priority: " + value);
      endpoint["GwPriority"] = (value.starts_with('-') ? -1 : 1) * static_cast<int64_t>(*number);
    } else if (key == "driver-opt") {
      const size_t split_at = value.find('=');
      if (split_at == std::string::npos) return invalid("invalid key value pair format in driver options: " + value);
      endpoint["DriverOpts"][value.substr(0, split_at)] = value.substr(split_at + 1);
    } else {
      return invalid("invalid field key " + key);
    }
  }
  if (name.empty()) return invalid("network name is missing in " + gantry::quoted(text));
  return name;
}

}  // namespace gantry::cli
