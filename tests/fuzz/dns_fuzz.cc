// Links: gantry_net
// Queries from containers, answers from the network, and the daemon's orders to gantry-dns: nothing that arrives may do
// harm, and what we make of it must be readable again.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "net/dns_cache.h"
#include "net/dns_message.h"
#include "net/dns_protocol.h"
#include "net/host_nameservers.h"

using namespace gantry;
using namespace gantry::net;

namespace {

void query(DnsBytes packet) {
  auto asked = parse_dns_query(packet);
  if (!asked) return;
  const size_t limit = udp_answer_limit(*asked);
  const std::vector<DnsRecord> records(40, address_record(IpAddress::v4(0x0a000001)));
  const auto answer = build_dns_answer(*asked, asked->problem, records, limit);
  CHECK(answer.size() <= limit || records.empty() || asked->question.size() > limit);
  CHECK(!parse_dns_query(answer));  // it is no query
  if (asked->problem != DnsCode::no_error) return;
  CHECK(answers_dns_query(answer, asked->id, *asked));
  (void)address_in_pointer_name(asked->name);
  (void)DnsCache::key("scope", packet, *asked);
}

void answer(DnsBytes packet) {
  static const DnsQuery asked = *parse_dns_query(std::vector<uint8_t>{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0,
                                                                      1, 'a', 0, 0, 1, 0, 1});
  (void)answers_dns_query(packet, 1, asked);
  DnsCache cache;
  const MonoTime now{};
  cache.keep("k", asked, {packet.begin(), packet.end()}, now);
  if (auto kept = cache.find("k", asked, now + std::chrono::seconds(1))) CHECK(kept->size() == packet.size());
}

void order(std::string_view message) {
  auto request = decode_dns_request(message);
  if (!request.ok()) return;
  CHECK(decode_dns_request(encode_dns_request(*request)).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const DnsBytes packet(data, size);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  query(packet);
  answer(packet);
  order(text);
  (void)parse_nameservers(text);
  return 0;
}
