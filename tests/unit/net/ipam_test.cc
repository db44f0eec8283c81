#include "net/ipam.h"

#include <gtest/gtest.h>

#include "unit/net/addresses.h"

namespace gantry::net {
namespace {

Subnet subnet(const std::string& text) { return *Subnet::parse(text); }

std::string address_text(const Result<IpAddress>& result) {
  return result.ok() ? result->to_string() : result.error().message();
}
std::string address_text(const Result<std::optional<IpAddress>>& result) {
  if (!result.ok()) return result.error().message();
  return *result ? (*result)->to_string() : "none";
}
std::string address_text(const Result<Subnet>& result) {
  return result.ok() ? result->to_string() : result.error().message();
}

Ipam::Network network(const std::string& id, const std::string& text) {
  return {.id = id, .name = "net-" + id, .subnet = subnet(text)};
}

TEST(Ipam, ChoosesTheFirstSubnetThatNobodyHas) {
  Ipam ipam;
  EXPECT_EQ(address_text(ipam.choose_subnet({})), "172.18.0.0/20");
  EXPECT_EQ(address_text(ipam.add_network(network("a", "172.18.0.0/20"))), "172.18.0.1");
  EXPECT_EQ(address_text(ipam.choose_subnet({})), "172.18.16.0/20");
  EXPECT_EQ(address_text(ipam.choose_subnet({subnet("172.18.17.0/24"), subnet("172.18.32.0/19")})), "172.18.64.0/20");
  EXPECT_EQ(address_text(ipam.choose_subnet({subnet("172.16.0.0/12")})), "192.168.0.0/22");
  EXPECT_EQ(address_text(ipam.choose_subnet({subnet("0.0.0.0/0")})), "172.18.16.0/20") << "a default route claims nothing";
  ipam.remove_network("a");
  EXPECT_EQ(address_text(ipam.choose_subnet({})), "172.18.0.0/20");
}

TEST(Ipam, TheDefaultNetworkHasItsOwnPoolWhichOthersGetLast) {
  Ipam ipam;
  EXPECT_EQ(address_text(ipam.choose_subnet({}, false, true)), "172.17.0.0/16");
  EXPECT_EQ(address_text(ipam.choose_subnet({subnet("172.17.0.0/16")}, false, true)), "172.18.0.0/20");
  EXPECT_EQ(address_text(ipam.choose_subnet({subnet("172.18.0.0/15"), subnet("172.20.0.0/14"), subnet("172.24.0.0/13"),
                                             subnet("192.168.0.0/16")})),
            "172.17.0.0/16");
}

TEST(Ipam, SubnetsInsideEachOtherAreAllPassed) {
  Ipam ipam({{subnet("10.1.0.0/16"), 24}});
  EXPECT_EQ(address_text(ipam.choose_subnet({subnet("10.1.0.0/22"), subnet("10.1.1.0/24"), subnet("10.1.4.128/25")})),
            "10.1.5.0/24");
  EXPECT_EQ(address_text(ipam.choose_subnet({subnet("10.0.0.0/9"), subnet("10.1.3.0/24")})).substr(0, 12), "all predefin");
}

TEST(Ipam, ChosenSubnetsNeverOverlapAndSufficeForTwoHundredNetworks) {
  Ipam ipam;
  std::vector<Subnet> all;
  for (;;) {
    auto chosen = ipam.choose_subnet({subnet("192.168.100.0/24")});
    if (!chosen.ok()) break;
    for (const Subnet& other : all) ASSERT_FALSE(other.overlaps(*chosen)) << other.to_string();
    all.push_back(*chosen);
    ASSERT_TRUE(ipam.add_network(network(std::to_string(all.size()), chosen->to_string())).ok());
  }
  EXPECT_EQ(all.size(), 224u + 63u + 1u);
}

TEST(Ipam, ExhaustedPoolsSayWhoHoldsThem) {
  Ipam ipam({{subnet("10.1.0.0/23"), 24}});
  ASSERT_TRUE(ipam.add_network(network("a", "10.1.0.0/24")).ok());
  EXPECT_EQ(address_text(ipam.choose_subnet({subnet("10.1.1.128/25")})),
            "all predefined address pools have been fully subnetted (held by net-a 10.1.0.0/24, host route "
            "10.1.1.128/25); remove networks that are not used, or give the network a subnet");
}

TEST(Ipam, TheEndOfTheAddressSpaceIsTheEnd) {
  Ipam ipam({{subnet("255.255.255.0/24"), 25}});
  ASSERT_TRUE(ipam.add_network(network("a", "255.255.255.0/24")).ok());
  EXPECT_FALSE(ipam.choose_subnet({}).ok());
}

TEST(Ipam, Ipv6SubnetsComeFromOnePrefixOfTheMachine) {
  auto pool = Ipam::ula_pool("machine");
  EXPECT_EQ(pool.base, Ipam::ula_pool("machine").base);
  EXPECT_NE(pool.base, Ipam::ula_pool("other").base);
  EXPECT_EQ(pool.base.prefix(), 48u);
  EXPECT_EQ(pool.base.address().bytes()[0], 0xfd);
  Ipam ipam({pool});
  auto first = ipam.choose_subnet({}, true);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->prefix(), 64u);
  EXPECT_FALSE(ipam.choose_subnet({}, false).ok());
}

TEST(Ipam, NetworksThatOverlapAreRefusedInDockersWords) {
  Ipam ipam;
  ASSERT_TRUE(ipam.add_network(network("a", "10.1.0.0/16")).ok());
  EXPECT_EQ(address_text(ipam.add_network(network("b", "10.1.2.0/24"))),
            "Pool overlaps with other one on this address space");
}

TEST(Ipam, GatewayIsTheFirstAddressUnlessGiven) {
  Ipam ipam;
  Ipam::Network given = network("a", "10.1.0.0/24");
  given.gateway = ip("10.1.0.254");
  EXPECT_EQ(address_text(ipam.add_network(given)), "10.1.0.254");
  EXPECT_EQ(address_text(ipam.allocate("a", false)), "10.1.0.1");
  Ipam::Network reserved = network("b", "10.2.0.0/24");
  reserved.reserved = {ip("10.2.0.1")};
  EXPECT_EQ(address_text(ipam.add_network(reserved)), "10.2.0.2");
  Ipam::Network stranger = network("c", "10.3.0.0/24");
  stranger.gateway = ip("10.4.0.1");
  EXPECT_EQ(address_text(ipam.add_network(stranger)), "no matching subnet for gateway 10.4.0.1");
}

TEST(Ipam, AnIsolatedNetworkHasNoGateway) {
  Ipam ipam;
  Ipam::Network isolated = network("a", "10.1.0.0/24");
  isolated.isolated = true;
  EXPECT_EQ(address_text(ipam.add_network(isolated)), "none");
  EXPECT_EQ(address_text(ipam.allocate("a", false)), "10.1.0.1");
  Ipam::Network set_aside = network("b", "10.2.0.0/24");
  set_aside.isolated = true;
  set_aside.gateway = ip("10.2.0.1");
  EXPECT_EQ(address_text(ipam.add_network(set_aside)), "10.2.0.1");
  EXPECT_EQ(address_text(ipam.allocate("b", false)), "10.2.0.2");
}

TEST(Ipam, ASecondSubnetServesWhenTheFirstIsFull) {
  Ipam ipam;
  EXPECT_EQ(address_text(ipam.add_network(network("a", "10.1.0.0/30"))), "10.1.0.1");
  EXPECT_EQ(address_text(ipam.add_network(network("a", "10.2.0.0/24"))), "10.2.0.1");
  EXPECT_EQ(address_text(ipam.add_network(network("a", "10.2.0.0/28"))),
            "Pool overlaps with other one on this address space");
  EXPECT_EQ(address_text(ipam.allocate("a", false, ip("10.2.0.9"))), "10.2.0.9");
  EXPECT_EQ(address_text(ipam.allocate("a", false)), "10.1.0.2");
  EXPECT_EQ(address_text(ipam.allocate("a", false)), "10.2.0.2");
  ipam.release("a", ip("10.1.0.2"));
  EXPECT_EQ(address_text(ipam.allocate("a", false)), "10.1.0.2");
  EXPECT_EQ(address_text(ipam.allocate("a", false, ip("10.3.0.9"))), "no configured subnet contains IP address 10.3.0.9");
  ipam.remove_network("a");
  EXPECT_EQ(address_text(ipam.add_network(network("b", "10.2.0.0/24"))), "10.2.0.1") << "both are given back";
}

TEST(Ipam, AllocatesEveryAddressOnceAndThenSaysSo) {
  Ipam ipam;
  ASSERT_TRUE(ipam.add_network(network("a", "10.1.0.0/29")).ok());
  std::set<std::string> all;
  for (int i = 0; i < 5; ++i) all.insert(address_text(ipam.allocate("a", false)));
  EXPECT_EQ(all, (std::set<std::string>{"10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"}));
  EXPECT_EQ(address_text(ipam.allocate("a", false)),
            "no available IPv4 addresses on this network's address pools: net-a (a)");
  ipam.release("a", ip("10.1.0.4"));
  EXPECT_EQ(address_text(ipam.allocate("a", false)), "10.1.0.4");
}

TEST(Ipam, AnAddressThatWasGivenBackIsUsedAgainLast) {
  Ipam ipam;
  ASSERT_TRUE(ipam.add_network(network("a", "10.1.0.0/29")).ok());
  EXPECT_EQ(address_text(ipam.allocate("a", false)), "10.1.0.2");
  ipam.release("a", ip("10.1.0.2"));
  for (const char* next : {"10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6", "10.1.0.2"}) {
    EXPECT_EQ(address_text(ipam.allocate("a", false)), next);
  }
}

TEST(Ipam, WantedAddressesAreGivenOrRefusedInDockersWords) {
  Ipam ipam;
  ASSERT_TRUE(ipam.add_network(network("a", "10.1.0.0/24")).ok());
  EXPECT_EQ(address_text(ipam.allocate("a", false, ip("10.1.0.7"))), "10.1.0.7");
  EXPECT_EQ(address_text(ipam.allocate("a", false, ip("10.1.0.7"))), "Address already in use");
  EXPECT_EQ(address_text(ipam.allocate("a", false, ip("10.1.0.1"))), "Address already in use") << "the gateway";
  EXPECT_EQ(address_text(ipam.allocate("a", false, ip("10.2.0.1"))), "no configured subnet contains IP address 10.2.0.1");
  EXPECT_EQ(address_text(ipam.allocate("b", false, ip("10.2.0.1"))), "no configured subnet contains IP address 10.2.0.1");
  ipam.release("a", ip("10.1.0.7"));
  EXPECT_EQ(address_text(ipam.allocate("a", false, ip("10.1.0.7"))), "10.1.0.7");
}

TEST(Ipam, GatewayAndReservedAddressesAreNeverGivenBack) {
  Ipam ipam;
  Ipam::Network with = network("a", "10.1.0.0/29");
  with.reserved = {ip("10.1.0.3")};
  ASSERT_TRUE(ipam.add_network(with).ok());
  for (const char* kept : {"10.1.0.0", "10.1.0.1", "10.1.0.3", "10.1.0.7"}) ipam.release("a", ip(kept));
  for (const char* next : {"10.1.0.2", "10.1.0.4", "10.1.0.5", "10.1.0.6"}) {
    EXPECT_EQ(address_text(ipam.allocate("a", false)), next);
  }
  EXPECT_FALSE(ipam.allocate("a", false).ok());
}

TEST(Ipam, AddressesComeFromTheRangeButWantedOnesFromTheSubnet) {
  Ipam ipam;
  Ipam::Network ranged = network("a", "10.1.0.0/16");
  ranged.range = subnet("10.1.5.0/30");
  EXPECT_EQ(address_text(ipam.add_network(ranged)), "10.1.0.1");
  for (const char* next : {"10.1.5.0", "10.1.5.1", "10.1.5.2", "10.1.5.3"}) {
    EXPECT_EQ(address_text(ipam.allocate("a", false)), next);
  }
  EXPECT_FALSE(ipam.allocate("a", false).ok());
  EXPECT_EQ(address_text(ipam.allocate("a", false, ip("10.1.9.9"))), "10.1.9.9");
}

TEST(Ipam, SmallSubnetsUseEveryAddress) {
  Ipam ipam;
  EXPECT_EQ(address_text(ipam.add_network(network("a", "10.1.0.0/31"))), "10.1.0.0");
  EXPECT_EQ(address_text(ipam.allocate("a", false)), "10.1.0.1");
  EXPECT_FALSE(ipam.allocate("a", false).ok());
}

TEST(Ipam, Ipv6NetworksAreAsBigAsTheyAre) {
  Ipam ipam;
  EXPECT_EQ(address_text(ipam.add_network(network("a", "fd00:1::/64"))), "fd00:1::1");
  EXPECT_EQ(address_text(ipam.allocate("a", true)), "fd00:1::2");
  EXPECT_EQ(address_text(ipam.allocate("a", true, ip("fd00:1::ffff:ffff:ffff:ffff"))), "fd00:1::ffff:ffff:ffff:ffff");
  ipam.release("a", ip("fd00:1::ffff:ffff:ffff:ffff"));
  EXPECT_EQ(address_text(ipam.allocate("a", true, ip("fd00:1::ffff:ffff:ffff:ffff"))), "fd00:1::ffff:ffff:ffff:ffff");
  EXPECT_EQ(address_text(ipam.allocate("a", false)), "network a has no IPv4 subnet");
}

TEST(Ipam, ManyAllocationsAndReleasesKeepTheirAccounts) {
  Ipam ipam;
  ASSERT_TRUE(ipam.add_network(network("a", "10.1.0.0/24")).ok());
  SeededRandom random(42);
  std::set<IpAddress> held;
  for (int i = 0; i < 20000; ++i) {
    if (held.size() < 253 && random.below(2) == 0) {
      auto address = ipam.allocate("a", false);
      ASSERT_TRUE(address.ok()) << held.size();
      ASSERT_TRUE(held.insert(*address).second) << address->to_string();
    } else if (!held.empty()) {
      auto at = std::next(held.begin(), static_cast<ptrdiff_t>(random.below(held.size())));
      ipam.release("a", *at);
      held.erase(at);
    }
  }
}

}  // namespace
}  // namespace gantry::net
