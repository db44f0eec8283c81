#include <cstdlib>

#include "net/nft_batch.h"
#include "root/net/fixture.h"

namespace gantry::net {
namespace {

// All elements of a table's sets, in order.
std::vector<std::string> list_sets_and_elements(const std::string& table) {
  std::vector<std::string> all;
  auto netfilter = open_netlink(NETLINK_NETFILTER);
  auto sets = list_sets(netfilter->get(), NftFamily::inet, table);
  for (const std::string& set : *sets) {
    auto elements = list_elements(netfilter->get(), NftFamily::inet, table, set);
    for (const NftElement& element : *elements) all.push_back(set + "\n" + element.key + "\n" + element.value);
  }
  std::sort(all.begin(), all.end());
  return all;
}

class Repair : public NetworkTest {};

// As an administrator would, with the programs of the system.
void command(const Namespace& where, const char* words) {
  where.run([&] { EXPECT_EQ(std::system(words), 0) << words; });  // NOLINT(cert-env33-c)
}

TEST_F(Repair, AfterNftFlushRulesetAllPortsAndNetworksComeBack) {
  host.create(bridge_config(1));
  host.create(bridge_config(2));
  FakeContainer& web = start(bridge_config(1), 2, {published(8080, 80)});
  FakeContainer& other = start(bridge_config(2), 2);
  Server server(web.ns, "web", 80);
  Server internet(outside, "internet", 80);
  const auto before = host.ns.run([] { return list_sets_and_elements("gantry-test01"); });
  for (const char* damage : {"nft flush ruleset", "nft delete table inet gantry-test01",
                             "nft flush chain inet gantry-test01 publish", "nft flush table inet gantry-test01"}) {
    ASSERT_EQ(ask(outside, "10.99.0.1", 8080), "web sees 10.99.0.2");
    command(host.ns, damage);
    EXPECT_EQ(ask_until(outside, "10.99.0.1", 8080, "web sees 10.99.0.2"), "web sees 10.99.0.2") << damage;
    EXPECT_EQ(ask_until(web.ns, "10.99.0.2", 80, "internet sees 10.99.0.1"), "internet sees 10.99.0.1") << damage;
    EXPECT_EQ(ask_in_vain(other.ns, "172.30.1.2", 80), "timeout") << "isolated as before, after " << damage;
    EXPECT_EQ(host.ns.run([] { return list_sets_and_elements("gantry-test01"); }), before) << damage;
  }
}

TEST_F(Repair, AFlushedRulesetDoesNotEndConnections) {
  host.create(bridge_config(1));
  FakeContainer& web = start(bridge_config(1), 2, {published(8080, 80), published(8081, 81)});
  Server another(web.ns, "web", 81);
  Fd listening = web.ns.run([] { return listen_on(80); });
  Fd client = outside.run([] { return connect_to("10.99.0.1", 8080); });
  Fd server(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(server);
  EXPECT_EQ(pass(client, server, "before"), "before");
  command(host.ns, "nft flush ruleset");
  EXPECT_EQ(ask_until(outside, "10.99.0.1", 8081, "web sees 10.99.0.2"), "web sees 10.99.0.2");
  EXPECT_EQ(pass(client, server, "after"), "after");
  EXPECT_EQ(pass(server, client, "and back"), "and back");
}

TEST_F(Repair, ADeletedBridgeComesBackWithItsContainers) {
  host.create(bridge_config(1));
  FakeContainer& web = start(bridge_config(1), 2, {published(8080, 80)});
  FakeContainer& db = start(bridge_config(1), 3);
  Server server(web.ns, "web", 80);
  ASSERT_EQ(ask(outside, "10.99.0.1", 8080), "web sees 10.99.0.2");
  ASSERT_EQ(ask(db.ns, "172.30.1.2", 80), "web sees 172.30.1.3");
  command(host.ns, "ip link delete br-test1");
  EXPECT_EQ(ask_until(db.ns, "172.30.1.2", 80, "web sees 172.30.1.3"), "web sees 172.30.1.3");
  EXPECT_EQ(ask_until(outside, "10.99.0.1", 8080, "web sees 10.99.0.2"), "web sees 10.99.0.2");
  EXPECT_EQ(ask_until(host.ns, "127.0.0.1", 8080, "web sees 172.30.1.1"), "web sees 172.30.1.1");
  host.ns.run([&] { host.expect_ok(host.stack->remove_bridge(bridge_config(1))); });
  EXPECT_EQ(host.interfaces(), std::vector<std::string>{}) << "our own removal is no damage";
}

TEST_F(Repair, BothAtOnce) {
  BridgeConfig quiet = bridge_config(1);
  quiet.icc = false;
  host.create(quiet);
  FakeContainer& web = start(quiet, 2, {published(8080, 80)});
  FakeContainer& db = start(quiet, 3);
  Server server(web.ns, "web", 80);
  command(host.ns, "ip link delete br-test1; nft flush ruleset");
  EXPECT_EQ(ask_until(outside, "10.99.0.1", 8080, "web sees 10.99.0.2"), "web sees 10.99.0.2");
  EXPECT_NE(ask_in_vain(db.ns, "172.30.1.2", 80), "web sees 172.30.1.3") << "still without ICC";
}

}  // namespace
}  // namespace gantry::net
