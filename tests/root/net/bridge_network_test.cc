#include <fcntl.h>

#include "base/loop.h"
#include "net/forwarder.h"
#include "net/network.h"
#include "net/nft_batch.h"
#include "root/net/world.h"

namespace gantry::net {
namespace {

PortForward published(uint16_t host, uint16_t container, std::string host_ip = {}) {
  return {.protocol = IPPROTO_TCP, .host_ip = std::move(host_ip), .host_port = host, .container_port = container};
}

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

TEST(BridgeNetwork, ContainersOfOneNetworkReachEachOtherWithTheirOwnAddresses) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  FakeContainer web, db;
  BridgeConfig bridge = bridge_config(1);
  host.create(bridge);
  host.attach(endpoint_config(bridge, 2), web);
  host.attach(endpoint_config(bridge, 3), db);
  Server server(db.ns, "db", 5432);
  EXPECT_EQ(ask(web.ns, "172.30.1.3", 5432), "db sees 172.30.1.2");
  EXPECT_EQ(ask(host.ns, "172.30.1.3", 5432), "db sees 172.30.1.1");
}

TEST(BridgeNetwork, ContainersOfDifferentNetworksDoNotReachEachOther) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  FakeContainer web, db;
  host.create(bridge_config(1));
  host.create(bridge_config(2));
  host.attach(endpoint_config(bridge_config(1), 2), web);
  host.attach(endpoint_config(bridge_config(2), 2), db);
  Server server(db.ns, "db", 5432);
  EXPECT_EQ(ask_in_vain(web.ns, "172.30.2.2", 5432), "timeout");
}

TEST(BridgeNetwork, ContainersReachOutsideWithTheHostsAddress) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer web;
  host.connect_outside(outside);
  host.create(bridge_config(1));
  host.attach(endpoint_config(bridge_config(1), 2), web);
  Server server(outside, "internet", 80);
  EXPECT_EQ(ask(web.ns, "10.99.0.2", 80), "internet sees 10.99.0.1");
}

TEST(BridgeNetwork, OutsideDoesNotReachWhatIsNotPublished) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer web;
  host.connect_outside(outside);
  host.create(bridge_config(1));
  EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
  endpoint.ports = {published(8080, 80)};
  host.attach(endpoint, web);
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask_in_vain(outside, "172.30.1.2", 80), "timeout");
}

TEST(BridgeNetwork, InternalNetworkHasNoWayOutAndNoWayIn) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer web, db;
  host.connect_outside(outside);
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

// Whether packets inside a bridge are shown to the IP rules is up to the machine: everything must work either way.
class EitherBridgeNetfilter : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    NEEDS_NETWORK_NAMESPACES();
    const char* file = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    host = std::make_unique<Host>();
    if (::access(file, F_OK) != 0) {
      if (std::string(GetParam()) == "1") GTEST_SKIP() << "needs root: and br_netfilter";
      return;
    }
    host->ns.run([&] { host->expect_ok(write_file(file, GetParam())); });
  }
  std::unique_ptr<Host> host;
};
INSTANTIATE_TEST_SUITE_P(BridgeNfCallIptables, EitherBridgeNetfilter, testing::Values("0", "1"));

TEST_P(EitherBridgeNetfilter, WithoutIccContainersReachOutsideButNotEachOther) {
  Host& host = *this->host;
  Namespace outside;
  FakeContainer web, db;
  host.connect_outside(outside);
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
  Host& host = *this->host;
  FakeContainer web, db;
  host.create(bridge_config(1));
  host.attach(endpoint_config(bridge_config(1), 2), web);
  host.attach(endpoint_config(bridge_config(1), 3), db);
  Server server(db.ns, "db", 5432);
  EXPECT_EQ(ask(web.ns, "172.30.1.3", 5432), "db sees 172.30.1.2");
}

TEST_P(EitherBridgeNetfilter, PublishedPortAnswersFromEverywhere) {
  Host& host = *this->host;
  Namespace outside;
  FakeContainer web, neighbour, stranger;
  host.connect_outside(outside);
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

TEST(PublishedPort, OfTheHostsLoopbackIsClosedToOthers) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer web;
  host.connect_outside(outside);
  host.create(bridge_config(1));
  EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
  endpoint.ports = {published(8080, 80, "127.0.0.1")};
  host.attach(endpoint, web);
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask(host.ns, "127.0.0.1", 8080), "web sees 172.30.1.1");
  EXPECT_EQ(ask_in_vain(outside, "10.99.0.1", 8080), "Connection refused");
}

TEST(PublishedPort, OfOneAddressIsClosedOnOthers) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer web;
  host.connect_outside(outside);
  host.create(bridge_config(1));
  EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
  endpoint.ports = {published(8080, 80, "10.99.0.1")};
  host.attach(endpoint, web);
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask(outside, "10.99.0.1", 8080), "web sees 10.99.0.2");
  EXPECT_EQ(ask_in_vain(host.ns, "127.0.0.1", 8080), "Connection refused");
}

// A port as the engine publishes it: reserved, attached, and what the kernel cannot translate carried by a process, here
// a thread in the host's namespace.
class Published {
 public:
  Published(Host& host, EndpointConfig& endpoint, const std::vector<PortRequest>& ports) {
    host.ns.run([&] {
      auto held = host.stack->reserve_ports(
          ports, {.name = "web-1", .address4 = endpoint.address4, .address6 = endpoint.address6});
      if (!held.ok()) {
        error = held.error().message();
        return;
      }
      held_ = *std::move(held);
      endpoint.ports = held_->ports();
    });
    if (!held_) return;
    thread_ = std::thread([this, ns = host.ns.fd()] {
      CHECK(::setns(ns, CLONE_NEWNET) == 0);
      loop_.run();
      forwarder_.reset();
    });
    loop_.ask([this] {
      forwarder_ = std::make_unique<Forwarder>(loop_);
      for (const auto& carried : held_->carried()) {
        forwarder_->carry(carried.forward, Fd(::fcntl(carried.socket, F_DUPFD_CLOEXEC, 0)));
      }
    });
  }
  ~Published() {
    loop_.stop();
    if (thread_.joinable()) thread_.join();
  }
  std::string error;

 private:
  std::unique_ptr<PortReservation> held_;
  EventLoop loop_;
  std::unique_ptr<Forwarder> forwarder_;
  std::thread thread_;
};

TEST(PublishedPort, OfAContainerWithoutIpv6AnswersOnIpv6Too) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer web;
  host.connect_outside(outside);
  host.add_ipv6_outside(outside);
  host.create(bridge_config(1));
  EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
  Published published(host, endpoint, {{.host_first = 8080, .host_last = 8080, .container_port = 80}});
  ASSERT_EQ(published.error, "");
  host.attach(endpoint, web);
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask(host.ns, "127.0.0.1", 8080), "web sees 172.30.1.1");
  EXPECT_EQ(ask(host.ns, "::1", 8080), "web sees 172.30.1.1");
  EXPECT_EQ(ask(outside, "fd99::1", 8080), "web sees 172.30.1.1");
}

TEST(PublishedPort, OfAContainerWithIpv6AloneAnswersOnIpv4AndLocalhost) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer web;
  host.connect_outside(outside);
  host.add_ipv6_outside(outside);
  BridgeConfig bridge = bridge_config(1);
  bridge.subnet4.reset();
  bridge.gateway4.reset();
  bridge.subnet6 = subnet("fd00:1::/64");
  bridge.gateway6 = ip("fd00:1::1");
  host.create(bridge);
  EndpointConfig endpoint{.network_id = bridge.network_id,
                          .bridge_name = bridge.bridge_name,
                          .host_interface = "veth0six",
                          .container_interface = "eth0",
                          .mac = {{2, 0, 0, 0, 0, 6}},
                          .address6 = ip("fd00:1::2"),
                          .subnet6 = bridge.subnet6,
                          .gateway6 = bridge.gateway6};
  Published published(host, endpoint, {{.host_first = 8080, .host_last = 8080, .container_port = 80}});
  ASSERT_EQ(published.error, "");
  host.attach(endpoint, web);
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask(host.ns, "127.0.0.1", 8080), "web sees fd00:1::1");
  EXPECT_EQ(ask(host.ns, "::1", 8080), "web sees fd00:1::1");
  EXPECT_EQ(ask(outside, "fd99::1", 8080), "web sees fd99::2") << "translated by the kernel, with its own address";
  EXPECT_EQ(ask(outside, "10.99.0.1", 8080), "web sees fd00:1::1");
}

TEST(BridgeNetwork, DetachLeavesNothing) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
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

TEST(BridgeNetwork, DetachOfAnEndedContainerFreesItsPortAtOnceAndItsInterfaceWithTheNetwork) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
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

TEST(BridgeNetwork, AnEndedContainersInterfaceNameCanBeUsedAgainAtOnce) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  host.create(bridge_config(1));
  EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
  auto first = std::make_unique<FakeContainer>();
  FakeContainer second;
  host.attach(endpoint, *first);
  first.reset();
  host.ns.run([&] { host.expect_ok(host.stack->detach_ended(endpoint)); });
  host.attach(endpoint, second);
  host.stack = nullptr;  // works off what it put off
  EXPECT_EQ(host.interfaces(), (std::vector<std::string>{"br-test1", endpoint.host_interface}));
}

TEST(BridgeNetwork, AttachedAgainAtOnceTheAddressAnswersWithItsNewMac) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
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

TEST(BridgeNetwork, AttachAgainMovesTheDefaultRoute) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer web;
  host.connect_outside(outside);
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

TEST(BridgeNetwork, RemoveAllButRepairsWhatACrashLeft) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  FakeContainer web, old;
  host.create(bridge_config(1));
  host.create(bridge_config(2));
  EndpointConfig stale = endpoint_config(bridge_config(1), 9);
  stale.ports = {published(8080, 80)};
  host.attach(stale, old);
  EndpointConfig living = endpoint_config(bridge_config(1), 2);
  living.ports = {published(8080, 80)};
  host.ns.run([&] {
    // Another program emptied the rules.
    NftBatch batch(NftFamily::inet, "gantry-test01");
    batch.delete_table();
    auto netfilter = open_netlink(NETLINK_NETFILTER);
    host.expect_ok(batch.commit(netfilter->get()));
  });
  auto next = make_network_stack({.table_name = "gantry-test01"});  // the daemon's next life
  host.ns.run([&] {
    host.expect_ok(next->set_up());
    host.expect_ok(next->create_bridge(bridge_config(1)));
    host.expect_ok(next->attach(living, web.access()));
    host.expect_ok(next->remove_all_but({bridge_config(1)}, {living}));
  });
  EXPECT_EQ(host.interfaces(), (std::vector<std::string>{"br-test1", living.host_interface}));
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask(host.ns, "127.0.0.1", 8080), "web sees 172.30.1.1");
}

TEST(BridgeNetwork, SetUpLeavesAnIntactTableAlone) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
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

TEST(BridgeNetwork, Ipv6WorksAsIpv4Does) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer web, db;
  host.connect_outside(outside);
  host.add_ipv6_outside(outside);
  BridgeConfig bridge = bridge_config(1);
  bridge.subnet6 = subnet("fd00:1::/64");
  bridge.gateway6 = ip("fd00:1::1");
  host.create(bridge);
  auto endpoint = [&](int number) {
    EndpointConfig config = endpoint_config(bridge, number);
    config.address6 = bridge.subnet6->address().plus(static_cast<uint64_t>(number));
    config.subnet6 = bridge.subnet6;
    config.gateway6 = bridge.gateway6;
    return config;
  };
  EndpointConfig first = endpoint(2);
  first.ports = {published(8080, 80)};
  host.attach(first, web);
  host.attach(endpoint(3), db);
  Server server(web.ns, "web", 80);
  Server internet(outside, "internet", 80);
  EXPECT_EQ(ask(db.ns, "fd00:1::2", 80), "web sees fd00:1::3");
  EXPECT_EQ(ask(db.ns, "fd99::2", 80), "internet sees fd99::1");
  EXPECT_EQ(ask(outside, "fd99::1", 8080), "web sees fd99::2");
  EXPECT_EQ(ask(db.ns, "fd99::1", 8080), "web sees fd00:1::1") << "hairpin";
  EXPECT_EQ(ask_in_vain(outside, "fd00:1::2", 80), "timeout") << "not published";
}

TEST(ForeignFirewall, ThatDropsForwardedPacketsIsOpenedForOurBridgesOnly) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer web;
  host.connect_outside(outside);
  host.ns.run([&] {
    // As iptables with -P FORWARD DROP, or dockerd, leaves it. The policy is a last rule here: the batch has none.
    NftBatch batch(NftFamily::ipv4, "filter");
    batch.add_table();
    batch.add_base_chain({.name = "FORWARD", .type = "filter", .hook = 2 /* forward */, .priority = 0});
    batch.add_chain("DOCKER-USER");
    NftRule to_user, drop;
    batch.add_rule("FORWARD", to_user.jump("DOCKER-USER"));
    batch.add_rule("FORWARD", drop.drop());
    auto netfilter = open_netlink(NETLINK_NETFILTER);
    host.expect_ok(batch.commit(netfilter->get()));
  });
  host.create(bridge_config(1));
  host.create(bridge_config(1));  // the rules are not put in twice
  host.attach(endpoint_config(bridge_config(1), 2), web);
  Server internet(outside, "internet", 80);
  EXPECT_EQ(ask(web.ns, "10.99.0.2", 80), "internet sees 10.99.0.1");
  auto marked = [&] {
    return host.ns.run([&] {
      auto netfilter = open_netlink(NETLINK_NETFILTER);
      auto rules = list_rules(netfilter->get(), NftFamily::ipv4, "filter");
      return std::count_if(rules->begin(), rules->end(),
                           [](const NftRuleInfo& rule) { return rule.comment == "gantry-test01 br-test1"; });
    });
  };
  EXPECT_EQ(marked(), 2);
  host.ns.run([&] { host.expect_ok(host.stack->remove_bridge(bridge_config(1))); });
  EXPECT_EQ(marked(), 0);
}

TEST(PublishedPort, OfUdpReachesTheNewContainerThoughThePeerNeverPauses) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer first, second;
  host.connect_outside(outside);
  host.create(bridge_config(1));
  auto receiver = [](const FakeContainer& container) {
    return container.ns.run([] {
      Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      socklen_t size;
      auto address = address_of("0.0.0.0", 5353, size);
      CHECK(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
      return fd;
    });
  };
  auto arrives = [](const Fd& fd) {
    pollfd waiting{fd.get(), POLLIN, 0};
    char byte;
    return ::poll(&waiting, 1, 1000) == 1 && ::recv(fd.get(), &byte, 1, 0) == 1;
  };
  Fd sender = outside.run([] {
    Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    socklen_t size;
    auto address = address_of("10.99.0.1", 5300, size);
    CHECK(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    return fd;
  });
  PortForward port{.protocol = IPPROTO_UDP, .host_port = 5300, .container_port = 5353};
  EndpointConfig one = endpoint_config(bridge_config(1), 2);
  EndpointConfig two = endpoint_config(bridge_config(1), 3);
  one.ports = two.ports = {port};
  host.attach(one, first);
  Fd at_first = receiver(first);
  ASSERT_EQ(::send(sender.get(), "1", 1, 0), 1);
  EXPECT_TRUE(arrives(at_first));
  host.detach(one);
  host.attach(two, second);
  Fd at_second = receiver(second);
  ASSERT_EQ(::send(sender.get(), "2", 1, 0), 1);
  EXPECT_TRUE(arrives(at_second));
}

TEST(Forwarding, ThatWeTurnedOnIsForOurNetworksAloneAndEndsWithUs) {
  NEEDS_NETWORK_NAMESPACES();
  Namespace machine, left, right;
  auto add_side = [&](const char* name, const Namespace& side, const std::string& net) {
    machine.run([&] {
      auto route = open_netlink(NETLINK_ROUTE);
      NetlinkBatch batch;
      add_veth(batch,
               {.host_name = name, .peer_name = "eth0", .peer_netns = side.fd(), .peer_mac = {{2, 0, 0, 0, 0, 1}}});
      ASSERT_TRUE(exchange(route->get(), batch).ok());
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
  // A new namespace takes the host's setting.
  machine.run([] { EXPECT_TRUE(write_file("/proc/sys/net/ipv4/ip_forward", "0").ok()); });
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

// What "nft flush ruleset" and "ip link delete" do, and then waits until `question` has the answer: the repair comes by
// itself, at the kernel's notice.
std::string ask_until(const Namespace& from, const std::string& ip, uint16_t port, const std::string& wanted) {
  std::string answer;
  for (int tries = 0; tries < 100; ++tries) {
    answer = ask(from, ip, port, 200);
    if (answer == wanted) break;
    ::poll(nullptr, 0, 20);  // refused at once: the repair is another thread's
  }
  return answer;
}

TEST(Repair, AFlushedRulesetComesBackWithAllPortsAndNetworks) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer web, other;
  host.connect_outside(outside);
  host.create(bridge_config(1));
  host.create(bridge_config(2));
  EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
  endpoint.ports = {published(8080, 80)};
  host.attach(endpoint, web);
  host.attach(endpoint_config(bridge_config(2), 2), other);
  Server server(web.ns, "web", 80);
  ASSERT_EQ(ask(outside, "10.99.0.1", 8080), "web sees 10.99.0.2");
  const auto before = host.ns.run([] { return list_sets_and_elements("gantry-test01"); });
  host.ns.run([] {
    auto netfilter = open_netlink(NETLINK_NETFILTER);
    NftBatch batch(NftFamily::inet, "gantry-test01");
    batch.delete_table();
    EXPECT_TRUE(batch.commit(netfilter->get()).ok());
  });
  EXPECT_EQ(ask_until(outside, "10.99.0.1", 8080, "web sees 10.99.0.2"), "web sees 10.99.0.2");
  EXPECT_EQ(ask_in_vain(other.ns, "172.30.1.2", 80), "timeout") << "isolated as before";
  EXPECT_EQ(host.ns.run([] { return list_sets_and_elements("gantry-test01"); }), before);
}

TEST(Repair, ADeletedBridgeComesBackWithItsContainers) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer web, db;
  host.connect_outside(outside);
  host.create(bridge_config(1));
  EndpointConfig endpoint = endpoint_config(bridge_config(1), 2);
  endpoint.ports = {published(8080, 80)};
  host.attach(endpoint, web);
  host.attach(endpoint_config(bridge_config(1), 3), db);
  Server server(web.ns, "web", 80);
  ASSERT_EQ(ask(outside, "10.99.0.1", 8080), "web sees 10.99.0.2");
  host.ns.run([&] {
    auto route = open_netlink(NETLINK_ROUTE);
    host.expect_ok(delete_link(route->get(), "br-test1"));
  });
  EXPECT_EQ(ask_until(db.ns, "172.30.1.2", 80, "web sees 172.30.1.3"), "web sees 172.30.1.3");
  EXPECT_EQ(ask_until(outside, "10.99.0.1", 8080, "web sees 10.99.0.2"), "web sees 10.99.0.2");
  host.ns.run([&] { host.expect_ok(host.stack->remove_bridge(bridge_config(1))); });
  EXPECT_EQ(host.interfaces(), std::vector<std::string>{"uplink"}) << "our own removal is no damage";
}

TEST(BridgeNetwork, WhoComesSecondToASubnetGivesWay) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
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

TEST(Macvlan, ContainersAreReachedAtTheirOwnAddressOnTheHostsNetwork) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer web, db;
  host.connect_outside(outside);
  BridgeConfig network = bridge_config(1);
  network.bridge_name = "mv-test1";
  network.parent = ParentLink{.interface = "uplink"};
  network.subnet4 = subnet("10.99.0.0/24");
  network.gateway4 = ip("10.99.0.2");
  host.create(network);
  auto endpoint = [&](int number) {
    EndpointConfig config = endpoint_config(network, number);
    config.parent = network.parent;
    return config;
  };
  host.attach(endpoint(10), web);
  host.attach(endpoint(11), db);
  Server server(web.ns, "web", 80);
  Server internet(outside, "internet", 80);
  EXPECT_EQ(ask(outside, "10.99.0.10", 80), "web sees 10.99.0.2");
  EXPECT_EQ(ask(db.ns, "10.99.0.10", 80), "web sees 10.99.0.11");
  EXPECT_EQ(ask(db.ns, "10.99.0.2", 80), "internet sees 10.99.0.11");
  host.ns.run([&] {
    const NetnsAccess access = db.access();
    host.expect_ok(host.stack->detach(endpoint(11), &access));
  });
  EXPECT_EQ(ask(db.ns, "10.99.0.10", 80), "Network is unreachable");
  host.ns.run([&] { host.expect_ok(host.stack->remove_bridge(network)); });
  EXPECT_EQ(host.interfaces(), std::vector<std::string>{"uplink"}) << "the parent is not ours";
}

TEST(Macvlan, PrivateModeKeepsContainersApart) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer web, db;
  host.connect_outside(outside);
  BridgeConfig network = bridge_config(1);
  network.parent = ParentLink{.interface = "uplink", .mode = "private"};
  network.subnet4 = subnet("10.99.0.0/24");
  network.gateway4 = ip("10.99.0.2");
  host.create(network);
  for (auto [number, container] : {std::pair{10, &web}, {11, &db}}) {
    EndpointConfig config = endpoint_config(network, number);
    config.parent = network.parent;
    host.attach(config, *container);
  }
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask(outside, "10.99.0.10", 80), "web sees 10.99.0.2");
  EXPECT_NE(ask(db.ns, "10.99.0.10", 80, 300), "web sees 10.99.0.11");
}

TEST(Macvlan, WithoutAParentContainersHaveEachOtherAlone) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  FakeContainer web, db;
  BridgeConfig network = bridge_config(1);
  network.parent = ParentLink{};
  host.create(network);
  for (auto [number, container] : {std::pair{2, &web}, {3, &db}}) {
    EndpointConfig config = endpoint_config(network, number, false);
    config.parent = network.parent;
    host.attach(config, *container);
  }
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask(db.ns, "172.30.1.2", 80), "web sees 172.30.1.3");
  EXPECT_NE(ask(host.ns, "172.30.1.2", 80, 300), "web sees 172.30.1.1");
  host.ns.run([&] { host.expect_ok(host.stack->remove_bridge(network)); });
  EXPECT_EQ(host.interfaces(), std::vector<std::string>{});
}

TEST(Ipvlan, WorksOrSaysThatTheKernelHasNone) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
  Namespace outside;
  FakeContainer web;
  host.connect_outside(outside);
  for (const char* mode : {"l2", "l3"}) {
    BridgeConfig network = bridge_config(1);
    network.parent = ParentLink{.kind = ParentLink::Kind::ipvlan, .interface = "uplink", .mode = mode};
    network.subnet4 = subnet("10.99.0.0/24");
    network.gateway4 = ip("10.99.0.2");
    host.create(network);
    EndpointConfig config = endpoint_config(network, 10);
    config.parent = network.parent;
    auto attached = host.ns.run([&] { return host.stack->attach(config, web.access()); });
    if (!attached.ok()) {
      EXPECT_EQ(attached.error().code(), Code::unsupported) << attached.error().message();
      EXPECT_TRUE(attached.error().message().find("ipvlan") != std::string::npos) << attached.error().message();
      GTEST_SKIP() << "no ipvlan here";
    }
    Server server(web.ns, "web", 80);
    EXPECT_EQ(ask(outside, "10.99.0.10", 80), "web sees 10.99.0.2") << mode;
    host.ns.run([&] {
      const NetnsAccess access = web.access();
      host.expect_ok(host.stack->detach(config, &access));
    });
  }
}

TEST(Endpoint, GetsItsLinkLocalAddressesAndSettings) {
  NEEDS_NETWORK_NAMESPACES();
  Host host;
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
