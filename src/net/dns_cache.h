// Upstream answers kept for as long as they say, so that a name that many containers ask for is asked once. Denials are
// kept as RFC 2308 wants: only with an SOA record, for the shorter of its two times. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/dns_message.h"

namespace gantry::net {

class DnsCache {
 public:
  struct Options {
    size_t most_answers = 4096;  // above, the one that was used longest ago makes room
    size_t largest_answer = 4096;
    std::chrono::seconds longest{3600};
    std::chrono::seconds longest_denial{60};  // a name that a deployment just made must not stay away for hours
  };
  DnsCache() : DnsCache(Options{}) {}
  explicit DnsCache(Options options) : options_(options) {}

  // Answers hold for everybody with the same `scope` (who is asked, and from where) who asks the same: flags and EDNS
  // options count, the id and letter case don't.
  static std::string key(const std::string& scope, DnsBytes packet, const DnsQuery& query);

  // The answer to `query` with its id, its letter case, and the time that is left.
  std::optional<std::vector<uint8_t>> find(const std::string& key, const DnsQuery& query, MonoTime now);
  // Keeps it if it may be kept.
  void keep(const std::string& key, const DnsQuery& query, std::vector<uint8_t> answer, MonoTime now);
  void clear();
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::vector<uint8_t> answer;
    std::vector<size_t> times;  // where its records' times to live are
    MonoTime since{};
    MonoTime until{};
    std::list<std::string>::iterator place;
  };
  void erase(std::map<std::string, Entry>::iterator at);

  const Options options_;
  std::map<std::string, Entry> entries_;
  std::list<std::string> by_use_;  // the longest ago first
};

// What a whole answer says about how long it may be kept; nothing if it may not: truncated, an error other than
// NXDOMAIN, a denial without SOA, broken.
struct DnsLifetime {
  uint32_t seconds = 0;
  bool denies = false;
  std::vector<size_t> times;
};
std::optional<DnsLifetime> lifetime_of(DnsBytes answer);

}  // namespace gantry::net
