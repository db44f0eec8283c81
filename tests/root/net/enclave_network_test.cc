#include <sys/mount.h>

#include <filesystem>

#include "root/net/fixture.h"

namespace gantry::net {
namespace {

Enclave enclave(int number) {
  return {.id = "enclave" + std::to_string(number),
          .address = ip("198.18.0." + std::to_string(number + 1)),
          .uplink = subnet("198.18.0.0/24"),
          .gateway = ip("198.18.0.1")};
}

// The same bridge and subnet in every enclave.
BridgeConfig network_in(int number) {
  BridgeConfig bridge = bridge_config(1);
  bridge.enclave = enclave(number);
  return bridge;
}

EndpointConfig endpoint_in(int number, int host_number, std::vector<PortForward> ports = {}) {
  EndpointConfig endpoint = endpoint_config(network_in(number), host_number);
  endpoint.enclave = enclave(number);
  endpoint.ports = std::move(ports);
  return endpoint;
}

class Enclaves : public EitherBridgeNetfilter {
 protected:
  std::vector<std::string> pinned() const {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(host.run.path + "/netns", error)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
};
INSTANTIATE_TEST_SUITE_P(BridgeNfCallIptables, Enclaves, testing::Values("0", "1"));

TEST_P(Enclaves, HaveTheSameSubnetAndPortsOfTheirOwn) {
  host.create(network_in(1));
  host.create(network_in(2));
  FakeContainer& one = start(endpoint_in(1, 2, {published(8081, 80)}));
  FakeContainer& neighbour = start(endpoint_in(1, 3));
  FakeContainer& two = start(endpoint_in(2, 2, {published(8082, 80), published(8083, 81, "127.0.0.1")}));
  Server of_one(one.ns, "one", 80);
  Server of_two(two.ns, "two", 80);
  Server local(two.ns, "local", 81);
  Server internet(outside, "internet", 80);
  EXPECT_EQ(ask(outside, "10.99.0.1", 8081), "one sees 10.99.0.2");
  EXPECT_EQ(ask(outside, "10.99.0.1", 8082), "two sees 10.99.0.2");
  EXPECT_EQ(ask(host.ns, "127.0.0.1", 8081), "one sees 198.18.0.1");
  EXPECT_EQ(ask(neighbour.ns, "172.30.1.2", 80), "one sees 172.30.1.3");
  EXPECT_EQ(ask(neighbour.ns, "10.99.0.2", 80), "internet sees 10.99.0.1");
  EXPECT_EQ(ask(neighbour.ns, "10.99.0.1", 8081).substr(0, 8), "one sees") << "its own network's port on the host";
  EXPECT_EQ(ask(neighbour.ns, "10.99.0.1", 8082).substr(0, 8), "two sees") << "another enclave's";
  EXPECT_EQ(ask(host.ns, "127.0.0.1", 8083), "local sees 198.18.0.1");
  EXPECT_EQ(ask_in_vain(outside, "10.99.0.1", 8083), "Connection refused");
  EXPECT_NE(ask_in_vain(neighbour.ns, "198.18.0.3", 8083).substr(0, 5), "local") << "the host's loopback is not theirs";
  EXPECT_NE(ask_in_vain(outside, "172.30.1.2", 80).substr(0, 3), "one");
  EXPECT_EQ(pinned(), (std::vector<std::string>{"enclave1", "enclave2"}));
}

TEST_P(Enclaves, AreFoundByTheNextDaemonAndMadeAnewIfTheyAreGone) {
  host.create(network_in(1));
  host.create(network_in(2));
  const EndpointConfig of_one = endpoint_in(1, 2, {published(8081, 80)});
  const EndpointConfig of_two = endpoint_in(2, 2, {published(8082, 80)});
  FakeContainer& one = start(of_one);
  FakeContainer& two = start(of_two);
  Server server_one(one.ns, "one", 80);
  Server server_two(two.ns, "two", 80);
  EXPECT_EQ(ask(outside, "10.99.0.1", 8082), "two sees 10.99.0.2");
  ASSERT_EQ(::umount2((host.run.path + "/netns/enclave2").c_str(), MNT_DETACH), 0);
  const std::string stray = host.run.path + "/netns/stray";
  host.ns.run([&] {
    host.renew();
    host.expect_ok(write_file(stray, ""));
    host.expect_ok(host.stack->set_up());
    for (const BridgeConfig& bridge : {network_in(1), network_in(2)}) host.expect_ok(host.stack->create_bridge(bridge));
    EXPECT_TRUE(host.stack->is_attached(of_one).value());
    EXPECT_FALSE(host.stack->is_attached(of_two).value());
    host.expect_ok(host.stack->attach(of_two, two.access()));
    host.expect_ok(host.stack->remove_all_but({network_in(1), network_in(2)}, {of_one, of_two}));
  });
  EXPECT_EQ(ask(outside, "10.99.0.1", 8081), "one sees 10.99.0.2");
  EXPECT_EQ(ask(outside, "10.99.0.1", 8082), "two sees 10.99.0.2");
  EXPECT_EQ(pinned(), (std::vector<std::string>{"enclave1", "enclave2"}));
}

TEST_P(Enclaves, EndWithTheirLastNetwork) {
  BridgeConfig second = bridge_config(2);
  second.enclave = enclave(1);
  host.create(network_in(1));
  host.create(second);
  host.ns.run([&] { host.expect_ok(host.stack->remove_bridge(network_in(1))); });
  EXPECT_EQ(pinned(), (std::vector<std::string>{"enclave1"}));
  host.ns.run([&] { host.expect_ok(host.stack->remove_bridge(second)); });
  EXPECT_EQ(pinned(), std::vector<std::string>{});
  EXPECT_EQ(host.interfaces(), std::vector<std::string>{}) << "the uplink has gone, too";
}

}  // namespace
}  // namespace gantry::net
