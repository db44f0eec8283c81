// TCP between containers in packets of more than 64 KB, and what becomes of them on the way out.
#include <linux/if_ether.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sys/utsname.h>

#include <numeric>

#include "base/scope_exit.h"
#include "root/net/fixture.h"

namespace gantry::net {
namespace {

constexpr size_t kOrdinary = 65535 + ETH_HLEN;
constexpr size_t kAmount = 128 << 20;
constexpr size_t kPieceSize = 1 << 20;

// The largest packet that eth0 of a namespace has taken in since this was made.
class PacketSizes {
 public:
  explicit PacketSizes(const Namespace& where) {
    socket_ = where.run([] {
      Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_IP)));
      CHECK(fd);
      sockaddr_ll address{.sll_family = AF_PACKET,
                          .sll_protocol = htons(ETH_P_IP),
                          .sll_ifindex = static_cast<int>(::if_nametoindex("eth0"))};
      CHECK(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
      return fd;
    });
    stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
    thread_ = std::thread([this] { look(); });
  }
  ~PacketSizes() { end(); }
  size_t largest() {
    end();
    return largest_;
  }

 private:
  void look() {
    for (;;) {
      pollfd waiting[] = {{socket_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
      ::poll(waiting, 2, -1);
      if (waiting[1].revents != 0) return;
      char head[16];
      const ssize_t size = ::recv(socket_.get(), head, sizeof head, MSG_TRUNC | MSG_DONTWAIT);
      if (size > 0) largest_ = std::max(largest_, static_cast<size_t>(size));
    }
  }
  void end() {
    if (!thread_.joinable()) return;
    uint64_t one = 1;
    CHECK(::write(stop_.get(), &one, sizeof one) == sizeof one);
    thread_.join();
  }

  Fd socket_;
  Fd stop_;
  size_t largest_ = 0;
  std::thread thread_;
};

// Numbers, so that nothing can be lost, doubled or exchanged unseen.
std::vector<uint32_t> piece(uint32_t first) {
  std::vector<uint32_t> numbers(kPieceSize / sizeof(uint32_t));
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

void send_numbers(const std::string& address, uint16_t port) {
  const Fd to = connect_to(address, port);
  for (size_t sent = 0; sent < kAmount; sent += kPieceSize) {
    const auto numbers = piece(static_cast<uint32_t>(sent / sizeof(uint32_t)));
    ASSERT_EQ(::send(to.get(), numbers.data(), kPieceSize, MSG_NOSIGNAL), static_cast<ssize_t>(kPieceSize));
  }
}

// How much arrived as it was sent.
size_t receive_numbers(const Fd& from) {
  std::vector<uint32_t> got(kPieceSize / sizeof(uint32_t));
  size_t right = 0;
  while (::recv(from.get(), got.data(), kPieceSize, MSG_WAITALL) == static_cast<ssize_t>(kPieceSize) &&
         got == piece(static_cast<uint32_t>(right / sizeof(uint32_t)))) {
    right += kPieceSize;
  }
  return right;
}

size_t transfer(const Namespace& from, const std::string& address, uint16_t port, const Namespace& to,
                uint16_t listening_port) {
  const Fd listening = to.run([&] { return listen_on(listening_port); });
  std::thread sender([&] { from.run([&] { send_numbers(address, port); }); });
  ScopeExit wait([&] { sender.join(); });
  const Fd connection(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return receive_numbers(connection);
}

class BigTcp : public NetworkTest {
 protected:
  void SetUp() override {
    utsname kernel{};
    int major = 0, minor = 0;
    ASSERT_EQ(::uname(&kernel), 0);
    ASSERT_EQ(std::sscanf(kernel.release, "%d.%d", &major, &minor), 2);
    if (std::pair(major, minor) < std::pair(6, 3)) GTEST_SKIP() << "needs Linux 6.3";
  }
};

TEST_F(BigTcp, BetweenContainersOfOneNetwork) {
  host.create(bridge_config(1));
  FakeContainer& client = start(bridge_config(1), 2);
  FakeContainer& server = start(bridge_config(1), 3);
  PacketSizes seen(server.ns);
  EXPECT_EQ(transfer(client.ns, "172.30.1.3", 80, server.ns, 80), kAmount);
  EXPECT_GT(seen.largest(), kOrdinary);
}

TEST_F(BigTcp, ThroughTheHostToAContainerOfAnotherNetwork) {
  host.create(bridge_config(1));
  host.create(bridge_config(2));
  FakeContainer& client = start(bridge_config(1), 2);
  FakeContainer& server = start(bridge_config(2), 2, {published(8080, 80)});
  PacketSizes seen(server.ns);
  EXPECT_EQ(transfer(client.ns, "172.30.1.1", 8080, server.ns, 80), kAmount);
  EXPECT_GT(seen.largest(), kOrdinary);
}

TEST_F(BigTcp, WhatLeavesThroughAnInterfaceWithoutItArrivesInOrdinaryPackets) {
  host.create(bridge_config(1));
  FakeContainer& client = start(bridge_config(1), 2);
  PacketSizes seen(outside);
  EXPECT_EQ(transfer(client.ns, "10.99.0.2", 80, outside, 80), kAmount);
  EXPECT_LE(seen.largest(), kOrdinary);
}

TEST_F(BigTcp, NotWhereItIsTurnedOff) {
  BridgeConfig bridge = bridge_config(1);
  bridge.big_tcp = false;
  host.create(bridge);
  FakeContainer& client = start(bridge, 2);
  FakeContainer& server = start(bridge, 3);
  PacketSizes seen(server.ns);
  EXPECT_EQ(transfer(client.ns, "172.30.1.3", 80, server.ns, 80), kAmount);
  EXPECT_LE(seen.largest(), kOrdinary);
}

}  // namespace
}  // namespace gantry::net
