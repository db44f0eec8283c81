// The texts of a container's /etc/hosts and /etc/resolv.conf, and the host's own resolv.conf read. Pure.
// Formats: hosts(5), resolv.conf(5); lines and order as Docker's, which programs in images expect.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"

namespace gantry::engine {

struct ResolverConfig {
  std::vector<net::IpAddress> nameservers;
  std::vector<std::string> search;
  std::vector<std::string> options;
};
// Unknown and malformed lines are skipped, as the C library does.
ResolverConfig parse_resolv_conf(std::string_view text);
bool is_loopback(const net::IpAddress& address);

// What the container's spec says over the host's.
struct ResolverOverrides {
  std::vector<std::string> servers;
  std::vector<std::string> search;   // {"."}: none
  std::vector<std::string> options;
};
struct ResolverPlan {
  std::string resolv_conf;                // the file's text
  std::vector<net::IpAddress> upstreams;  // for the name service at 127.0.0.11
};
// On a user's network everybody asks 127.0.0.11.
ResolverPlan resolver_on_user_network(const ResolverConfig& host, const ResolverOverrides& own);
// On the default bridge a copy of the host's, without loopback servers; if no other is left, 127.0.0.11, which asks
// the host's from the host's side (Docker would turn to 8.8.8.8).
ResolverPlan resolver_on_default_bridge(const ResolverConfig& host, const ResolverOverrides& own);
// In the host's network: a copy, with the overrides.
ResolverPlan resolver_on_host(const ResolverConfig& host, const ResolverOverrides& own);

struct HostsEntry {
  std::string address;
  std::vector<std::string> names;
};
// localhost and the IPv6 names (without IPv6 only 127.0.0.1), then `entries` in order.
std::string hosts_file(const std::vector<HostsEntry>& entries, bool ipv6);

}  // namespace gantry::engine
