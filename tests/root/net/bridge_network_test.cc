#include "net/nft_batch.h"
#include "root/net/fixture.h"

namespace gantry::net {
namespace {

class BridgeNetwork : public NetworkTest {};
class Endpoint : public NetworkTest {};

// That Gantry turned forwarding on stands in its rules: without them it stays on. Here it was on before.
class BridgeNetworkWithoutItsRules : public NetworkTest {
 protected:
  BridgeNetworkWithoutItsRules() : NetworkTest(true) {}
};

TEST_F(BridgeNetwork, ContainersOfOneNetworkReachEachOtherWithTheirOwnAddresses) {
  FakeContainer web, db;
  BridgeConfig bridge = bridge_config(1);
  host.create(bridge);
  host.attach(endpoint_config(bridge, 2), web);
  host.attach(endpoint_config(bridge, 3), db);
  Server server(db.ns, "db", 5432);
  EXPECT_EQ(ask(web.ns, "172.30.1.3", 5432), "db sees 172.30.1.2");
  EXPECT_EQ(ask(host.ns, "172.30.1.3", 5432), "db sees 172.30.1.1");
}

BridgeConfig with_ipv6(BridgeConfig bridge, int number) {
  const std::string base = "fd00:" + std::to_string(number) + "::";
  bridge.subnet6 = subnet(base + "/64");
  bridge.gateway6 = ip(base + "1");
  return bridge;
}

EndpointConfig endpoint_with_ipv6(const BridgeConfig& bridge, int number) {
  EndpointConfig config = endpoint_config(bridge, number);
  config.address6 = bridge.subnet6->address().plus(static_cast<uint64_t>(number));
  config.subnet6 = bridge.subnet6;
  config.gateway6 = bridge.internal ? std::nullopt : bridge.gateway6;
  return config;
}

TEST_F(BridgeNetwork, ContainersOfDifferentNetworksDoNotReachEachOtherInEitherDirection) {
  const BridgeConfig one = with_ipv6(bridge_config(1), 1);
  const BridgeConfig two = with_ipv6(bridge_config(2), 2);
  host.create(one);
  host.create(two);
  FakeContainer& web = start(endpoint_with_ipv6(one, 2));
  FakeContainer& db = start(endpoint_with_ipv6(two, 2));
  Server web_server(web.ns, "web", 80);
  Server db_server(db.ns, "db", 80);
  EXPECT_EQ(ask(host.ns, "fd00:2::2", 80), "db sees fd00:2::1");
  EXPECT_EQ(ask_in_vain(web.ns, "172.30.2.2", 80), "timeout");
  EXPECT_EQ(ask_in_vain(db.ns, "172.30.1.2", 80), "timeout");
  EXPECT_EQ(ask_in_vain(web.ns, "fd00:2::2", 80), "timeout");
  EXPECT_EQ(ask_in_vain(db.ns, "fd00:1::2", 80), "timeout");
}

TEST_F(BridgeNetwork, TheHostsEndsTakeNoAddressOfTheirOwn) {
  const BridgeConfig bridge = with_ipv6(bridge_config(1), 1);
  host.create(bridge);
  for (int number : {2, 3}) start(endpoint_with_ipv6(bridge, number));
  const std::string all = traces(host.ns);
  EXPECT_NE(all.find("\n" + bridge.bridge_name + "    inet6 "), std::string::npos) << all;
  for (int number : {2, 3}) {
    const std::string name = endpoint_config(bridge, number).host_interface;
    EXPECT_EQ(all.find("\n" + name + "    inet"), std::string::npos) << all;
  }
}

// The kernel would make one for every processor and wait while it takes all but one away again.
TEST_F(BridgeNetwork, InterfacesHaveOneQueue) {
  host.create(bridge_config(1));
  const EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
  FakeContainer& web = start(endpoint);
  for (const auto& [place, name] : {std::pair(&host.ns, endpoint.host_interface), {&web.ns, std::string("eth0")}}) {
    const std::string all = traces(*place);
    const std::string line = all.substr(all.find(name + ":"), all.substr(all.find(name + ":")).find('\n'));
    EXPECT_NE(line.find("numtxqueues 1 numrxqueues 1 "), std::string::npos) << line;
  }
}

// The bridge does not watch who listens: with a thousand ports that is work for each at every start and end.
TEST_F(BridgeNetwork, MulticastReachesWhoeverJoinedTheGroup) {
  const BridgeConfig bridge = bridge_config(1);
  host.create(bridge);
  FakeContainer& db = start(bridge, 2);
  FakeContainer& web = start(bridge, 3);
  socklen_t size;
  const sockaddr_storage group = address_of("239.1.2.3", 5353, size);
  const Fd listener = db.ns.run([&] {
    Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&group), size), 0) << std::strerror(errno);
    ip_mreqn member{};
    member.imr_multiaddr = reinterpret_cast<const sockaddr_in&>(group).sin_addr;
    EXPECT_EQ(::setsockopt(fd.get(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &member, sizeof member), 0) << std::strerror(errno);
    return fd;
  });
  const Fd sender = web.ns.run([&] {
    Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&group), size), 0) << std::strerror(errno);
    return fd;
  });
  EXPECT_EQ(pass(sender, listener, "hello"), "hello");
  const std::string all = traces(host.ns);
  const std::string line =
      all.substr(all.find(bridge.bridge_name + ":"), all.substr(all.find(bridge.bridge_name + ":")).find('\n'));
  EXPECT_NE(line.find(" mcast_snooping 0 "), std::string::npos) << line;
}

TEST_F(BridgeNetwork, ContainersReachOutsideWithTheHostsAddress) {
  FakeContainer web;
  host.create(bridge_config(1));
  host.attach(endpoint_config(bridge_config(1), 2), web);
  Server server(outside, "internet", 80);
  EXPECT_EQ(ask(web.ns, "10.99.0.2", 80), "internet sees 10.99.0.1");
}

TEST_F(BridgeNetwork, OutsideDoesNotReachWhatIsNotPublished) {
  FakeContainer web;
  host.create(bridge_config(1));
  EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
  endpoint.ports = {published(8080, 80)};
  host.attach(endpoint, web);
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask_in_vain(outside, "172.30.1.2", 80), "timeout");
}

TEST_F(BridgeNetwork, InternalNetworkHasNoWayOutAndNoWayIn) {
  FakeContainer web, db;
  BridgeConfig bridge = bridge_config(1);
  bridge.internal = true;
  host.create(bridge);
  EndpointConfig first = endpoint_config(bridge, 2);
  first.gateway4 = bridge.gateway4;  // even with a route
  host.attach(first, web);
  host.attach(endpoint_config(bridge, 3), db);
  Server internet(outside, "internet", 80);
  Server server(db.ns, "db", 5432);
  EXPECT_EQ(ask(web.ns, "172.30.1.3", 5432), "db sees 172.30.1.2");
  EXPECT_EQ(ask_in_vain(web.ns, "10.99.0.2", 80), "timeout");
  EXPECT_EQ(ask_in_vain(outside, "172.30.1.3", 5432), "timeout");
}

INSTANTIATE_TEST_SUITE_P(BridgeNfCallIptables, EitherBridgeNetfilter, testing::Values("0", "1"));

TEST_P(EitherBridgeNetfilter, WithoutIccContainersReachOutsideButNotEachOther) {
  FakeContainer web, db;
  BridgeConfig bridge = bridge_config(1);
  bridge.icc = false;
  host.create(bridge);
  host.attach(endpoint_config(bridge, 2), web);
  host.attach(endpoint_config(bridge, 3), db);
  Server internet(outside, "internet", 80);
  Server server(db.ns, "db", 5432);
  EXPECT_EQ(ask(web.ns, "10.99.0.2", 80), "internet sees 10.99.0.1");
  EXPECT_NE(ask_in_vain(web.ns, "172.30.1.3", 5432), "db sees 172.30.1.2");
}

TEST_P(EitherBridgeNetfilter, ContainersOfOneNetworkReachEachOther) {
  FakeContainer web, db;
  host.create(bridge_config(1));
  host.attach(endpoint_config(bridge_config(1), 2), web);
  host.attach(endpoint_config(bridge_config(1), 3), db);
  Server server(db.ns, "db", 5432);
  EXPECT_EQ(ask(web.ns, "172.30.1.3", 5432), "db sees 172.30.1.2");
}

TEST_P(EitherBridgeNetfilter, PublishedPortAnswersFromEverywhere) {
  FakeContainer web, neighbour, stranger;
  host.create(bridge_config(1));
  host.create(bridge_config(2));
  EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
  endpoint.ports = {published(8080, 80)};
  host.attach(endpoint, web);
  host.attach(endpoint_config(bridge_config(1), 3), neighbour);
  host.attach(endpoint_config(bridge_config(2), 2), stranger);
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask(outside, "10.99.0.1", 8080), "web sees 10.99.0.2");
  EXPECT_EQ(ask(host.ns, "127.0.0.1", 8080), "web sees 172.30.1.1");
  EXPECT_EQ(ask(host.ns, "10.99.0.1", 8080), "web sees 10.99.0.1");
  EXPECT_EQ(ask(neighbour.ns, "10.99.0.1", 8080), "web sees 172.30.1.1") << "hairpin";
  EXPECT_EQ(ask(neighbour.ns, "172.30.1.1", 8080), "web sees 172.30.1.1") << "hairpin by the gateway's address";
  EXPECT_EQ(ask(web.ns, "10.99.0.1", 8080), "web sees 172.30.1.1") << "own published port";
  EXPECT_EQ(ask(stranger.ns, "10.99.0.1", 8080), "web sees 172.30.1.1") << "from another network";
}

TEST_F(BridgeNetwork, DetachLeavesNothing) {
  FakeContainer web;
  host.create(bridge_config(1));
  EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
  endpoint.ports = {published(8080, 80)};
  host.attach(endpoint, web);
  {
    Server server(web.ns, "web", 80);
    EXPECT_EQ(ask(host.ns, "127.0.0.1", 8080), "web sees 172.30.1.1");
  }
  host.detach(endpoint);
  EXPECT_EQ(host.interfaces(), std::vector<std::string>{"br-test1"});
  EXPECT_EQ(ask_in_vain(host.ns, "127.0.0.1", 8080), "Connection refused");
  host.detach(endpoint);  // twice is no error
  host.ns.run([&] {
    host.expect_ok(host.stack->remove_bridge(bridge_config(1)));
    host.expect_ok(host.stack->remove_bridge(bridge_config(1)));
    host.expect_ok(host.stack->tear_down());
    host.expect_ok(host.stack->tear_down());
    auto netfilter = open_netlink(NETLINK_NETFILTER);
    auto tables = list_tables(netfilter->get());
    EXPECT_TRUE(tables.ok() && tables->empty());
  });
  EXPECT_EQ(host.interfaces(), std::vector<std::string>{});
}

TEST_F(BridgeNetwork, DetachOfAnEndedContainerFreesItsPortAtOnceAndItsInterfaceWithTheNetwork) {
  auto web = std::make_unique<FakeContainer>();
  FakeContainer pinned;  // something still holds its namespace
  host.create(bridge_config(1));
  EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
  EndpointConfig other = endpoint_config(bridge_config(1), 3);
  endpoint.ports = {published(8080, 80)};
  host.attach(endpoint, *web);
  host.attach(other, pinned);
  web.reset();
  host.ns.run([&] {
    host.expect_ok(host.stack->detach_ended(endpoint));
    host.expect_ok(host.stack->detach_ended(other));
  });
  EXPECT_EQ(ask_in_vain(host.ns, "127.0.0.1", 8080), "Connection refused");
  host.ns.run([&] { host.expect_ok(host.stack->remove_bridge(bridge_config(1))); });
  EXPECT_EQ(host.interfaces(), std::vector<std::string>{});
}

TEST_F(BridgeNetwork, ARemovedBridgesRoutesAreGoneAtOnceAndItsNameCanBeUsedAgain) {
  FakeContainer web;
  for (int round = 0; round < 3; ++round) {
    host.create(bridge_config(1));
    EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
    host.attach(endpoint, web);
    {
      Server server(web.ns, "web", 80);
      EXPECT_EQ(ask(host.ns, "172.30.1.2", 80), "web sees 172.30.1.1") << "round " << round;
    }
    host.detach(endpoint);
    host.ns.run([&] {
      host.expect_ok(host.stack->remove_bridge(bridge_config(1)));
      auto route = open_netlink(NETLINK_ROUTE);
      auto link = find_link(route->get(), "br-test1");
      EXPECT_TRUE(link.ok() && (!*link || !(*link)->up));
      auto routes = on_link_routes(route->get());
      ASSERT_TRUE(routes.ok());
      for (const OnLinkRoute& one : *routes) EXPECT_NE(one.destination.to_string(), "172.30.1.0/24");
    });
  }
  host.ns.run([&] { host.expect_ok(host.stack->tear_down()); });
  EXPECT_EQ(host.interfaces(), std::vector<std::string>{});
}

TEST_F(BridgeNetwork, AnEndedContainersInterfaceNameCanBeUsedAgainAtOnce) {
  host.create(bridge_config(1));
  EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
  auto first = std::make_unique<FakeContainer>();
  FakeContainer second;
  host.attach(endpoint, *first);
  first.reset();
  host.ns.run([&] { host.expect_ok(host.stack->detach_ended(endpoint)); });
  host.attach(endpoint, second);
  host.renew();  // works off what it put off
  EXPECT_EQ(host.interfaces(), (std::vector<std::string>{"br-test1", endpoint.host_interface}));
}

TEST_F(BridgeNetwork, AttachedAgainAtOnceTheAddressAnswersWithItsNewMac) {
  FakeContainer client;
  host.create(bridge_config(1));
  host.attach(endpoint_config(bridge_config(1), 2), client);
  for (int round = 0; round < 3; ++round) {
    FakeContainer web;
    EndpointConfig endpoint = endpoint_config(bridge_config(1), 3);
    endpoint.mac.bytes[5] = static_cast<uint8_t>(round);
    host.attach(endpoint, web);
    Server server(web.ns, "web", 80);
    EXPECT_EQ(ask(client.ns, "172.30.1.3", 80, 500), "web sees 172.30.1.2");
    EXPECT_EQ(ask(host.ns, "172.30.1.3", 80, 500), "web sees 172.30.1.1");
    host.detach(endpoint);
  }
}

TEST_F(BridgeNetwork, AttachAgainMovesTheDefaultRoute) {
  FakeContainer web;
  host.create(bridge_config(1));
  host.create(bridge_config(2));
  EndpointConfig first = endpoint_config(bridge_config(1), 2, false);
  EndpointConfig second = endpoint_config(bridge_config(2), 2, true);
  second.container_interface = "eth1";
  host.attach(first, web);
  host.attach(second, web);
  Server server(outside, "internet", 80);
  EXPECT_EQ(ask(web.ns, "10.99.0.2", 80), "internet sees 10.99.0.1");
  host.detach(second);
  EXPECT_EQ(ask_in_vain(web.ns, "10.99.0.2", 80), "Network is unreachable");
  first.gateway4 = bridge_config(1).gateway4;
  host.attach(first, web);
  EXPECT_EQ(ask(web.ns, "10.99.0.2", 80), "internet sees 10.99.0.1");
}

TEST_F(BridgeNetworkWithoutItsRules, AreMadeAnewAndWhatACrashLeftIsRemoved) {
  FakeContainer web, old;
  host.create(bridge_config(1));
  host.create(bridge_config(2));
  EndpointConfig stale = endpoint_config(bridge_config(1), 9);
  stale.ports = {published(8080, 80)};
  host.attach(stale, old);
  EndpointConfig living = endpoint_config(bridge_config(1), 2);
  living.ports = {published(8080, 80)};
  host.renew();
  host.ns.run([&] {
    // Another program emptied the rules.
    NftBatch batch(NftFamily::inet, "gantry-test01");
    batch.delete_table();
    auto netfilter = open_netlink(NETLINK_NETFILTER);
    host.expect_ok(batch.commit(netfilter->get()));
  });
  host.ns.run([&] {
    host.expect_ok(host.stack->set_up());
    host.expect_ok(host.stack->create_bridge(bridge_config(1)));
    host.expect_ok(host.stack->attach(living, web.access()));
    host.expect_ok(host.stack->remove_all_but({bridge_config(1)}, {living}));
  });
  EXPECT_EQ(host.interfaces(), (std::vector<std::string>{"br-test1", living.host_interface}));
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask(host.ns, "127.0.0.1", 8080), "web sees 172.30.1.1");
}

// Removal marks interfaces first. A daemon that is killed in between leaves marked ones, which the store still has.
TEST_F(BridgeNetwork, WhatAKilledDaemonHadMarkedForRemovalIsTakenBackAndCanBeRemoved) {
  FakeContainer web;
  host.create(bridge_config(1));
  host.create(bridge_config(2));
  EndpointConfig living = endpoint_config(bridge_config(1), 2);
  host.attach(living, web);
  host.ns.run([&] {
    auto route = open_netlink(NETLINK_ROUTE);
    const auto group = (*find_link(route->get(), "br-test1"))->group;
    for (const std::string& name : {std::string("br-test1"), std::string("br-test2"), living.host_interface}) {
      NetlinkBatch batch;
      add_group_change(batch, name, group - 0x01000000);
      host.expect_ok(exchange(route->get(), batch));
    }
  });
  auto next = make_network_stack({.table_name = "gantry-test01"});
  host.ns.run([&] {
    host.expect_ok(next->set_up());
    host.expect_ok(next->create_bridge(bridge_config(1)));
    host.expect_ok(next->remove_all_but({bridge_config(1)}, {living}));
  });
  EXPECT_EQ(host.interfaces(), (std::vector<std::string>{"br-test1", living.host_interface}));
  host.ns.run([&] {
    host.expect_ok(next->detach(living));
    host.expect_ok(next->remove_bridge(bridge_config(1)));
  });
  EXPECT_EQ(host.interfaces(), std::vector<std::string>{});
}

TEST_F(BridgeNetwork, SetUpLeavesAnIntactTableAlone) {
  FakeContainer web;
  host.create(bridge_config(1));
  EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
  endpoint.ports = {published(8080, 80)};
  host.attach(endpoint, web);
  Server server(web.ns, "web", 80);
  auto next = make_network_stack({.table_name = "gantry-test01"});
  host.ns.run([&] { host.expect_ok(next->set_up()); });
  EXPECT_EQ(ask(host.ns, "127.0.0.1", 8080), "web sees 172.30.1.1");
}

TEST_F(BridgeNetwork, Ipv6WorksAsIpv4Does) {
  host.add_ipv6_outside(outside);
  const BridgeConfig bridge = with_ipv6(bridge_config(1), 1);
  host.create(bridge);
  EndpointConfig first = endpoint_with_ipv6(bridge, 2);
  first.ports = {published(8080, 80)};
  FakeContainer& web = start(first);
  FakeContainer& db = start(endpoint_with_ipv6(bridge, 3));
  Server server(web.ns, "web", 80);
  Server internet(outside, "internet", 80);
  EXPECT_EQ(ask(db.ns, "fd00:1::2", 80), "web sees fd00:1::3");
  EXPECT_EQ(ask(db.ns, "fd99::2", 80), "internet sees fd99::1");
  EXPECT_EQ(ask(outside, "fd99::1", 8080), "web sees fd99::2");
  EXPECT_EQ(ask(db.ns, "fd99::1", 8080), "web sees fd00:1::1") << "hairpin";
  EXPECT_EQ(ask_in_vain(outside, "fd00:1::2", 80), "timeout") << "not published";
}

TEST_F(BridgeNetwork, WhoComesSecondToASubnetGivesWay) {
  host.create(bridge_config(1));
  auto other = make_network_stack({.table_name = "gantry-test02"});
  host.ns.run([&] {
    host.expect_ok(other->set_up());
    BridgeConfig same = bridge_config(1);
    same.bridge_name = "br-other";
    same.gives_way = true;
    auto made = other->create_bridge(same);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().message(), "subnet 172.30.1.0/24 was taken by another program meanwhile");
    host.expect_ok(other->tear_down());
  });
  EXPECT_EQ(host.interfaces(), std::vector<std::string>{"br-test1"});
}

TEST_F(Endpoint, GetsItsLinkLocalAddressesAndSettings) {
  FakeContainer web, db;
  host.create(bridge_config(1));
  EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
  endpoint.container_interface = "front";
  endpoint.link_local = {ip("169.254.8.8")};
  endpoint.sysctls = {{"net.ipv4.conf.front.log_martians", "1"}};
  host.attach(endpoint, web);
  EXPECT_EQ(web.ns.run([] { return *read_file("/proc/sys/net/ipv4/conf/front/log_martians"); }), "1\n");
  EndpointConfig second = endpoint_config(bridge_config(1), 3);
  second.link_local = {ip("169.254.8.9")};
  host.attach(second, db);
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask(db.ns, "169.254.8.8", 80), "web sees 169.254.8.9");
  endpoint.container_interface = "eth5";
  endpoint.host_interface = "veth0bad";
  endpoint.link_local.clear();
  endpoint.sysctls = {{"net.ipv4.conf.eth5.no_such_setting", "1"}};
  auto refused = host.ns.run([&] { return host.stack->attach(endpoint, db.access()); });
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("setting net.ipv4.conf.eth5.no_such_setting=1"), std::string::npos);
  EXPECT_EQ(host.interfaces().size(), 3u) << "nothing of it is left";
}

}  // namespace
}  // namespace gantry::net
