#include "net/dns_cache.h"

#include <algorithm>

namespace gantry::net {
namespace {

constexpr size_t kHeader = 12;
constexpr uint16_t kTypeSoa = 6;
constexpr uint16_t kTypeOpt = 41;

uint16_t read16(DnsBytes packet, size_t at) { return static_cast<uint16_t>(packet[at] << 8 | packet[at + 1]); }
uint32_t read32(DnsBytes packet, size_t at) { return uint32_t{read16(packet, at)} << 16 | read16(packet, at + 2); }
void write32(std::vector<uint8_t>& packet, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) packet[at + i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

// Past a name, which is not looked at. False: it runs out of the packet.
bool skip_name(DnsBytes packet, size_t& at) {
  while (at < packet.size()) {
    const uint8_t length = packet[at];
    if ((length & 0xc0) == 0xc0) {
      at += 2;
      return at <= packet.size();
    }
    if ((length & 0xc0) != 0) return false;
    at += 1u + length;
    if (length == 0) return true;
  }
  return false;
}

struct RecordPlace {
  uint16_t type = 0;
  size_t time = 0;  // of its time to live
  size_t data = 0;
  size_t size = 0;
};
std::optional<RecordPlace> next_record(DnsBytes packet, size_t& at) {
  if (!skip_name(packet, at) || packet.size() < at + 10) return std::nullopt;
  const RecordPlace record{.type = read16(packet, at), .time = at + 4, .data = at + 10, .size = read16(packet, at + 8)};
  at = record.data + record.size;
  if (at > packet.size()) return std::nullopt;
  return record;
}

// RFC 2308, 5: the SOA's own time or its "minimum" (the last four bytes), whichever is shorter.
std::optional<uint32_t> denial_time(DnsBytes packet, const RecordPlace& soa) {
  if (soa.size < 22) return std::nullopt;
  return std::min(read32(packet, soa.time), read32(packet, soa.data + soa.size - 4));
}

uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? static_cast<uint8_t>(c - 'A' + 'a') : c; }

}  // namespace

std::optional<DnsLifetime> lifetime_of(DnsBytes answer) {
  if (answer.size() < kHeader || (answer[2] & kTruncated) != 0 || read16(answer, 4) != 1) return std::nullopt;
  const DnsCode code = dns_code_of(answer);
  if (code != DnsCode::no_error && code != DnsCode::no_such_name) return std::nullopt;
  size_t at = kHeader;
  if (!skip_name(answer, at) || answer.size() < at + 4) return std::nullopt;
  at += 4;
  const unsigned answers = read16(answer, 6);
  const unsigned authorities = read16(answer, 8);
  const unsigned all = answers + authorities + read16(answer, 10);
  DnsLifetime lifetime{.seconds = UINT32_MAX, .denies = answers == 0 || code == DnsCode::no_such_name, .times = {}};
  bool has_soa = false;
  for (unsigned i = 0; i < all; ++i) {
    const auto record = next_record(answer, at);
    if (!record) return std::nullopt;
    if (record->type == kTypeOpt) continue;  // its field of that name holds flags
    lifetime.times.push_back(record->time);
    lifetime.seconds = std::min(lifetime.seconds, read32(answer, record->time));
    if (lifetime.denies && record->type == kTypeSoa && i >= answers && i < answers + authorities) {
      const auto time = denial_time(answer, *record);
      if (!time) return std::nullopt;
      lifetime.seconds = std::min(lifetime.seconds, *time);
      has_soa = true;
    }
  }
  if (lifetime.denies && !has_soa) return std::nullopt;
  if (lifetime.seconds == 0 || (lifetime.seconds >> 31) != 0) return std::nullopt;  // RFC 2181, 8
  return lifetime;
}

std::string DnsCache::key(const std::string& scope, DnsBytes packet, const DnsQuery& query) {
  std::string key = scope + '\n';
  for (size_t i = 2; i < packet.size(); ++i) {
    const bool in_question = i >= kHeader && i < kHeader + query.question.size();
    key += static_cast<char>(in_question ? lower(packet[i]) : packet[i]);
  }
  return key;
}

std::optional<std::vector<uint8_t>> DnsCache::find(const std::string& key, const DnsQuery& query, MonoTime now) {
  auto at = entries_.find(key);
  if (at == entries_.end()) return std::nullopt;
  Entry& entry = at->second;
  if (now >= entry.until) {
    erase(at);
    return std::nullopt;
  }
  by_use_.splice(by_use_.end(), by_use_, entry.place);
  std::vector<uint8_t> answer = entry.answer;
  set_dns_id(answer, query.id);
  std::copy(query.question.begin(), query.question.end(), answer.begin() + kHeader);
  const auto age =
      static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(now - entry.since).count());
  for (size_t time : entry.times) {
    const uint32_t left = read32(answer, time);
    write32(answer, time, left - std::min(left, age));
  }
  return answer;
}

void DnsCache::keep(const std::string& key, const DnsQuery& query, std::vector<uint8_t> answer, MonoTime now) {
  const auto lifetime = lifetime_of(answer);
  if (!lifetime || answer.size() > options_.largest_answer) return;
  if (answer.size() < kHeader + query.question.size()) return;
  if (auto old = entries_.find(key); old != entries_.end()) erase(old);
  if (entries_.size() >= options_.most_answers) erase(entries_.find(by_use_.front()));
  const auto time = std::min(std::chrono::seconds(lifetime->seconds),
                             lifetime->denies ? options_.longest_denial : options_.longest);
  Entry entry{.answer = std::move(answer), .times = lifetime->times, .since = now, .until = now + time, .place = {}};
  entry.place = by_use_.insert(by_use_.end(), key);
  entries_.emplace(key, std::move(entry));
}

void DnsCache::clear() {
  entries_.clear();
  by_use_.clear();
}

void DnsCache::erase(std::map<std::string, Entry>::iterator at) {
  by_use_.erase(at->second.place);
  entries_.erase(at);
}

}  // namespace gantry::net
