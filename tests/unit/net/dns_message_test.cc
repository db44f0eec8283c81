#include "net/dns_message.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace gantry::net {
namespace {

using Packet = std::vector<uint8_t>;

Packet bytes(std::string_view text) { return Packet(text.begin(), text.end()); }
#define BYTES(literal) bytes(std::string_view(literal, sizeof(literal) - 1))

// id 0x1234, RD, one question.
const std::string kHeader("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
const std::string kDbA(
    "\x02"
    "Db"
    "\x00\x00\x01\x00\x01",
    8);
const std::string kOpt("\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00", 11);

Packet packet_of(const std::string& question, const std::string& extra = {}, unsigned additional = 0) {
  Packet packet = bytes(kHeader + question + extra);
  packet[11] = static_cast<uint8_t>(additional);
  return packet;
}

TEST(DnsMessage, ReadsAQuery) {
  auto parsed = parse_dns_query(packet_of(kDbA));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->problem, DnsCode::no_error);
  EXPECT_EQ(parsed->id, 0x1234);
  EXPECT_TRUE(parsed->recursion_desired);
  EXPECT_EQ(parsed->name, "db");
  EXPECT_EQ(parsed->type, 1);
  EXPECT_FALSE(parsed->advertised_size);
}

TEST(DnsMessage, ReadsTheAdvertisedSize) {
  auto parsed = parse_dns_query(packet_of(kDbA, kOpt, 1));
  ASSERT_TRUE(parsed && parsed->advertised_size);
  EXPECT_EQ(*parsed->advertised_size, 4096);
}

TEST(DnsMessage, ADotInsideALabelIsNoSeparator) {
  auto parsed =
      parse_dns_query(packet_of(std::string("\x05"
                                            "a.b\\c"
                                            "\x00\x00\x01\x00\x01",
                                            11)));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->name, "a\\.b\\\\c");
}

TEST(DnsMessage, IgnoresWhatIsNoQuery) {
  EXPECT_FALSE(parse_dns_query({}));
  EXPECT_FALSE(parse_dns_query(Packet(11)));
  Packet response = packet_of(kDbA);
  response[2] |= 0x80;
  EXPECT_FALSE(parse_dns_query(response));
}

TEST(DnsMessage, BrokenQueriesAreFormatErrors) {
  const std::string rest("\x00\x01\x00\x01", 4);
  const std::pair<const char*, Packet> rows[] = {
      {"no question", bytes(std::string("\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00", 12))},
      {"two questions",
       [&] {
         Packet p = packet_of(kDbA + kDbA);
         p[5] = 2;
         return p;
       }()},
      {"answers in a query",
       [&] {
         Packet p = packet_of(kDbA);
         p[7] = 1;
         return p;
       }()},
      {"name cut off", packet_of("\x02"
                                 "d")},
      {"no type", packet_of(std::string("\x02"
                                        "db"
                                        "\x00",
                                        4))},
      {"half a class", packet_of(std::string("\x02"
                                             "db"
                                             "\x00\x00\x01\x00",
                                             7))},
      {"pointer to itself", packet_of(std::string("\xc0\x0c", 2) + rest)},
      {"pointer forward", packet_of(std::string("\xc0\x20", 2) + rest)},
      {"pointer cut off", packet_of("\xc0")},
      {"label type of old", packet_of(std::string("\x40"
                                                  "a"
                                                  "\x00",
                                                  3) +
                                      rest)},
      {"name over 255", packet_of([] {
         std::string n;
         for (int i = 0; i < 5; ++i) n += "\x3f" + std::string(63, 'a');
         return n;
       }() + std::string(1, '\0') +
                                  rest)},
      {"option cut off", packet_of(kDbA, kOpt.substr(0, 10), 1)},
      {"option's data cut off", packet_of(kDbA, kOpt.substr(0, 9) + std::string("\x00\x05", 2), 1)},
      {"option missing", packet_of(kDbA, "", 1)},
      {"two options", packet_of(kDbA, kOpt + kOpt, 2)},
      {"option of a name", packet_of(kDbA,
                                     "\x01"
                                     "a" +
                                     kOpt,
                                     1)},
  };
  for (const auto& [what, packet] : rows) {
    auto parsed = parse_dns_query(packet);
    ASSERT_TRUE(parsed) << what;
    EXPECT_EQ(parsed->problem, DnsCode::format_error) << what;
    EXPECT_EQ(parsed->id, 0x1234) << what;
  }
}

TEST(DnsMessage, OtherOperationsAndClassesAreNotAnswered) {
  Packet update = packet_of(kDbA);
  update[2] = 0x28;
  EXPECT_EQ(parse_dns_query(update)->problem, DnsCode::not_implemented);
  Packet chaos = packet_of(kDbA);
  chaos.back() = 3;
  EXPECT_EQ(parse_dns_query(chaos)->problem, DnsCode::refused);
}

TEST(DnsMessage, AnswersEchoTheQuestionAndPointToItsName) {
  auto parsed = parse_dns_query(packet_of(kDbA));
  Packet answer = build_dns_answer(*parsed, DnsCode::no_error, {address_record(*IpAddress::parse("172.18.0.3"))}, 512);
  std::string want("\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00", 12);
  want += kDbA + std::string("\xc0\x0c\x00\x01\x00\x01\x00\x00\x02\x58\x00\x04\xac\x12\x00\x03", 16);
  EXPECT_EQ(answer, bytes(want));
}

TEST(DnsMessage, AnswersToExtendedQueriesAreExtended) {
  auto parsed = parse_dns_query(packet_of(kDbA, kOpt, 1));
  Packet answer = build_dns_answer(*parsed, DnsCode::server_failure, {}, 512);
  std::string want("\x12\x34\x81\x82\x00\x01\x00\x00\x00\x00\x00\x01", 12);
  want += kDbA + std::string("\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00", 11);
  EXPECT_EQ(answer, bytes(want));
}

TEST(DnsMessage, TooManyRecordsAreCutAndSaidToBe) {
  auto parsed = parse_dns_query(packet_of(kDbA));
  std::vector<DnsRecord> many(100, address_record(IpAddress::v4(1)));
  Packet answer = build_dns_answer(*parsed, DnsCode::no_error, many, udp_answer_limit(*parsed));
  EXPECT_LE(answer.size(), 512u);
  EXPECT_EQ(answer[2] & 0x02, 0x02);
  EXPECT_EQ(answer[7], (512 - 20) / 16);
  Packet whole = build_dns_answer(*parsed, DnsCode::no_error, many, 65535);
  EXPECT_EQ(whole[2] & 0x02, 0);
  EXPECT_EQ(whole[7], 100);
}

TEST(DnsMessage, OnlyTheAnswerToTheQuestionCounts) {
  auto parsed = parse_dns_query(packet_of(kDbA));
  Packet answer = build_dns_answer(*parsed, DnsCode::no_error, {}, 512);
  EXPECT_TRUE(answers_dns_query(answer, 0x1234, *parsed));
  EXPECT_FALSE(answers_dns_query(answer, 0x1235, *parsed)) << "another id";
  EXPECT_FALSE(answers_dns_query(packet_of(kDbA), 0x1234, *parsed)) << "a query";
  Packet other = answer;
  other[13] = 'x';
  EXPECT_FALSE(answers_dns_query(other, 0x1234, *parsed)) << "another name";
  other[13] = 'd';
  EXPECT_TRUE(answers_dns_query(other, 0x1234, *parsed)) << "letter case does not count";
  EXPECT_FALSE(answers_dns_query(Packet(5), 0x1234, *parsed));
  EXPECT_FALSE(answers_dns_query(Packet(answer.begin(), answer.end() - 1), 0x1234, *parsed));
}

TEST(DnsMessage, ReadsAddressesInPointerNames) {
  const std::pair<const char*, const char*> rows[] = {
      {"3.0.18.172.in-addr.arpa", "172.18.0.3"},
      {"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa", "fd00:1::1"},
      {"0.18.172.in-addr.arpa", ""},
      {"256.0.18.172.in-addr.arpa", ""},
      {"3.0.18.172.in-addr.example", ""},
      {"x.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa", ""},
      {"in-addr.arpa", ""},
      {"", ""},
  };
  for (const auto& [name, address] : rows) {
    auto found = address_in_pointer_name(name);
    EXPECT_EQ(found ? found->to_string() : "", address) << name;
  }
}

TEST(DnsMessage, PointerRecordsRefuseNamesThatCannotBe) {
  EXPECT_EQ(pointer_record("db.app")->data, std::string("\x02"
                                                        "db"
                                                        "\x03"
                                                        "app"
                                                        "\x00",
                                                        8));
  EXPECT_FALSE(pointer_record("a..b"));
  EXPECT_FALSE(pointer_record(std::string(64, 'a')));
  EXPECT_FALSE(pointer_record(""));
}

TEST(DnsMessage, NoBytesDoHarm) {
  SeededRandom random(1);
  for (int i = 0; i < 50000; ++i) {
    Packet packet = packet_of(kDbA, kOpt, 1);
    for (uint64_t n = random.below(6); n > 0; --n) {
      packet[random.below(packet.size())] = static_cast<uint8_t>(random.below(256));
    }
    packet.resize(random.below(packet.size() + 1));
    auto parsed = parse_dns_query(packet);
    if (!parsed) continue;
    Packet answer =
        build_dns_answer(*parsed, parsed->problem, {address_record(IpAddress::v4(1))}, udp_answer_limit(*parsed));
    EXPECT_LE(answer.size(), 4096u);
    (void)answers_dns_query(packet, 0, *parsed);
  }
}

}  // namespace
}  // namespace gantry::net
