#include <cstdlib>

#include "net/nft_batch.h"
#include "root/net/fixture.h"

namespace gantry::net {
namespace {

class Forwarding : public testing::Test {
 protected:
  static void SetUpTestSuite() { NEEDS_NETWORK_NAMESPACES(); }
};

// As the programs leave them in nftables; made with nft itself.
struct Foreign {
  const char* name;
  const char* table;   // what `nft delete` needs to end it
  const char* rules;   // from shell to nft
  const char* before;  // of the accepts: the chain they belong in
};
constexpr Foreign kForeign[] = {
    {"iptables with -P FORWARD DROP", "ip filter",
     "table ip filter { chain FORWARD { type filter hook forward priority filter; policy drop; }; }", "FORWARD"},
    {"Docker", "ip filter",
     "table ip filter { chain DOCKER-USER { }; chain DOCKER-FORWARD { oifname docker0 drop; iifname docker0 accept; }; "
     "chain FORWARD { type filter hook forward priority filter; policy drop; jump DOCKER-USER; jump DOCKER-FORWARD; }; "
     "}",
     "DOCKER-USER"},
    {"firewalld", "inet firewalld",
     "table inet firewalld { chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept; "
     "ct state { established, related } accept; iifname lo accept; reject with icmpx admin-prohibited; }; }",
     "filter_FORWARD"},
    {"an administrator's own table", "inet strict",
     "table inet strict { chain through { type filter hook forward priority 5; policy drop; ct state established "
     "accept; }; }",
     "through"},
};

class ForeignFirewallOf : public NetworkTest, public testing::WithParamInterface<Foreign> {
 protected:
  void nft(const std::string& words) const {
    const std::string command = "echo '" + words + "' | nft -f -";
    host.ns.run([&] { EXPECT_EQ(std::system(command.c_str()), 0) << command; });  // NOLINT(cert-env33-c)
  }
  void end() const { nft("delete table " + std::string(GetParam().table)); }
  long marked() const {
    return host.ns.run([&] {
      auto netfilter = open_netlink(NETLINK_NETFILTER);
      const std::string table(GetParam().table);
      const auto family = table.starts_with("inet") ? NftFamily::inet : NftFamily::ipv4;
      auto rules = list_rules(netfilter->get(), family, table.substr(table.find(' ') + 1));
      return std::count_if(rules->begin(), rules->end(), [](const NftRuleInfo& rule) {
        return rule.comment == "gantry-test01 br-test1" && rule.chain == GetParam().before;
      });
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Programs, ForeignFirewallOf, testing::ValuesIn(kForeign),
                         [](const auto& info) { return "Number" + std::to_string(info.index); });

TEST_P(ForeignFirewallOf, LetsOurTrafficThroughAndNoOther) {
  SCOPED_TRACE(GetParam().name);
  nft(GetParam().rules);
  host.create(bridge_config(1));
  host.create(bridge_config(1));  // the rules are not put in twice
  FakeContainer& web = start(bridge_config(1), 2, {published(8080, 80)});
  Server internet(outside, "internet", 80);
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask(web.ns, "10.99.0.2", 80), "internet sees 10.99.0.1");
  EXPECT_EQ(ask(outside, "10.99.0.1", 8080), "web sees 10.99.0.2");
  EXPECT_NE(ask_in_vain(outside, "172.30.1.2", 80), "web sees 10.99.0.2") << "it is open for us, not for everybody";
  EXPECT_EQ(marked(), 2);
  host.ns.run([&] { host.expect_ok(host.stack->remove_bridge(bridge_config(1))); });
  EXPECT_EQ(marked(), 0);
  end();
}

TEST_P(ForeignFirewallOf, MayComeLaterAndBeReloaded) {
  SCOPED_TRACE(GetParam().name);
  host.create(bridge_config(1));
  FakeContainer& web = start(bridge_config(1), 2);
  Server internet(outside, "internet", 80);
  for (int reload = 0; reload < 2; ++reload) {
    nft(GetParam().rules);
    EXPECT_EQ(ask_until(web.ns, "10.99.0.2", 80, "internet sees 10.99.0.1"), "internet sees 10.99.0.1");
    for (int tries = 0; tries < 200 && marked() != 2; ++tries) ::poll(nullptr, 0, 20);
    EXPECT_EQ(marked(), 2);
    end();
  }
}

TEST_F(Forwarding, ThatWeTurnedOnIsForOurNetworksAloneAndEndsWithUs) {
  Namespace machine, left, right;
  auto add_side = [&](const char* name, const Namespace& side, const std::string& net) {
    machine.run([&] {
      auto route = open_netlink(NETLINK_ROUTE);
      lay_cable(route->get(), name, side);
      int index = (*find_link(route->get(), name))->index;
      ASSERT_TRUE(set_addresses(route->get(), index, name, {{ip(net + ".1"), 24}}).ok());
    });
    side.run([&] {
      auto route = open_netlink(NETLINK_ROUTE);
      NetlinkBatch batch;
      add_peer_set_up(batch, {.index = (*find_link(route->get(), "eth0"))->index,
                              .name = "eth0",
                              .addresses = {{ip(net + ".2"), 24}},
                              .gateway4 = ip(net + ".1")});
      ASSERT_TRUE(exchange(route->get(), batch).ok());
    });
  };
  add_side("left", left, "10.1.1");
  add_side("right", right, "10.1.2");
  Server server(right, "right", 80);
  auto forwarding = [&] { return machine.run([] { return read_file("/proc/sys/net/ipv4/ip_forward").value(); }); };
  // A new namespace takes this from the machine's own.
  machine.run([] { ASSERT_TRUE(write_file("/proc/sys/net/ipv4/ip_forward", "0").ok()); });
  auto stack = make_network_stack({.table_name = "gantry-test02"});
  auto other = make_network_stack({.table_name = "gantry-test03"});
  machine.run([&] {
    EXPECT_TRUE(stack->set_up().ok());
    EXPECT_TRUE(other->set_up().ok());
  });
  EXPECT_EQ(forwarding(), "1\n");
  EXPECT_EQ(ask_in_vain(left, "10.1.2.2", 80), "timeout") << "the machine was no router and is none now";
  machine.run([&] { EXPECT_TRUE(stack->tear_down().ok()); });
  EXPECT_EQ(forwarding(), "1\n") << "the other daemon needs it";
  EXPECT_EQ(ask_in_vain(left, "10.1.2.2", 80), "timeout");
  machine.run([&] { EXPECT_TRUE(other->tear_down().ok()); });
  EXPECT_EQ(forwarding(), "0\n");
}

}  // namespace
}  // namespace gantry::net
