#include "net/address.h"

#include <gtest/gtest.h>

namespace gantry::net {
namespace {

TEST(IpAddress, ParsesAndRendersBothFamilies) {
  const std::pair<const char*, const char*> rows[] = {
      {"0.0.0.0", "0.0.0.0"}, {"172.18.0.1", "172.18.0.1"},       {"255.255.255.255", "255.255.255.255"}, {"::", "::"},
      {"::1", "::1"},         {"FD00:0:0:1::a", "fd00:0:0:1::a"}, {"::ffff:10.0.0.1", "::ffff:10.0.0.1"},
  };
  for (const auto& [text, rendered] : rows) {
    auto address = IpAddress::parse(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_EQ(address->to_string(), rendered);
    EXPECT_EQ(*IpAddress::parse(address->to_string()), *address);
  }
}

TEST(IpAddress, RefusesWhatIsNone) {
  for (const char* text : {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4/8", "fe80::1%eth0",
                           ":::", "localhost", "1234567890123456789012345678901234567890123456789"}) {
    auto address = IpAddress::parse(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.error().message(), "invalid IP address " + quoted(text));
  }
  EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0x", 9)).ok());
}

TEST(IpAddress, PlusCarriesAndStaysInItsFamily) {
  EXPECT_EQ(IpAddress::parse("10.0.0.255")->plus(1).to_string(), "10.0.1.0");
  EXPECT_EQ(IpAddress::parse("255.255.255.255")->plus(1).to_string(), "0.0.0.0");
  EXPECT_EQ(IpAddress::parse("fd00::ffff:ffff")->plus(2).to_string(), "fd00::1:0:1");
  EXPECT_EQ(IpAddress::parse("10.0.1.0")->before().to_string(), "10.0.0.255");
  EXPECT_EQ(IpAddress::parse("10.0.1.7")->before().to_string(), "10.0.1.6");
  EXPECT_EQ(IpAddress::parse("fd00::1:0:0")->before().to_string(), "fd00::ffff:ffff");
}

TEST(IpAddress, SortsIpv4BeforeIpv6AndByValue) {
  EXPECT_LT(*IpAddress::parse("9.0.0.0"), *IpAddress::parse("10.0.0.0"));
  EXPECT_LT(*IpAddress::parse("255.0.0.0"), *IpAddress::parse("::1"));
  EXPECT_EQ(IpAddress::parse("1.2.3.4")->to_v4(), 0x01020304u);
}

TEST(Subnet, ClearsHostBitsAndKnowsItsEnds) {
  const std::array<const char*, 3> rows[] = {
      // text, rendered, last
      {"172.18.3.4/16", "172.18.0.0/16", "172.18.255.255"},
      {"10.1.2.3/30", "10.1.2.0/30", "10.1.2.3"},
      {"10.1.2.3/32", "10.1.2.3/32", "10.1.2.3"},
      {"1.2.3.4/0", "0.0.0.0/0", "255.255.255.255"},
      {"192.168.17.0/20", "192.168.16.0/20", "192.168.31.255"},
      {"fd00:1:2:3::9/64", "fd00:1:2:3::/64", "fd00:1:2:3:ffff:ffff:ffff:ffff"},
  };
  for (const auto& [text, rendered, last] : rows) {
    auto subnet = Subnet::parse(text);
    ASSERT_TRUE(subnet.ok()) << text;
    EXPECT_EQ(subnet->to_string(), rendered);
    EXPECT_EQ(subnet->last().to_string(), last);
    EXPECT_EQ(*Subnet::parse(subnet->to_string()), *subnet);
  }
}

TEST(Subnet, RefusesWhatIsNone) {
  for (const char* text :
       {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "fd00::/129", "x/8", "10.0.0.0/-1", "10.0.0.0/8/8"}) {
    auto subnet = Subnet::parse(text);
    ASSERT_FALSE(subnet.ok()) << text;
    EXPECT_EQ(subnet.error().message(),
              "invalid CIDR address " + quoted(text) + ": want ADDRESS/PREFIX, as 10.1.0.0/16");
  }
}

TEST(Subnet, OverlapsWhatSharesAnAddress) {
  auto overlap = [](const char* a, const char* b) { return Subnet::parse(a)->overlaps(*Subnet::parse(b)); };
  EXPECT_TRUE(overlap("10.0.0.0/8", "10.1.2.0/24"));
  EXPECT_TRUE(overlap("10.1.2.0/24", "10.0.0.0/8"));
  EXPECT_FALSE(overlap("10.1.2.0/24", "10.1.3.0/24"));
  EXPECT_FALSE(overlap("0.0.0.0/0", "fd00::/8"));
}

TEST(MacAddress, ParsesAndRenders) {
  EXPECT_EQ(MacAddress::parse("02:42:AC-11:00:0f")->to_string(), "02:42:ac:11:00:0f");
  for (const char* text : {"", "02:42:ac:11:00", "02:42:ac:11:00:0g", "0242.ac11.000f", "02:42:ac:11:00:0f:"}) {
    ASSERT_FALSE(MacAddress::parse(text).ok()) << text;
  }
}

TEST(MacAddress, RandomOnesAreLocalAndUnicast) {
  SeededRandom random(7);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(MacAddress::random_local(random).bytes[0] & 3, 2);
}

}  // namespace
}  // namespace gantry::net
