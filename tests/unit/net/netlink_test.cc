#include "net/netlink.h"

#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/strings.h"
#include "net/firewall_elements.h"
#include "net/firewall_rules.h"
#include "net/links.h"
#include "unit/net/addresses.h"

namespace gantry::net {
namespace {

std::string hex(std::string_view text) { return to_hex({reinterpret_cast<const uint8_t*>(text.data()), text.size()}); }

TEST(NetlinkBatch, AttributesArePaddedAndNestsHoldTheirSize) {
  NetlinkBatch batch;
  batch.begin(RTM_NEWLINK, 0, "test");
  {
    auto outer = batch.nest(7);
    batch.attribute(1, std::string_view("ab"));
    auto inner = batch.nest(8);
    batch.number(2, uint16_t{0x0102});
  }
  batch.big_endian32(3, 1);
  Bytes body = batch.bytes().subspan(NLMSG_HDRLEN);
  ASSERT_EQ(body.size(), 4u + 8 + 4 + 8 + 8);
  auto attributes = parse_attributes(body);
  ASSERT_EQ(attributes.size(), 2u);
  EXPECT_EQ(attributes[0].type, 7);
  auto nested = parse_attributes(attributes[0].value);
  ASSERT_EQ(nested.size(), 2u);
  EXPECT_EQ(nested[0].text(), "ab");
  EXPECT_EQ(nested[1].type, 8);
  EXPECT_EQ(find_attribute(nested[1].value, 2)->number(), 0x0102u);
  EXPECT_EQ(attributes[1].big_endian(), 1u);
}

TEST(NetlinkBatch, BrokenAttributesEndTheList) {
  EXPECT_TRUE(parse_attributes({}).empty());
  const uint8_t too_long[] = {200, 0, 1, 0, 1, 2, 3, 4};
  EXPECT_TRUE(parse_attributes(Bytes(too_long)).empty());
  const uint8_t too_short[] = {3, 0, 1, 0};
  EXPECT_TRUE(parse_attributes(Bytes(too_short)).empty());
  const uint8_t one_and_rest[] = {5, 0, 1, 0, 9, 0, 0, 0, 1, 1};
  EXPECT_EQ(parse_attributes(Bytes(one_and_rest)).size(), 1u);
}

TEST(Netlink, ErrorsSayWhatWasBeingDone) {
  auto socket = open_netlink(NETLINK_ROUTE);
  ASSERT_TRUE(socket.ok());
  EXPECT_FALSE((*find_link(socket->get(), "nosuchinterface")).has_value());
  auto links = list_links(socket->get());
  ASSERT_TRUE(links.ok());
  EXPECT_TRUE(std::any_of(links->begin(), links->end(), [](const Link& link) { return link.name == "lo"; }));
  NetlinkBatch batch;
  add_group_change(batch, "nosuchinterface", 1);
  auto changed = exchange(socket->get(), batch);
  ASSERT_FALSE(changed.ok());
  EXPECT_TRUE(changed.error().message().starts_with("mark interface nosuchinterface")) << changed.error().message();
}

BridgeConfig bridge() {
  return {.network_id = "n",
          .bridge_name = "br-1",
          .subnet4 = *Subnet::parse("172.30.1.0/24"),
          .gateway4 = ip("172.30.1.1")};
}

std::string sets_of(const BridgeConfig& config) {
  std::vector<std::string> names;
  for (const SetElement& one : elements_of(config)) names.push_back(one.set->name);
  return join(names, " ");
}

TEST(FirewallElements, OfANetworkFollowItsOptions) {
  BridgeConfig config = bridge();
  EXPECT_EQ(sets_of(config), "bridges talk local4 local4 masquerade");
  config.icc = false;
  EXPECT_EQ(sets_of(config), "bridges local4 local4 masquerade");
  config.internal = true;
  EXPECT_EQ(sets_of(config), "bridges internal local4 local4");
  config = bridge();
  config.masquerade = false;
  config.subnet6 = *Subnet::parse("fd00::/64");
  EXPECT_EQ(sets_of(config), "bridges talk local4 local4 local6");
}

TEST(FirewallElements, OfAGatewayModeAreOfItsFamilyAlone) {
  BridgeConfig config = bridge();
  config.subnet6 = *Subnet::parse("fd00::/64");
  EXPECT_EQ(sets_of(config), "bridges talk local4 local4 local6 masquerade masquerade");
  config.mode6 = GatewayMode::routed;
  EXPECT_EQ(sets_of(config), "bridges talk local4 local4 local6 masquerade echo");
  config.mode4 = GatewayMode::nat_unprotected;
  EXPECT_EQ(sets_of(config), "bridges talk local4 local4 local6 masquerade unprotected echo");
  config.internal = true;
  config.mode6 = GatewayMode::isolated;
  EXPECT_EQ(sets_of(config), "bridges internal talk local4 local4 local6");
}

TEST(FirewallElements, OfARoutedPortAreItsContainersOwnAddresses) {
  EndpointConfig endpoint{.bridge_name = "br-1",
                          .address4 = ip("172.30.1.2"),
                          .address6 = ip("fd00::2"),
                          .ports = {{.host_port = 0, .container_port = 80}},
                          .routed4 = true,
                          .routed6 = true};
  const auto sets = [&] {
    std::vector<std::string> names;
    const auto elements = elements_of(endpoint);
    for (const SetElement& one : *elements) names.push_back(one.set->name);
    return join(names, " ");
  };
  EXPECT_EQ(sets(), "open4 open6");
  const auto elements = elements_of(endpoint);
  EXPECT_EQ(hex(elements->front().element.key), "ac1e0102" "06000000" "00500000");
  endpoint.ports[0].host_ip = "::";
  EXPECT_EQ(sets(), "open6");
  endpoint.publishes6 = false;
  EXPECT_EQ(sets(), "");
}

TEST(FirewallElements, OfASubnetSpanAllOfItButTheGateway) {
  const auto spans = [](const char* gateway) {
    BridgeConfig config = bridge();
    config.gateway4 = std::nullopt;
    if (*gateway != '\0') config.gateway4 = ip(gateway);
    std::string text;
    for (const SetElement& one : elements_of(config)) {
      if (one.set->name != "local4") continue;
      const std::string name = "62722d31000000000000000000000000";
      EXPECT_EQ(hex(one.element.key).substr(0, name.size()), name);
      EXPECT_EQ(hex(one.element.key_end).substr(0, name.size()), name);
      text += hex(one.element.key).substr(name.size()) + "-" + hex(one.element.key_end).substr(name.size()) + " ";
    }
    return text;
  };
  EXPECT_EQ(spans(""), "ac1e0100-ac1e01ff ");
  EXPECT_EQ(spans("172.30.1.1"), "ac1e0100-ac1e0100 ac1e0102-ac1e01ff ");
  EXPECT_EQ(spans("172.30.1.0"), "ac1e0101-ac1e01ff ");
  EXPECT_EQ(spans("172.30.1.255"), "ac1e0100-ac1e01fe ");
  EXPECT_EQ(spans("10.0.0.1"), "ac1e0100-ac1e01ff ") << "another's";
}

TEST(FirewallElements, OfPublishedPortsLeadToTheContainer) {
  struct Row {
    const char* host_ip;
    const char* want;
  };
  const Row rows[] = {
      {"",
       "publish4_any 06000000 1f900000 -> ac1e0102 00500000\n"
       "publish6_any 06000000 1f900000 -> fd000000000000000000000000000002 00500000\n"},
      {"0.0.0.0", "publish4_any 06000000 1f900000 -> ac1e0102 00500000\n"},
      {"127.0.0.1", "publish4 06000000 7f000001 1f900000 -> ac1e0102 00500000\n"},
      {"::", "publish6_any 06000000 1f900000 -> fd000000000000000000000000000002 00500000\n"},
  };
  for (const Row& row : rows) {
    EndpointConfig endpoint{.address4 = ip("172.30.1.2"), .address6 = ip("fd00::2")};
    endpoint.ports = {{.host_ip = row.host_ip, .host_port = 8080, .container_port = 80}};
    auto elements = elements_of(endpoint);
    ASSERT_TRUE(elements.ok());
    std::string got, want;
    for (const SetElement& one : *elements)
      got += one.set->name + hex(one.element.key) + "->" + hex(one.element.value) + "\n";
    for (char c : std::string_view(row.want)) {
      if (c != ' ') want += c;
    }
    EXPECT_EQ(got, want) << row.host_ip;
  }
}

TEST(FirewallRules, FingerprintIsTheSameEveryTime) {
  EXPECT_EQ(firewall_rules().fingerprint(), firewall_rules().fingerprint());
}

}  // namespace
}  // namespace gantry::net
