#include <fcntl.h>

#include "base/loop.h"
#include "net/forwarder.h"
#include "root/net/fixture.h"

namespace gantry::net {
namespace {

class PublishedPort : public NetworkTest {
 protected:
  // A container's server "web", published on port 8080 of one address of the host.
  Server web_behind(const std::string& host_ip) {
    host.create(bridge_config(1));
    return Server(start(bridge_config(1), 2, {published(8080, 80, host_ip)}).ns, "web", 80);
  }
};

TEST_F(PublishedPort, OfTheHostsLoopbackIsClosedToOthers) {
  Server web = web_behind("127.0.0.1");
  EXPECT_EQ(ask(host.ns, "127.0.0.1", 8080), "web sees 172.30.1.1");
  EXPECT_EQ(ask_in_vain(outside, "10.99.0.1", 8080), "Connection refused");
}

TEST_F(PublishedPort, OfOneAddressIsClosedOnOthers) {
  Server web = web_behind("10.99.0.1");
  EXPECT_EQ(ask(outside, "10.99.0.1", 8080), "web sees 10.99.0.2");
  EXPECT_EQ(ask_in_vain(host.ns, "127.0.0.1", 8080), "Connection refused");
}

// A port as the engine publishes it: reserved, attached, and what the kernel cannot translate carried by a process,
// here a thread in the host's namespace.
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

TEST_F(PublishedPort, OfAContainerWithoutIpv6AnswersOnIpv6Too) {
  FakeContainer web;
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

TEST_F(PublishedPort, OfAContainerWithIpv6AloneAnswersOnIpv4AndLocalhost) {
  FakeContainer web;
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

// The checksum of SCTP packets (RFC 9260, appendix A), as the kernel's tracking of connections wants it.
uint32_t crc32c(const std::vector<uint8_t>& bytes) {
  uint32_t crc = ~0u;
  for (uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
  }
  return ~crc;
}

// A packet that asks for an association: header and INIT chunk.
std::vector<uint8_t> sctp_init(uint16_t from, uint16_t to) {
  std::vector<uint8_t> packet{static_cast<uint8_t>(from >> 8),
                              static_cast<uint8_t>(from),
                              static_cast<uint8_t>(to >> 8),
                              static_cast<uint8_t>(to),
                              0,
                              0,
                              0,
                              0,
                              0,
                              0,
                              0,
                              0};
  packet.insert(packet.end(), {1, 0, 0, 20, 0, 0, 0, 7, 0, 0, 16, 0, 0, 1, 0, 1, 0, 0, 0, 1});
  const uint32_t sum = crc32c(packet);
  std::memcpy(&packet[8], &sum, sizeof sum);
  return packet;
}

// Many kernels have no SCTP sockets but translate it all the same.
TEST_F(PublishedPort, OfSctpIsTranslated) {
  host.create(bridge_config(1));
  FakeContainer& web =
      start(bridge_config(1), 2, {{.protocol = IPPROTO_SCTP, .host_port = 9899, .container_port = 99}});
  const auto raw_socket = [] { return Fd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_SCTP)); };
  Fd at_web = web.ns.run(raw_socket);
  Fd sender = outside.run(raw_socket);
  ASSERT_TRUE(at_web && sender);
  socklen_t size;
  auto to = address_of("10.99.0.1", 0, size);
  const auto packet = sctp_init(5000, 9899);
  ASSERT_EQ(::sendto(sender.get(), packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&to), size),
            static_cast<ssize_t>(packet.size()));
  pollfd waiting{at_web.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&waiting, 1, 5000), 1);
  uint8_t got[256];
  sockaddr_storage from{};
  size = sizeof from;
  const ssize_t length = ::recvfrom(at_web.get(), got, sizeof got, 0, reinterpret_cast<sockaddr*>(&from), &size);
  constexpr size_t kIpHeader = 20;
  ASSERT_EQ(length, static_cast<ssize_t>(kIpHeader + packet.size()));
  EXPECT_EQ(text_of(from), "10.99.0.2");
  EXPECT_EQ(got[kIpHeader + 2] << 8 | got[kIpHeader + 3], 99);
}

TEST_F(PublishedPort, OfUdpReachesTheNewContainerThoughThePeerNeverPauses) {
  FakeContainer first, second;
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

}  // namespace
}  // namespace gantry::net
