// What most tests of networks start from: a host, a machine outside on a cable, and a look at what is left.
#pragma once

#include <list>
#include <string>
#include <vector>

#include "root/net/world.h"

namespace gantry::net {

// At the end of each test everything that it made through `host` is removed, and then the host has to be as it was: not
// an interface, address, route, rule, element or setting more.
class NetworkTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { NEEDS_NETWORK_NAMESPACES(); }

  // `forwards`: the host does already. A new namespace has the machine's setting, which other tests' daemons change meanwhile.
  explicit NetworkTest(bool forwards = false) {
    host.ns.run([&] { host.expect_ok(write_file("/proc/sys/net/ipv4/ip_forward", forwards ? "1" : "0")); });
    host.connect_outside(outside);
    before_ = traces(host.ns);
    host.set_up();
  }
  void TearDown() override {
    containers_.clear();
    host.clean_up();
    EXPECT_EQ(traces(host.ns), before_);
  }

  // A container with that address in the network. It ends with the test.
  FakeContainer& start(const BridgeConfig& network, int number, std::vector<PortForward> ports = {}) {
    EndpointConfig endpoint = endpoint_config(network, number);
    endpoint.ports = std::move(ports);
    return start(endpoint);
  }
  FakeContainer& start(const EndpointConfig& endpoint) {
    host.attach(endpoint, containers_.emplace_back());
    return containers_.back();
  }

  Host host;
  Namespace outside;

 private:
  std::list<FakeContainer> containers_;
  std::string before_;
};

// Whether packets inside a bridge are shown to the IP rules is up to the machine: everything must work either way.
// The parameter: "0" or "1".
class EitherBridgeNetfilter : public NetworkTest, public testing::WithParamInterface<const char*> {
 protected:
  static constexpr const char* kSetting = "/proc/sys/net/bridge/bridge-nf-call-iptables";
  void SetUp() override {
    before_ = host.ns.run([] { return read_file(kSetting).value_or(""); });
    if (before_.empty() && std::string(GetParam()) == "1") GTEST_SKIP() << "needs root: and br_netfilter";
    set(GetParam());
  }
  void TearDown() override {
    set(before_);
    NetworkTest::TearDown();
  }
  void set(const std::string& value) const {
    if (!before_.empty()) host.ns.run([&] { host.expect_ok(write_file(kSetting, value)); });
  }

 private:
  std::string before_;
};

inline PortForward published(uint16_t host, uint16_t container, std::string host_ip = {}) {
  return {.protocol = IPPROTO_TCP, .host_ip = std::move(host_ip), .host_port = host, .container_port = container};
}

}  // namespace gantry::net
