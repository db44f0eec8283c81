#include "engine/container/network_files.h"

#include <algorithm>

#include "base/strings.h"

namespace gantry::engine {
namespace {

constexpr const char* kNameService = "127.0.0.11";
constexpr size_t kMostServers = 3;  // MAXNS of resolv.h

std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> result;
  size_t at = 0;
  while (at < line.size()) {
    const size_t begin = line.find_first_not_of(" \t\r", at);
    if (begin == std::string_view::npos) break;
    const size_t end = std::min(line.find_first_of(" \t\r", begin), line.size());
    result.emplace_back(line.substr(begin, end - begin));
    at = end;
  }
  return result;
}

std::vector<net::IpAddress> parse_servers(const std::vector<std::string>& texts) {
  std::vector<net::IpAddress> servers;
  for (const std::string& text : texts) {
    if (auto address = net::IpAddress::parse(text); address.ok()) servers.push_back(*address);
  }
  return servers;
}

std::vector<std::string> effective_search(const ResolverConfig& host, const ResolverOverrides& own) {
  if (own.search.empty()) return host.search;
  if (own.search.size() == 1 && own.search[0] == ".") return {};
  return own.search;
}

std::string render(const std::vector<std::string>& servers, const std::vector<std::string>& search,
                   const std::vector<std::string>& options) {
  std::string text;
  for (const std::string& server : servers) text += "nameserver " + server + "\n";
  if (!search.empty()) text += "search " + join(search, " ") + "\n";
  if (!options.empty()) text += "options " + join(options, " ") + "\n";
  return text;
}

std::vector<std::string> to_texts(const std::vector<net::IpAddress>& addresses) {
  std::vector<std::string> texts;
  for (const net::IpAddress& address : addresses) texts.push_back(address.to_string());
  return texts;
}

std::vector<net::IpAddress> upstreams_of(const ResolverConfig& host, const ResolverOverrides& own) {
  std::vector<net::IpAddress> servers = own.servers.empty() ? host.nameservers : parse_servers(own.servers);
  // Our own address would be a circle (a host's file copied from a container).
  std::erase_if(servers, [](const net::IpAddress& server) { return server.to_string() == kNameService; });
  if (servers.size() > kMostServers) servers.resize(kMostServers);
  return servers;
}

}  // namespace

bool is_loopback(const net::IpAddress& address) {
  if (address.is_v4()) return address.to_v4() >> 24 == 127;
  return address.to_string() == "::1";
}

ResolverConfig parse_resolv_conf(std::string_view text) {
  ResolverConfig config;
  for (const std::string& line : split(text, '\n')) {
    const std::vector<std::string> parts = words(line);
    if (parts.size() < 2 || parts[0][0] == '#' || parts[0][0] == ';') continue;
    if (parts[0] == "nameserver") {
      const std::string address = parts[1].substr(0, parts[1].find('%'));  // zones mean nothing elsewhere
      if (auto server = net::IpAddress::parse(address); server.ok()) config.nameservers.push_back(*server);
    } else if (parts[0] == "search" || parts[0] == "domain") {
      config.search.assign(parts.begin() + 1, parts.end());
    } else if (parts[0] == "options") {
      config.options.insert(config.options.end(), parts.begin() + 1, parts.end());
    }
  }
  return config;
}

ResolverPlan resolver_on_user_network(const ResolverConfig& host, const ResolverOverrides& own) {
  std::vector<std::string> options = own.options.empty() ? host.options : own.options;
  const bool has_ndots = std::any_of(options.begin(), options.end(),
                                     [](const std::string& option) { return option.starts_with("ndots:"); });
  if (!has_ndots) options.emplace_back("ndots:0");  // so that single names come to us first
  return {.resolv_conf = render({kNameService}, effective_search(host, own), options),
          .upstreams = upstreams_of(host, own)};
}

ResolverPlan resolver_on_default_bridge(const ResolverConfig& host, const ResolverOverrides& own) {
  std::vector<std::string> servers = own.servers;
  if (servers.empty()) {
    std::vector<net::IpAddress> reachable = host.nameservers;
    std::erase_if(reachable, is_loopback);
    servers = to_texts(reachable);
  }
  if (servers.empty()) servers = {kNameService};
  return {.resolv_conf = render(servers, effective_search(host, own), own.options.empty() ? host.options : own.options),
          .upstreams = upstreams_of(host, own)};
}

ResolverPlan resolver_on_host(const ResolverConfig& host, const ResolverOverrides& own) {
  const std::vector<std::string> servers = own.servers.empty() ? to_texts(host.nameservers) : own.servers;
  return {.resolv_conf = render(servers, effective_search(host, own), own.options.empty() ? host.options : own.options),
          .upstreams = {}};
}

std::string hosts_file(const std::vector<HostsEntry>& entries, bool ipv6) {
  std::string text = "127.0.0.1\tlocalhost\n";
  if (ipv6) {
    text +=
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "fe00::\tip6-localnet\n"
        "ff00::\tip6-mcastprefix\n"
        "ff02::1\tip6-allnodes\n"
        "ff02::2\tip6-allrouters\n";
  }
  for (const HostsEntry& entry : entries) text += entry.address + "\t" + join(entry.names, " ") + "\n";
  return text;
}

}  // namespace gantry::engine
