#include "root/net/fixture.h"

namespace gantry::net {
namespace {

class OnUplink : public NetworkTest {
 protected:
  // A network on the host's own one, whose router is the machine outside.
  static BridgeConfig on_uplink(ParentLink parent) {
    BridgeConfig network = bridge_config(1);
    network.bridge_name = "mv-test1";
    parent.interface = "uplink";
    network.parent = std::move(parent);
    network.subnet4 = subnet("10.99.0.0/24");
    network.gateway4 = ip("10.99.0.2");
    return network;
  }
  static EndpointConfig endpoint(const BridgeConfig& network, int number) {
    EndpointConfig config = endpoint_config(network, number);
    config.parent = network.parent;
    return config;
  }
};
class Macvlan : public OnUplink {};
class Ipvlan : public OnUplink {};

TEST_F(Macvlan, ContainersAreReachedAtTheirOwnAddressOnTheHostsNetwork) {
  const BridgeConfig network = on_uplink({});
  host.create(network);
  FakeContainer& web = start(endpoint(network, 10));
  FakeContainer& db = start(endpoint(network, 11));
  Server server(web.ns, "web", 80);
  Server internet(outside, "internet", 80);
  EXPECT_EQ(ask(outside, "10.99.0.10", 80), "web sees 10.99.0.2");
  EXPECT_EQ(ask(db.ns, "10.99.0.10", 80), "web sees 10.99.0.11");
  EXPECT_EQ(ask(db.ns, "10.99.0.2", 80), "internet sees 10.99.0.11");
  host.ns.run([&] {
    const NetnsAccess access = db.access();
    host.expect_ok(host.stack->detach(endpoint(network, 11), &access));
  });
  EXPECT_EQ(ask(db.ns, "10.99.0.10", 80), "Network is unreachable");
  host.ns.run([&] { host.expect_ok(host.stack->remove_bridge(network)); });
  EXPECT_TRUE(host.ns.has_interface("uplink")) << "the parent is not ours";
}

// In vepa mode a switch outside would have to send back what is for a neighbour; this one does not.
TEST_F(Macvlan, PrivateAndVepaModesKeepContainersApart) {
  for (const char* mode : {"private", "vepa"}) {
    const BridgeConfig network = on_uplink({.mode = mode});
    host.create(network);
    FakeContainer web, db;
    host.attach(endpoint(network, 10), web);
    host.attach(endpoint(network, 11), db);
    Server server(web.ns, "web", 80);
    EXPECT_EQ(ask(outside, "10.99.0.10", 80), "web sees 10.99.0.2") << mode;
    EXPECT_NE(ask_in_vain(db.ns, "10.99.0.10", 80), "web sees 10.99.0.11") << mode;
    for (FakeContainer* container : {&web, &db}) {
      const NetnsAccess access = container->access();
      host.ns.run([&] { host.expect_ok(host.stack->detach(endpoint(network, 0), &access)); });
    }
  }
}

TEST_F(Macvlan, PassthruGivesTheParentToOneContainer) {
  const BridgeConfig network = on_uplink({.mode = "passthru"});
  host.create(network);
  FakeContainer& web = start(endpoint(network, 10));
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask(outside, "10.99.0.10", 80), "web sees 10.99.0.2");
  FakeContainer second;
  EXPECT_FALSE(host.ns.run([&] { return host.stack->attach(endpoint(network, 11), second.access()); }).ok());
  EXPECT_EQ(ask(outside, "10.99.0.10", 80), "web sees 10.99.0.2") << "the first one keeps it";
}

TEST_F(Macvlan, OnAVlanWorksOrSaysThatTheKernelHasNone) {
  BridgeConfig network = on_uplink({});
  network.parent->interface = "uplink.50";
  auto made = host.ns.run([&] { return host.stack->create_bridge(network); });
  if (!made.ok()) {
    EXPECT_NE(made.error().message().find("uplink.50"), std::string::npos) << made.error().message();
    GTEST_SKIP() << "no VLANs here: " << made.error().message();
  }
  FakeContainer& web = start(endpoint(network, 10));
  FakeContainer& db = start(endpoint(network, 11));
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask(db.ns, "10.99.0.10", 80), "web sees 10.99.0.11");
  EXPECT_NE(ask_in_vain(outside, "10.99.0.10", 80), "web sees 10.99.0.2") << "another VLAN";
  host.ns.run([&] { host.expect_ok(host.stack->remove_bridge(network)); });
  EXPECT_FALSE(host.ns.has_interface("uplink.50"));
}

TEST_F(Macvlan, WithoutAParentContainersHaveEachOtherAlone) {
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

TEST_F(Ipvlan, WorksOrSaysThatTheKernelHasNone) {
  FakeContainer web;
  for (const char* mode : {"l2", "l3"}) {
    const BridgeConfig network = on_uplink({.kind = ParentLink::Kind::ipvlan, .mode = mode});
    host.create(network);
    const EndpointConfig config = endpoint(network, 10);
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

}  // namespace
}  // namespace gantry::net
