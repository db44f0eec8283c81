#include "net/dns_zone.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "unit/net/addresses.h"

namespace gantry::net {
namespace {

NameRecord record(const std::string& network, std::vector<std::string> names, std::vector<std::string> addresses) {
  NameRecord made{.network_id = network, .network_name = "Net-" + network, .names = std::move(names)};
  for (const std::string& address : addresses) made.addresses.push_back(ip(address));
  return made;
}

class DnsZoneTest : public testing::Test {
 protected:
  // "10.0.0.1 10.0.0.2" in order of value, "empty" or "not ours".
  std::string ask(const std::string& name, DnsType type = DnsType::a, std::vector<std::string> networks = {"a", "b"}) {
    auto found = zone.look_up(networks, name, static_cast<uint16_t>(type), random);
    if (!found) return "not ours";
    std::set<std::string> texts;
    for (const DnsRecord& one : *found) {
      std::array<uint8_t, 16> bytes{};
      std::copy(one.data.begin(), one.data.begin() + std::min<ptrdiff_t>(16, one.data.size()), bytes.begin());
      if (one.type == DnsType::a) texts.insert(IpAddress::v4(uint32_t{bytes[0]} << 24 | bytes[3]).to_string());
      if (one.type == DnsType::aaaa) texts.insert(IpAddress::v6(bytes).to_string());
      if (one.type == DnsType::ptr) texts.insert(one.data);
    }
    return texts.empty() ? "empty" : join(std::vector<std::string>(texts.begin(), texts.end()), " ");
  }
  DnsZone zone;
  SeededRandom random{3};
};

TEST_F(DnsZoneTest, ANameHasTheAddressesOfAllWhoBearIt) {
  zone.publish("1", record("a", {"app-web-1", "web"}, {"10.0.0.1"}));
  zone.publish("2", record("a", {"app-web-2", "web"}, {"10.0.0.2"}));
  EXPECT_EQ(ask("web"), "10.0.0.1 10.0.0.2");
  EXPECT_EQ(ask("app-web-2"), "10.0.0.2");
  zone.withdraw("1");
  EXPECT_EQ(ask("web"), "10.0.0.2");
  zone.withdraw("2");
  EXPECT_EQ(ask("web"), "not ours");
  zone.withdraw("2");
}

TEST_F(DnsZoneTest, PublishedAgainAnEndpointHasOnlyItsNewNames) {
  zone.publish("1", record("a", {"old", "kept"}, {"10.0.0.1"}));
  zone.publish("1", record("a", {"new", "kept", "kept"}, {"10.0.0.9"}));
  EXPECT_EQ(ask("old"), "not ours");
  EXPECT_EQ(ask("new"), "10.0.0.9");
  EXPECT_EQ(ask("kept"), "10.0.0.9");
  zone.withdraw("1");
  EXPECT_EQ(ask("kept"), "not ours");
}

TEST_F(DnsZoneTest, LetterCaseDoesNotCount) {
  zone.publish("1", record("a", {"Web"}, {"10.0.0.1"}));
  EXPECT_EQ(ask("web"), "10.0.0.1");  // queries come in lower case from the codec
}

TEST_F(DnsZoneTest, AKnownNameWithoutTheFamilyIsEmptyAndNotUnknown) {
  zone.publish("1", record("a", {"web"}, {"10.0.0.1"}));
  zone.publish("2", record("a", {"six"}, {"fd00::1"}));
  EXPECT_EQ(ask("web", DnsType::aaaa), "empty");
  EXPECT_EQ(ask("web", DnsType::mx), "empty");
  EXPECT_EQ(ask("six", DnsType::a), "empty");
  EXPECT_EQ(ask("six", DnsType::aaaa), "fd00::1");
  EXPECT_EQ(ask("nobody", DnsType::aaaa), "not ours");
}

TEST_F(DnsZoneTest, OnlyTheAskersNetworksAreSearchedAndTheFirstWins) {
  zone.publish("1", record("a", {"db"}, {"10.0.0.1"}));
  zone.publish("2", record("b", {"db"}, {"10.0.0.2"}));
  EXPECT_EQ(ask("db", DnsType::a, {"a", "b"}), "10.0.0.1");
  EXPECT_EQ(ask("db", DnsType::a, {"b", "a"}), "10.0.0.2");
  EXPECT_EQ(ask("db", DnsType::a, {"c"}), "not ours");
  EXPECT_EQ(ask("db", DnsType::a, {}), "not ours");
}

TEST_F(DnsZoneTest, ANameMayCarryItsNetwork) {
  zone.publish("1", record("a", {"db", "x.y"}, {"10.0.0.1"}));
  zone.publish("2", record("b", {"db"}, {"10.0.0.2"}));
  EXPECT_EQ(ask("db.net-a"), "10.0.0.1");
  EXPECT_EQ(ask("db.net-b"), "10.0.0.2");
  EXPECT_EQ(ask("x.y.net-a"), "10.0.0.1");
  EXPECT_EQ(ask("x.y"), "10.0.0.1") << "a name with a dot";
  EXPECT_EQ(ask("db.net-c"), "not ours");
  EXPECT_EQ(ask("db.net-a", DnsType::a, {"b"}), "not ours");
  EXPECT_EQ(ask(".net-a"), "not ours");
}

TEST_F(DnsZoneTest, AddressesLeadBackToTheFirstName) {
  zone.publish("1", record("a", {"app-web-1", "web"}, {"10.0.0.1"}));
  EXPECT_EQ(ask("1.0.0.10.in-addr.arpa", DnsType::ptr), std::string("\x09"
                                                                    "app-web-1"
                                                                    "\x05"
                                                                    "net-a"
                                                                    "\x00",
                                                                    17));
  EXPECT_EQ(ask("9.0.0.10.in-addr.arpa", DnsType::ptr), "not ours");
  EXPECT_EQ(ask("1.0.0.10.in-addr.arpa", DnsType::ptr, {"b"}), "not ours");
}

TEST_F(DnsZoneTest, ReplicasTakeTurns) {
  for (int i = 1; i <= 3; ++i) zone.publish(std::to_string(i), record("a", {"web"}, {"10.0.0." + std::to_string(i)}));
  std::map<std::string, int> first;
  for (int i = 0; i < 300; ++i) ++first[zone.look_up({"a"}, "web", 1, random)->front().data];
  EXPECT_EQ(first.size(), 3u);
  for (const auto& [address, times] : first) EXPECT_GT(times, 60);
}

}  // namespace
}  // namespace gantry::net
