#include "engine/network_options.h"

#include <gtest/gtest.h>

#include "net/endpoint_sysctls.h"

namespace gantry::engine {
namespace {

std::string text_of(const Result<>& result) { return result.ok() ? "fine" : result.error().message(); }

TEST(NetworkOptions, WhatCannotBeMeantIsRefusedWithWhatWouldBeRight) {
  struct Row {
    NetworkSpec spec;
    std::string message;
  };
  const std::vector<Row> rows = {
      {{.name = "n"}, "fine"},
      {{.name = "n", .driver = "default"}, "fine"},
      {{.name = ""}, "invalid name: name is empty"},
      {{.name = "a b"}, "invalid network name \"a b\": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
      {{.name = "n", .driver = "host"}, "only one instance of \"host\" network is allowed"},
      {{.name = "n", .driver = "overlay"}, "plugin \"overlay\" not found"},
      {{.name = "n", .options = {{"com.docker.network.bridge.enable_icc", "maybe"}}},
       "invalid value \"maybe\" of network option com.docker.network.bridge.enable_icc: true or false"},
      {{.name = "n", .options = {{"com.docker.network.bridge.gateway_mode_ipv4", "nat-unprotected"},
                                 {"com.docker.network.bridge.gateway_mode_ipv6", "routed"}}},
       "fine"},
      {{.name = "n", .options = {{"com.docker.network.bridge.gateway_mode_ipv4", "Routed"}}},
       "invalid value \"Routed\" of network option com.docker.network.bridge.gateway_mode_ipv4: must be one of nat, "
       "nat-unprotected, routed, isolated"},
      {{.name = "n", .options = {{"com.docker.network.bridge.gateway_mode_ipv6", "isolated"}}},
       "gateway mode 'isolated' can only be used for an internal network"},
      {{.name = "n", .options = {{"com.docker.network.bridge.gateway_mode_ipv6", "isolated"}}, .internal = true}, "fine"},
      {{.name = "n", .options = {{"com.gantry.isolated", "true"}}}, "fine"},
      {{.name = "n", .options = {{"com.gantry.big_tcp", "false"}}}, "fine"},
      {{.name = "n", .options = {{"com.gantry.big_tcp", "off"}}},
       "invalid value \"off\" of network option com.gantry.big_tcp: true or false"},
      {{.name = "n", .options = {{"com.gantry.isolated", "yes"}}},
       "invalid value \"yes\" of network option com.gantry.isolated: true or false"},
      {{.name = "n", .options = {{"com.gantry.isolated", "true"}, {"com.docker.network.bridge.gateway_mode_ipv4", "routed"}}},
       "network option com.docker.network.bridge.gateway_mode_ipv4=routed does not go with com.gantry.isolated: nobody outside "
       "has a route to such a network"},
      {{.name = "n", .driver = "macvlan", .options = {{"com.gantry.isolated", "true"}}},
       "network option \"com.gantry.isolated\" is not supported by driver \"macvlan\""},
      {{.name = "n", .driver = "ipvlan", .options = {{"com.docker.network.bridge.gateway_mode_ipv4", "nat"}}},
       "network option \"com.docker.network.bridge.gateway_mode_ipv4\" is not supported by driver \"ipvlan\""},
      {{.name = "n", .options = {{"parent", "eth0"}}}, "network option \"parent\" is not supported by driver \"bridge\""},
      {{.name = "n", .options = {{"com.docker.network.driver.mtu", "9"}}}, "invalid MTU: 9"},
      {{.name = "n", .options = {{"com.docker.network.bridge.name", "much-too-long-name"}}},
       "invalid bridge name \"much-too-long-name\": 1 to 15 characters, no slash"},
      {{.name = "n", .driver = "macvlan", .options = {{"parent", "eth0.50"}, {"macvlan_mode", "vepa"}}}, "fine"},
      {{.name = "n", .driver = "macvlan", .options = {{"macvlan_mode", "l2"}}},
       "invalid macvlan_mode \"l2\": must be one of bridge, private, vepa, passthru"},
      {{.name = "n", .driver = "ipvlan", .options = {{"ipvlan_mode", "l3s"}, {"ipvlan_flag", "private"}}}, "fine"},
      {{.name = "n", .driver = "macvlan", .options = {{"parent", "eth0"}}, .internal = true},
       "an internal network has no parent interface: leave out the option \"parent\""},
      {{.name = "n", .ipam_driver = "dhcp"}, "IPAM driver \"dhcp\" is not supported: use \"default\""},
      {{.name = "n", .enable_ipv4 = false}, "invalid network config:\nIPv4 or IPv6 must be enabled"},
  };
  for (const Row& row : rows) EXPECT_EQ(text_of(check_network(row.spec)), row.message);
}

TEST(NetworkOptions, PoolsMustFitTogether) {
  const auto check = [](IpamPool pool, bool v6 = false) {
    return text_of(check_network({.name = "n", .pools = {std::move(pool)}, .enable_ipv6 = v6}));
  };
  const std::string head = "invalid network config:\n";
  EXPECT_EQ(check({.subnet = "10.1.0.0/24", .ip_range = "10.1.0.128/25", .gateway = "10.1.0.1"}), "fine");
  EXPECT_EQ(check({.subnet = "10.1.0.0"}), head + "invalid subnet 10.1.0.0: invalid CIDR block notation");
  EXPECT_EQ(check({.subnet = "10.1.0.0/24", .ip_range = "10.2.0.0/25"}),
            head + "invalid ip-range 10.2.0.0/25: it is not within subnet 10.1.0.0/24");
  EXPECT_EQ(check({.subnet = "10.1.0.0/24", .gateway = "10.2.0.1"}),
            head + "invalid gateway 10.2.0.1: parent subnet is 10.1.0.0/24");
  EXPECT_EQ(check({.subnet = "10.1.0.0/24", .aux_addresses = {{"router", "10.2.0.9"}}}),
            head + "invalid auxiliary address router=10.2.0.9: parent subnet is 10.1.0.0/24");
  EXPECT_EQ(check({.gateway = "10.2.0.1"}), head + "a gateway, address range or auxiliary address needs a subnet");
  EXPECT_EQ(check({.subnet = "fd00::/64"}), head + "an IPv6 subnet needs IPv6: set enable_ipv6 (--ipv6)");
  EXPECT_EQ(check({.subnet = "fd00::/64"}, true), "fine");
  NetworkSpec two{.name = "n", .pools = {{.subnet = "10.1.0.0/24"}, {.subnet = "10.2.0.0/24"}}};
  EXPECT_EQ(text_of(check_network(two)), "bridge driver doesn't support multiple subnets");
  two.driver = "macvlan";
  EXPECT_EQ(text_of(check_network(two)), "fine");
  two.driver = "ipvlan";
  EXPECT_EQ(text_of(check_network(two)), "fine");
}

TEST(NetworkOptions, OfAnEndpointAreChecked) {
  EXPECT_EQ(text_of(check_endpoint({.ipv4_address = "10.1.0.2", .interface_name = "front0"})), "fine");
  EXPECT_EQ(text_of(check_endpoint({.ipv4_address = "fd00::1"})), "invalid IPv4 address \"fd00::1\"");
  EXPECT_EQ(text_of(check_endpoint({.interface_name = "lo"})),
            "invalid interface name \"lo\": 1 to 15 characters, no slash, colon or space, and not \"lo\"");
  EXPECT_EQ(text_of(check_endpoint({.driver_options = {{"speed", "fast"}}})),
            "driver option \"speed\" of a network endpoint is not supported");
  EXPECT_EQ(text_of(check_endpoint({.driver_options = {{kEndpointSysctls, "net.ipv4.ip_forward=1"}}})),
            "invalid endpoint sysctl \"net.ipv4.ip_forward=1\": it must look like "
            "net.ipv4.conf.IFNAME.log_martians=1, with IFNAME as it is written here");
}

TEST(NetworkOptions, SysctlsAreForTheInterfaceAlone) {
  auto settings = net::parse_endpoint_sysctls("net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.accept_ra=2", "eth0.5");
  ASSERT_TRUE(settings.ok()) << settings.error().message();
  ASSERT_EQ(settings->size(), 2u);
  EXPECT_EQ((*settings)[0].first, "net.ipv4.conf.eth0/5.log_martians") << "a slash stands for a dot";
  EXPECT_EQ((*settings)[1].second, "2");
  for (const char* bad : {"net.ipv4.conf.all.log_martians=1", "net.ipv4.conf.IFNAME.x/../../y=1", "kernel.IFNAME=1", "",
                          "net.ipv4.conf.IFNAME.log_martians"}) {
    EXPECT_FALSE(net::parse_endpoint_sysctls(bad, "eth0").ok()) << bad;
  }
}

TEST(NetworkOptions, DecideWhetherSomethingLeadsOut) {
  EXPECT_TRUE(leads_out({.name = "n", .driver = "bridge"}));
  EXPECT_FALSE(leads_out({.name = "n", .driver = "bridge", .internal = true}));
  EXPECT_TRUE(leads_out({.name = "n", .driver = "macvlan", .options = {{"parent", "eth0"}}}));
  EXPECT_FALSE(leads_out({.name = "n", .driver = "macvlan"}));
}

}  // namespace
}  // namespace gantry::engine
