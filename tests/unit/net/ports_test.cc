#include "net/ports.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

namespace gantry::net {
namespace {

// Another program's socket on the loopback address, and its port.
struct Foreign {
  Fd fd;
  uint16_t port = 0;

  explicit Foreign(uint16_t wanted = 0) : fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(wanted), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(fd.get(), 1) != 0)
      return;
    socklen_t size = sizeof address;
    ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
  }
};

PortRequest loopback(uint16_t first, uint16_t last) {
  return {.host_ip = "127.0.0.1", .host_first = first, .host_last = last, .container_port = 80};
}
uint16_t free_port() { return Foreign().port; }
std::string text_of(const Result<std::unique_ptr<PortReservation>>& result) {
  return result.ok() ? "reserved" : result.error().message();
}

TEST(PortTable, AnEphemeralPortIsDecided) {
  PortTable table;
  auto held = table.reserve({loopback(0, 0), {.protocol = IPPROTO_UDP, .host_ip = "127.0.0.1", .container_port = 53}});
  ASSERT_TRUE(held.ok()) << text_of(held);
  ASSERT_EQ((*held)->ports().size(), 2u);
  EXPECT_GT((*held)->ports()[0].host_port, 1024);
  EXPECT_EQ((*held)->ports()[0].container_port, 80);
  EXPECT_EQ((*held)->ports()[1].protocol, IPPROTO_UDP);
}

TEST(PortTable, WhatIsHeldCannotBeBoundByOthersUntilItIsGivenBack) {
  PortTable table;
  auto held = table.reserve({loopback(0, 0)});
  uint16_t port = (*held)->ports()[0].host_port;
  EXPECT_EQ(Foreign(port).port, 0);
  held->reset();
  EXPECT_EQ(Foreign(port).port, port);
}

TEST(PortTable, WhatAContainerHasIsAllocatedInDockersWords) {
  PortTable table;
  uint16_t port = free_port();
  auto held = table.reserve({loopback(port, port)});
  ASSERT_TRUE(held.ok()) << text_of(held);
  EXPECT_EQ(text_of(table.reserve({loopback(port, port)})),
            "Bind for 127.0.0.1:" + std::to_string(port) + " failed: port is already allocated");
  EXPECT_EQ(text_of(table.reserve({{.host_first = port, .host_last = port}})),
            "Bind for 0.0.0.0:" + std::to_string(port) + " failed: port is already allocated");
  PortRequest udp = loopback(port, port);
  udp.protocol = IPPROTO_UDP;
  EXPECT_EQ(text_of(table.reserve({udp})), "reserved") << "another protocol";
  PortRequest other = loopback(port, port);
  other.host_ip = "127.0.0.2";
  EXPECT_EQ(text_of(table.reserve({other})), "reserved") << "another address";
}

TEST(PortTable, WhatAnotherProgramHasIsReportedWithItsNameAndPid) {
  PortTable table;
  Foreign foreign;
  std::string name = *read_file("/proc/self/comm");
  name.pop_back();
  EXPECT_EQ(text_of(table.reserve({loopback(foreign.port, foreign.port)})),
            "failed to bind host port 127.0.0.1:" + std::to_string(foreign.port) +
                "/tcp: address already in use (held by " + name + ", pid " + std::to_string(::getpid()) + ")");
}

TEST(PortTable, AnAddressThatTheHostDoesNotHaveIsRefused) {
  PortTable table;
  PortRequest request = loopback(8099, 8099);
  request.host_ip = "192.0.2.1";
  EXPECT_EQ(text_of(table.reserve({request})),
            "failed to bind host port 192.0.2.1:8099/tcp: cannot assign requested address");
  request.host_ip = "localhost";
  EXPECT_EQ(text_of(table.reserve({request})), "invalid IP address \"localhost\"");
}

TEST(PortTable, OfARangeTheFirstFreePortIsTaken) {
  PortTable table;
  Foreign foreign;
  if (foreign.port > 65000) GTEST_SKIP() << "no room behind the port that the kernel chose";
  auto held = table.reserve({loopback(foreign.port, static_cast<uint16_t>(foreign.port + 20))});
  ASSERT_TRUE(held.ok()) << text_of(held);
  EXPECT_GT((*held)->ports()[0].host_port, foreign.port);
}

TEST(PortTable, AFailureGivesBackWhatWasTakenBefore) {
  PortTable table;
  Foreign foreign;
  uint16_t port = free_port();
  EXPECT_FALSE(table.reserve({loopback(port, port), loopback(foreign.port, foreign.port)}).ok());
  EXPECT_EQ(text_of(table.reserve({loopback(port, port)})), "reserved");
}

}  // namespace
}  // namespace gantry::net
