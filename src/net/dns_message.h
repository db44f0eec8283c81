// DNS messages as bytes (RFC 1035, EDNS: RFC 6891). Pure. Queries come from containers and answers from the network:
// both are hostile input, bounded in every direction.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"

namespace gantry::net {

using DnsBytes = std::span<const uint8_t>;

inline constexpr size_t kMaxPacket = 65535;
inline constexpr uint8_t kTruncated = 0x02;  // a bit of the first flag byte

enum class DnsType : uint16_t { a = 1, ns = 2, cname = 5, ptr = 12, mx = 15, txt = 16, aaaa = 28, opt = 41, any = 255 };
enum class DnsCode : uint8_t {
  no_error = 0,
  format_error = 1,
  server_failure = 2,
  no_such_name = 3,
  not_implemented = 4,
  refused = 5,
};

// What the asker wants to know. Names are lower-case text without the final dot; a dot or backslash inside a label
// is escaped with a backslash, so that it can equal no name of ours.
struct DnsQuery {
  uint16_t id = 0;
  bool recursion_desired = false;
  std::string name;
  uint16_t type = 0;
  uint16_t class_ = 1;
  std::vector<uint8_t> question;            // as it came, letter case and all, to be echoed
  std::optional<uint16_t> advertised_size;  // EDNS: the largest UDP answer that the asker takes
  DnsCode problem = DnsCode::no_error;      // set: answer with this, the fields above may be missing
};

// Nothing: no query at all (too short, or an answer), to be ignored. Otherwise a query, perhaps with a `problem`.
std::optional<DnsQuery> parse_dns_query(DnsBytes packet);

struct DnsRecord {
  DnsType type = DnsType::a;
  std::string data;  // RDATA; the owner is always the question's name
};
DnsRecord address_record(const IpAddress& address);
// `name` as text without the final dot. Nothing if it is no valid name: a label over 63, all over 255 bytes.
std::optional<DnsRecord> pointer_record(std::string_view name);

// The answer to `query`; at most `max_size` bytes, with the TC bit if records had to be left out.
// Not authoritative, recursion available, all records with `ttl`.
std::vector<uint8_t> build_dns_answer(const DnsQuery& query, DnsCode code, const std::vector<DnsRecord>& records,
                                      size_t max_size, uint32_t ttl = 600);
// The largest UDP answer for it: what it advertises, 512 bytes at least, 4096 at most.
size_t udp_answer_limit(const DnsQuery& query);

// Does an upstream's packet answer what we asked it? Same id, a response, the same question (RFC 5452).
bool answers_dns_query(DnsBytes answer, uint16_t id, const DnsQuery& query);
DnsCode dns_code_of(DnsBytes answer);  // of a packet that has a header
void set_dns_id(std::span<uint8_t> packet, uint16_t id);

// The address in "4.3.2.1.in-addr.arpa" or the nibbles of ip6.arpa; nothing if it is no such whole address.
std::optional<IpAddress> address_in_pointer_name(std::string_view name);

}  // namespace gantry::net
