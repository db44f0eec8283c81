// Gateway modes of bridges: who gets in and out of them, and with which address.
#include "root/net/fixture.h"

namespace gantry::net {
namespace {

BridgeConfig in_mode(GatewayMode mode, int number = 1) {
  BridgeConfig bridge = bridge_config(number);
  bridge.mode4 = mode;
  return bridge;
}

// TCP port 80 of a container of a routed network, published.
EndpointConfig routed_web(const BridgeConfig& bridge) {
  EndpointConfig endpoint = endpoint_config(bridge, 2);
  endpoint.routed4 = true;
  endpoint.ports = {published(0, 80)};
  return endpoint;
}

std::string ping(const Namespace& from, const std::string& to) {
  return from.run([&]() -> std::string {
    Fd fd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
    CHECK(static_cast<bool>(fd));
    const uint8_t request[] = {8, 0, 0xf7, 0xff, 0, 0, 0, 0};  // echo, with its checksum
    socklen_t size;
    auto address = address_of(to, 0, size);
    CHECK(::sendto(fd.get(), request, sizeof request, 0, reinterpret_cast<sockaddr*>(&address), size) > 0);
    pollfd waiting{fd.get(), POLLIN, 0};
    return ::poll(&waiting, 1, 1000) == 1 ? "answered" : "silent";
  });
}

TEST_F(NetworkTest, OfARoutedNetworkPublishedPortsAreOpenAtTheContainersAddress) {
  const BridgeConfig bridge = in_mode(GatewayMode::routed);
  host.create(bridge);
  const EndpointConfig endpoint = routed_web(bridge);
  FakeContainer& web = start(endpoint);
  Server server(web.ns, "web", 80);
  Server unpublished(web.ns, "secret", 81);
  Server internet(outside, "internet", 80);
  EXPECT_EQ(ask(outside, "172.30.1.2", 80), "web sees 10.99.0.2");
  EXPECT_EQ(ask_in_vain(outside, "172.30.1.2", 81), "timeout");
  EXPECT_EQ(ask(web.ns, "10.99.0.2", 80), "internet sees 172.30.1.2") << "not with the host's address";
  EXPECT_EQ(ping(outside, "172.30.1.2"), "answered");
  host.create(bridge_config(2));
  FakeContainer& neighbour = start(bridge_config(2), 2);
  EXPECT_EQ(ask(neighbour.ns, "172.30.1.2", 80), "web sees 172.30.1.1") << "from another network, translated there";
  EXPECT_EQ(ask_in_vain(neighbour.ns, "172.30.1.2", 81), "timeout");
  host.ns.run([&] { host.expect_ok(host.stack->unpublish(endpoint)); });
  EXPECT_EQ(ask_in_vain(outside, "172.30.1.2", 80), "timeout");
}

TEST_F(NetworkTest, OfARoutedIpv6FamilyTheOtherIsTranslated) {
  host.add_ipv6_outside(outside);
  BridgeConfig bridge = bridge_config(1);
  bridge.subnet6 = subnet("fd00:1::/64");
  bridge.gateway6 = ip("fd00:1::1");
  bridge.mode6 = GatewayMode::routed;
  host.create(bridge);
  EndpointConfig endpoint = endpoint_config(bridge, 2);
  endpoint.address6 = ip("fd00:1::2");
  endpoint.subnet6 = bridge.subnet6;
  endpoint.gateway6 = bridge.gateway6;
  endpoint.routed6 = true;
  endpoint.ports = {published(8080, 80, "0.0.0.0"), published(0, 80, "::")};
  FakeContainer& web = start(endpoint);
  Server server(web.ns, "web", 80);
  Server unpublished(web.ns, "secret", 81);
  Server internet(outside, "internet", 80);
  EXPECT_EQ(ask(outside, "10.99.0.1", 8080), "web sees 10.99.0.2");
  EXPECT_EQ(ask(outside, "fd00:1::2", 80), "web sees fd99::2");
  EXPECT_EQ(ask_in_vain(outside, "172.30.1.2", 80), "timeout");
  EXPECT_EQ(ask_in_vain(outside, "fd00:1::2", 81), "timeout");
  EXPECT_EQ(ask(web.ns, "fd99::2", 80), "internet sees fd00:1::2");
  EXPECT_EQ(ask(web.ns, "10.99.0.2", 80), "internet sees 10.99.0.1");
}

TEST_F(NetworkTest, OfAnUnprotectedNetworkEveryPortIsOpenFromOutsideButNotFromOtherNetworks) {
  const BridgeConfig bridge = in_mode(GatewayMode::nat_unprotected);
  host.create(bridge);
  host.create(bridge_config(2));
  FakeContainer& web = start(bridge, 2, {published(8080, 80)});
  FakeContainer& stranger = start(bridge_config(2), 2);
  Server server(web.ns, "web", 80);
  Server unpublished(web.ns, "any", 81);
  Server internet(outside, "internet", 80);
  EXPECT_EQ(ask(outside, "10.99.0.1", 8080), "web sees 10.99.0.2");
  EXPECT_EQ(ask(outside, "172.30.1.2", 81), "any sees 10.99.0.2");
  EXPECT_EQ(ask_in_vain(stranger.ns, "172.30.1.2", 81), "timeout");
  EXPECT_EQ(ask(web.ns, "10.99.0.2", 80), "internet sees 10.99.0.1");
}

TEST_F(NetworkTest, OfAnIsolatedNetworkTheBridgeHasNoAddress) {
  BridgeConfig bridge = in_mode(GatewayMode::isolated);
  bridge.internal = true;
  bridge.gateway4.reset();
  bridge.subnet6 = subnet("fd00:1::/64");
  bridge.mode6 = GatewayMode::isolated;
  host.create(bridge);
  EndpointConfig one = endpoint_config(bridge, 1);
  EndpointConfig two = endpoint_config(bridge, 2);
  FakeContainer& web = start(one);
  FakeContainer& client = start(two);
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask(client.ns, "172.30.1.1", 80), "web sees 172.30.1.2") << "the first address is a container's";
  EXPECT_EQ(host.ns.run([] { return std::system("test -z \"$(ip -o address show dev br-test1)\""); }), 0)  // NOLINT
      << "not a link-local one either";
}

TEST_F(NetworkTest, ABridgeThatGetsAnotherModeLosesTheRulesOfTheOld) {
  host.create(in_mode(GatewayMode::nat_unprotected));
  FakeContainer& web = start(bridge_config(1), 2);
  Server server(web.ns, "web", 80);
  EXPECT_EQ(ask(outside, "172.30.1.2", 80), "web sees 10.99.0.2");
  host.create(bridge_config(1));
  EXPECT_EQ(ask_in_vain(outside, "172.30.1.2", 80), "timeout");
}

}  // namespace
}  // namespace gantry::net
