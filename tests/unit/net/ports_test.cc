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

PortRequest loopback_ports(uint16_t first, uint16_t last) {
  return {.host_ip = "127.0.0.1", .host_first = first, .host_last = last, .container_port = 80};
}
uint16_t free_port() { return Foreign().port; }
std::string outcome_of(const Result<std::unique_ptr<PortReservation>>& result) {
  return result.ok() ? "reserved" : result.error().message();
}

const PortOwner kWeb{.id = "1", .name = "web-1", .address4 = IpAddress::v4(0x0a000002), .address6 = {}};
Result<std::unique_ptr<PortReservation>> reserve(PortTable& table, const std::vector<PortRequest>& requests) {
  return table.reserve(requests, kWeb);
}

TEST(PortTable, AnEphemeralPortIsDecided) {
  PortTable table;
  auto held = reserve(table, {loopback_ports(0, 0), {.protocol = IPPROTO_UDP, .host_ip = "127.0.0.1", .container_port = 53}});
  ASSERT_TRUE(held.ok()) << outcome_of(held);
  ASSERT_EQ((*held)->ports().size(), 2u);
  EXPECT_GT((*held)->ports()[0].host_port, 1024);
  EXPECT_EQ((*held)->ports()[0].container_port, 80);
  EXPECT_EQ((*held)->ports()[1].protocol, IPPROTO_UDP);
}

TEST(PortTable, WhatIsHeldCannotBeBoundByOthersUntilItIsGivenBack) {
  PortTable table;
  auto held = reserve(table, {loopback_ports(0, 0)});
  uint16_t port = (*held)->ports()[0].host_port;
  EXPECT_EQ(Foreign(port).port, 0);
  held->reset();
  EXPECT_EQ(Foreign(port).port, port);
}

TEST(PortTable, WhatAContainerHasIsAllocatedInDockersWords) {
  PortTable table;
  uint16_t port = free_port();
  auto held = reserve(table, {loopback_ports(port, port)});
  ASSERT_TRUE(held.ok()) << outcome_of(held);
  EXPECT_EQ(outcome_of(reserve(table, {loopback_ports(port, port)})),
            "Bind for 127.0.0.1:" + std::to_string(port) +
                " failed: port is already allocated (held by container web-1)");
  EXPECT_EQ(outcome_of(reserve(table, {{.host_first = port, .host_last = port}})),
            "Bind for 0.0.0.0:" + std::to_string(port) +
                " failed: port is already allocated (held by container web-1)");
  PortRequest udp = loopback_ports(port, port);
  udp.protocol = IPPROTO_UDP;
  EXPECT_EQ(outcome_of(reserve(table, {udp})), "reserved") << "another protocol";
  PortRequest other = loopback_ports(port, port);
  other.host_ip = "127.0.0.2";
  EXPECT_EQ(outcome_of(reserve(table, {other})), "reserved") << "another address";
}

TEST(PortTable, ACheckHoldsNothingAndCountsThePortsOfThoseWhoLeaveAsFree) {
  PortTable table;
  const uint16_t port = free_port();
  const PortQuestion question{.owner = {.id = "2", .name = "web-2"}, .ports = {loopback_ports(port, port)}};
  EXPECT_FALSE(table.check({question}, {})[0]);
  auto held = reserve(table, {loopback_ports(port, port)});
  ASSERT_TRUE(held.ok()) << outcome_of(held);
  const auto taken = table.check({question}, {});
  ASSERT_TRUE(taken[0]);
  EXPECT_EQ(taken[0]->message(), "Bind for 127.0.0.1:" + std::to_string(port) +
                                     " failed: port is already allocated (held by container web-1)");
  EXPECT_FALSE(table.check({question}, {"1"})[0]);
  EXPECT_EQ(outcome_of(reserve(table, {loopback_ports(port, port)})).substr(0, 8), "Bind for") << "it is held as before";
  held->reset();
  EXPECT_EQ(outcome_of(reserve(table, {loopback_ports(port, port)})), "reserved") << "and the checks hold nothing";
}

TEST(PortTable, ACheckSeesConflictsWithinAGroupOnly) {
  PortTable table;
  const uint16_t port = free_port();
  PortQuestion one{.owner = {.id = "1", .name = "web-1"}, .group = "web", .ports = {loopback_ports(port, port)}};
  PortQuestion two{.owner = {.id = "2", .name = "web-2"}, .group = "web", .ports = {loopback_ports(port, port)}};
  auto answers = table.check({one, two}, {});
  EXPECT_FALSE(answers[0]);
  ASSERT_TRUE(answers[1]);
  EXPECT_NE(answers[1]->message().find("(held by container web-1)"), std::string::npos);
  one.group = two.group = "";
  answers = table.check({one, two}, {});
  EXPECT_FALSE(answers[0] || answers[1]) << "one may follow the other";
}

TEST(PortTable, WhatAnotherProgramHasIsReportedWithItsNameAndPid) {
  PortTable table;
  Foreign foreign;
  std::string name = *read_file("/proc/self/comm");
  name.pop_back();
  EXPECT_EQ(outcome_of(reserve(table, {loopback_ports(foreign.port, foreign.port)})),
            "failed to bind host port 127.0.0.1:" + std::to_string(foreign.port) +
                "/tcp: address already in use (held by " + name + ", pid " + std::to_string(::getpid()) + ")");
}

TEST(PortTable, AnAddressThatTheHostDoesNotHaveIsRefused) {
  PortTable table;
  PortRequest request = loopback_ports(8099, 8099);
  request.host_ip = "192.0.2.1";
  EXPECT_EQ(outcome_of(reserve(table, {request})),
            "failed to bind host port 192.0.2.1:8099/tcp: cannot assign requested address");
  request.host_ip = "localhost";
  EXPECT_EQ(outcome_of(reserve(table, {request})), "invalid IP address \"localhost\"");
}

TEST(PortTable, OfARangeTheFirstFreePortIsTaken) {
  PortTable table;
  Foreign foreign;
  if (foreign.port > 65000) GTEST_SKIP() << "no room behind the port that the kernel chose";
  auto held = reserve(table, {loopback_ports(foreign.port, static_cast<uint16_t>(foreign.port + 20))});
  ASSERT_TRUE(held.ok()) << outcome_of(held);
  EXPECT_GT((*held)->ports()[0].host_port, foreign.port);
}

TEST(PortTable, AFailureGivesBackWhatWasTakenBefore) {
  PortTable table;
  Foreign foreign;
  uint16_t port = free_port();
  EXPECT_FALSE(reserve(table, {loopback_ports(port, port), loopback_ports(foreign.port, foreign.port)}).ok());
  EXPECT_EQ(outcome_of(reserve(table, {loopback_ports(port, port)})), "reserved");
}

// Who may be reached how; as text "tcp [::]:8080 -> 10.0.0.2:80".
std::string carried_text(const PortReservation& held) {
  std::string text;
  for (const auto& [forward, socket] : held.carried()) {
    EXPECT_GE(socket, 0);
    text += (text.empty() ? "" : ", ") + forward.key() + " -> " + forward.target.to_string() + ":" +
            std::to_string(forward.target_port);
  }
  return text;
}
bool has_ipv6() {
  Fd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 any{.sin6_family = AF_INET6};
  return fd && ::bind(fd.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) == 0;
}

TEST(PortTable, OfAContainerWithoutIpv6AProcessCarriesTheIpv6Side) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  PortTable table;
  auto held = reserve(table, {{.container_port = 80}});
  ASSERT_TRUE(held.ok()) << outcome_of(held);
  const std::string port = std::to_string((*held)->ports()[0].host_port);
  EXPECT_EQ(carried_text(**held), "tcp [::]:" + port + " -> 10.0.0.2:80");
  auto six = IpAddress::parse("fd00::2");
  EXPECT_TRUE((*held)->lead_to({.address6 = *six}));
  EXPECT_EQ(carried_text(**held), "tcp [::]:" + port + " -> fd00::2:80");
}

std::string ports_text(const PortReservation& held) {
  std::string text;
  for (const PortForward& port : held.ports()) {
    text += "[" + port.host_ip + "]" + (port.host_port == 0 ? " open" : " held") + "\n";
  }
  return text;
}

TEST(PortTable, OfARoutedFamilyNothingIsHeld) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto six = IpAddress::parse("fd00::2");
  const PortOwner in_both{.id = "1", .address4 = kWeb.address4, .address6 = *six, .routed4 = true, .routed6 = true};
  PortOwner in6 = in_both;
  in6.routed4 = false;
  PortOwner in4 = in_both;
  in4.address6.reset();
  in4.routed6 = false;
  struct Row {
    PortOwner owner;
    const char* host_ip;
    const char* want;
  };
  const Row rows[] = {{in_both, "", "[] open\n"},
                      {in_both, "127.0.0.1", "[0.0.0.0] open\n"},
                      {in_both, "::1", "[::] open\n"},
                      {in6, "", "[0.0.0.0] held\n[::] open\n"},
                      {in6, "127.0.0.1", "[127.0.0.1] held\n"},
                      {in6, "::1", "[::] open\n"},
                      {in4, "", "[0.0.0.0] open\n"}};  // nor does a process carry IPv6 clients to it
  for (const Row& row : rows) {
    PortTable table;
    const uint16_t port = free_port();
    auto held = table.reserve({{.host_ip = row.host_ip, .host_first = port, .host_last = port, .container_port = 80}},
                              row.owner);
    ASSERT_TRUE(held.ok()) << outcome_of(held);
    EXPECT_EQ(ports_text(**held), row.want) << row.host_ip;
    EXPECT_EQ((*held)->lead_to(row.owner), true);
    EXPECT_EQ((*held)->lead_to(kWeb), false) << "other ports have to be held";
    // The next daemon asks for what was recorded.
    std::vector<PortRequest> again;
    for (const PortForward& one : (*held)->ports()) {
      again.push_back({.host_ip = one.host_ip, .host_first = one.host_port, .host_last = one.host_port, .container_port = 80});
    }
    held->reset();
    auto next = table.reserve(again, row.owner);
    ASSERT_TRUE(next.ok()) << outcome_of(next);
    EXPECT_EQ(ports_text(**next), row.want) << "after a restart";
  }
}

TEST(PortTable, WithoutTranslationAProcessCarriesEveryPort) {
  PortTable table;
  table.carry_everything();
  const uint16_t port = free_port();
  auto held = reserve(table, {loopback_ports(port, port)});
  ASSERT_TRUE(held.ok()) << outcome_of(held);
  EXPECT_EQ(carried_text(**held), "tcp 127.0.0.1:" + std::to_string(port) + " -> 10.0.0.2:80");
  const auto six = IpAddress::parse("fd00::2");
  EXPECT_TRUE((*held)->lead_to({.address4 = IpAddress::v4(0x0a000003), .address6 = *six}));
  EXPECT_EQ(carried_text(**held), "tcp 127.0.0.1:" + std::to_string(port) + " -> 10.0.0.3:80");
  EXPECT_EQ(outcome_of(reserve(table, {{.protocol = IPPROTO_SCTP, .host_ip = "127.0.0.1", .host_first = 9, .container_port = 9}})),
            "sctp cannot be published: nftables cannot be used");
}

TEST(PortTable, AnEnclaveIsReachedByTheHostsNumberAndTellsNoAddressesApart) {
  PortTable table;
  const PortOwner one{.id = "1", .name = "web-1", .address4 = IpAddress::v4(0xc6120002), .enclave4 = true};
  const PortOwner two{.id = "2", .name = "web-2", .address4 = IpAddress::v4(0xc6120002), .enclave4 = true};
  const PortOwner elsewhere{.id = "3", .name = "web-3", .address4 = IpAddress::v4(0xc6120003), .enclave4 = true};
  const uint16_t port = free_port();
  const auto number = std::to_string(port);
  const auto at = [&](const char* host_ip, uint16_t container_port = 80) {
    return PortRequest{.host_ip = host_ip, .host_first = port, .host_last = port, .container_port = container_port};
  };
  auto held = table.reserve({at("127.0.0.1")}, one);
  ASSERT_TRUE(held.ok()) << outcome_of(held);
  const std::string taken = "Bind for 127.0.0.2:" + number + " failed: port is already allocated on another address of the " +
                            "host (held by container web-1), which networks with com.gantry.isolated cannot tell apart";
  EXPECT_EQ(outcome_of(table.reserve({at("127.0.0.2")}, two)), taken);
  EXPECT_EQ(table.check({{.owner = two, .ports = {at("127.0.0.2")}}}, {})[0]->message(), taken);
  EXPECT_FALSE(table.check({{.owner = two, .ports = {at("127.0.0.2")}}}, {"1"})[0]) << "who leaves takes it along";
  EXPECT_EQ(outcome_of(table.reserve({at("127.0.0.2")}, elsewhere)), "reserved") << "another enclave";
  EXPECT_EQ(outcome_of(table.reserve({at("127.0.0.2", 81)}, one)), taken) << "two ports of one container";
  EXPECT_EQ(outcome_of(table.reserve({at("127.0.0.2")}, one)), "reserved") << "one port on two addresses";
  EXPECT_FALSE((*held)->lead_to(kWeb));
  held->reset();
  EXPECT_EQ(outcome_of(table.reserve({at("127.0.0.2")}, two)), "reserved");
  if (!has_ipv6()) return;
  auto six = table.reserve({at("::1")}, two);
  ASSERT_TRUE(six.ok()) << outcome_of(six);
  EXPECT_EQ(carried_text(**six), "tcp [::1]:" + number + " -> 198.18.0.2:" + number);
}

TEST(PortTable, OneIpv4AddressNeedsNoProcess) {
  PortTable table;
  auto held = reserve(table, {loopback_ports(0, 0)});
  ASSERT_TRUE(held.ok()) << outcome_of(held);
  EXPECT_EQ(carried_text(**held), "");
}

TEST(PortTable, OfAContainerWithIpv6AloneAProcessCarriesIpv4) {
  PortTable table;
  auto held = table.reserve({loopback_ports(0, 0)}, {.name = "six", .address6 = *IpAddress::parse("fd00::2")});
  ASSERT_TRUE(held.ok()) << outcome_of(held);
  const std::string port = std::to_string((*held)->ports()[0].host_port);
  EXPECT_EQ(carried_text(**held), "tcp 127.0.0.1:" + port + " -> fd00::2:80");
}

TEST(PortTable, AfterARestartTheProcessMayHaveThePortStill) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  PortTable before;
  auto first = reserve(before, {{.host_ip = "::", .container_port = 80}});
  ASSERT_TRUE(first.ok()) << outcome_of(first);
  const uint16_t port = (*first)->ports()[0].host_port;
  PortTable after;
  PortOwner again = kWeb;
  EXPECT_FALSE(after.reserve({{.host_ip = "::", .host_first = port, .host_last = port}}, again).ok());
  again.again = true;
  auto second = after.reserve({{.host_ip = "::", .host_first = port, .host_last = port}}, again);
  ASSERT_TRUE(second.ok()) << outcome_of(second);
  EXPECT_EQ((*second)->carried()[0].socket, -1);
}

}  // namespace
}  // namespace gantry::net
