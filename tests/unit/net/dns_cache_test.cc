#include "net/dns_cache.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace gantry::net {
namespace {

using Packet = std::vector<uint8_t>;
using std::chrono::seconds;

MonoTime at(int second) { return MonoTime(seconds(second)); }

Packet query_packet(const std::string& label, uint16_t id = 7, uint8_t flags = 1) {
  Packet packet{static_cast<uint8_t>(id >> 8), static_cast<uint8_t>(id), flags, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  packet.push_back(static_cast<uint8_t>(label.size()));
  packet.insert(packet.end(), label.begin(), label.end());
  packet.insert(packet.end(), {0, 0, 1, 0, 1});
  return packet;
}
DnsQuery parsed_query(const std::string& label, uint16_t id = 7) { return *parse_dns_query(query_packet(label, id)); }

Packet address_answer(const std::string& label, uint32_t ttl) {
  return build_dns_answer(parsed_query(label), DnsCode::no_error, {address_record(IpAddress::v4(0xc0000207))}, 512, ttl);
}

// A denial with an SOA record of these two times.
Packet denial(const std::string& label, uint32_t ttl, uint32_t minimum, DnsCode code = DnsCode::no_such_name) {
  Packet packet = build_dns_answer(parsed_query(label), code, {}, 512);
  packet[9] = 1;  // one authority record
  const auto add32 = [&](uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) packet.push_back(static_cast<uint8_t>(value >> shift));
  };
  packet.insert(packet.end(), {0xc0, 12, 0, 6, 0, 1});
  add32(ttl);
  packet.insert(packet.end(), {0, 22, 0, 0});  // names of server and mailbox: the root
  for (uint32_t number : {1u, 2u, 3u, 4u}) add32(number);
  add32(minimum);
  return packet;
}

uint32_t ttl_of(const Packet& answer) {
  const size_t time = answer.size() - 10;
  return uint32_t{answer[time]} << 24 | uint32_t{answer[time + 1]} << 16 | uint32_t{answer[time + 2]} << 8 |
         answer[time + 3];
}

std::string key(const std::string& label, const std::string& scope = "up") {
  return DnsCache::key(scope, query_packet(label), parsed_query(label));
}

TEST(DnsCache, AnAnswerIsGivenAgainUntilItsTimeIsOver) {
  DnsCache cache;
  cache.keep(key("a"), parsed_query("a"), address_answer("a", 30), at(100));
  auto again = cache.find(key("a"), parsed_query("a", 9), at(110));
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)[1], 9);
  EXPECT_EQ(ttl_of(*again), 20u);
  EXPECT_FALSE(cache.find(key("a"), parsed_query("a"), at(130)));
  EXPECT_EQ(cache.size(), 0u);
}

TEST(DnsCache, LetterCaseAndIdDoNotCountButFlagsAndScopeDo) {
  EXPECT_EQ(DnsCache::key("s", query_packet("A", 1), parsed_query("A", 1)), DnsCache::key("s", query_packet("a", 2), parsed_query("a", 2)));
  EXPECT_NE(DnsCache::key("s", query_packet("a"), parsed_query("a")), DnsCache::key("t", query_packet("a"), parsed_query("a")));
  EXPECT_NE(DnsCache::key("s", query_packet("a", 1, 0), parsed_query("a")), DnsCache::key("s", query_packet("a", 1, 1), parsed_query("a")));
}

TEST(DnsCache, DenialsHoldForTheShorterTimeOfTheirSoaAndNeverForLong) {
  DnsCache cache;
  cache.keep(key("a"), parsed_query("a"), denial("a", 40, 10), at(0));
  EXPECT_TRUE(cache.find(key("a"), parsed_query("a"), at(9)));
  EXPECT_FALSE(cache.find(key("a"), parsed_query("a"), at(10)));
  cache.keep(key("b"), parsed_query("b"), denial("b", 9000, 9000, DnsCode::no_error), at(0));
  EXPECT_TRUE(cache.find(key("b"), parsed_query("b"), at(59)));
  EXPECT_FALSE(cache.find(key("b"), parsed_query("b"), at(60)));
}

TEST(DnsCache, WhatMayNotBeKeptIsNot) {
  DnsCache cache;
  Packet truncated = address_answer("a", 30);
  truncated[2] |= 2;
  Packet failure = address_answer("a", 30);
  failure[3] |= 2;
  Packet cut = address_answer("a", 30);
  cut.pop_back();
  for (const Packet& packet : {truncated, failure, cut, address_answer("a", 0), Packet{1, 2, 3}, Packet{},
                               build_dns_answer(parsed_query("a"), DnsCode::no_such_name, {}, 512)}) {
    cache.keep(key("a"), parsed_query("a"), packet, at(0));
  }
  EXPECT_EQ(cache.size(), 0u);
}

TEST(DnsCache, TheLeastUsedMakesRoom) {
  DnsCache cache({.most_answers = 2});
  cache.keep(key("a"), parsed_query("a"), address_answer("a", 30), at(0));
  cache.keep(key("b"), parsed_query("b"), address_answer("b", 30), at(0));
  EXPECT_TRUE(cache.find(key("a"), parsed_query("a"), at(1)));
  cache.keep(key("c"), parsed_query("c"), address_answer("c", 30), at(2));
  EXPECT_TRUE(cache.find(key("a"), parsed_query("a"), at(3)));
  EXPECT_FALSE(cache.find(key("b"), parsed_query("b"), at(3)));
  EXPECT_EQ(cache.size(), 2u);
}

TEST(DnsCache, BrokenAnswersDoNoHarm) {
  SeededRandom random(3);
  for (int i = 0; i < 20000; ++i) {
    Packet packet = i % 2 == 0 ? denial("abc", 40, 10) : address_answer("abc", 30);
    for (int flips = 0; flips < 3; ++flips) {
      packet[random.below(packet.size())] = static_cast<uint8_t>(random.below(256));
    }
    packet.resize(random.below(packet.size() + 1));
    (void)lifetime_of(packet);
  }
}

}  // namespace
}  // namespace gantry::net
