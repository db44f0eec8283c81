#include "cli/network_bodies.h"

#include <gtest/gtest.h>

namespace gantry::cli {
namespace {

std::string text_of_pools(const Result<std::vector<NetworkPoolRequest>>& pools) {
  if (!pools.ok()) return pools.error().message();
  std::string text;
  for (const NetworkPoolRequest& pool : *pools) {
    text += (text.empty() ? "" : "; ") + pool.subnet + " range " + pool.ip_range + " gateway " + pool.gateway;
    for (const auto& [name, address] : pool.aux_addresses) text += " " + name + "=" + address;
  }
  return text;
}

TEST(NetworkBodies, GatewaysAndRangesBelongToTheSubnetThatContainsThem) {
  EXPECT_EQ(text_of_pools(pools_of({"10.1.0.0/24", "fd00::/64"}, {"10.1.0.128/25"}, {"fd00::1", "10.1.0.1"}, {"nas=10.1.0.9"})),
            "10.1.0.0/24 range 10.1.0.128/25 gateway 10.1.0.1 nas=10.1.0.9; fd00::/64 range  gateway fd00::1");
  EXPECT_EQ(text_of_pools(pools_of({"10.1.0.0/24"}, {}, {"10.2.0.1"}, {})), "no matching subnet for gateway 10.2.0.1");
  EXPECT_EQ(text_of_pools(pools_of({"10.1.0.0/24"}, {"10.1.0.0/16"}, {}, {})), "no matching subnet for range 10.1.0.0/16");
  EXPECT_EQ(text_of_pools(pools_of({"10.1.0.0/24"}, {}, {"10.1.0.1", "10.1.0.2"}, {})),
            "cannot configure multiple gateways (10.1.0.1, 10.1.0.2) for the same subnet (10.1.0.0/24)");
  EXPECT_EQ(text_of_pools(pools_of({}, {}, {}, {"nas"})), "invalid auxiliary address \"nas\": must be NAME=ADDRESS");
}

TEST(NetworkBodies, AreDockersJson) {
  EXPECT_EQ(network_body({.name = "n", .driver = "bridge", .pools = {{.subnet = "10.1.0.0/24", .gateway = "10.1.0.1"}}}),
            R"({"Name":"n","Driver":"bridge","Options":{},"Labels":{},"Internal":false,"Attachable":false,)"
            R"("EnableIPv4":true,"EnableIPv6":false,"IPAM":{"Driver":"","Options":{},"Config":[{"Subnet":"10.1.0.0/24",)"
            R"("Gateway":"10.1.0.1"}]}})");
  EXPECT_EQ(connect_body({.container = "c", .aliases = {"a"}, .ipv4 = "10.1.0.9", .gw_priority = 3}),
            R"({"Container":"c","EndpointConfig":{"Aliases":["a"],"Links":[],"DriverOpts":{},)"
            R"("IPAMConfig":{"IPv4Address":"10.1.0.9"},"GwPriority":3}})");
  EXPECT_EQ(disconnect_body("c", true), R"({"Container":"c","Force":true})");
  EXPECT_EQ(*filters_text({"label=a", "label=b=c", "driver=bridge"}), R"({"label":["a","b=c"],"driver":["bridge"]})");
  EXPECT_FALSE(filters_text({"label"}).ok());
}

TEST(NetworkBodies, AnswersAreRead) {
  EXPECT_EQ(*created_id(R"({"Id":"abc","Warning":""})"), "abc");
  EXPECT_FALSE(created_id("{}").ok());
  EXPECT_EQ(*pruned_networks(R"({"NetworksDeleted":["a","b"]})"), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(pruned_networks(R"({"NetworksDeleted":null})")->empty());
}

}  // namespace
}  // namespace gantry::cli
