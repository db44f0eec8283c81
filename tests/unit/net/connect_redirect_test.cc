#include "net/connect_redirect.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <string>

namespace gantry::net {
namespace {

ConnectPlace place(const std::string& ip, uint16_t port) {
  ConnectPlace made{.port = htons(port)};
  EXPECT_EQ(::inet_pton(AF_INET, ip.c_str(), &made.address), 1);
  return made;
}

EndpointConfig endpoint(std::vector<PortForward> ports) {
  EndpointConfig made;
  made.address4 = *IpAddress::parse("172.30.1.2");
  made.ports = std::move(ports);
  return made;
}

using Targets = std::map<ConnectPlace, ConnectPlace>;

TEST(ConnectTargets, OfAllAddressesOfTheHost) {
  const Targets wanted{{place("0.0.0.0", 8080), place("172.30.1.2", 80)}};
  EXPECT_EQ(connect_targets(endpoint({{.host_port = 8080, .container_port = 80}})), wanted);
  EXPECT_EQ(connect_targets(endpoint({{.host_ip = "0.0.0.0", .host_port = 8080, .container_port = 80}})), wanted);
}

TEST(ConnectTargets, OfLoopbackAddressesAlone) {
  const Targets wanted{{place("127.0.0.2", 8080), place("172.30.1.2", 80)}};
  EXPECT_EQ(connect_targets(endpoint({{.host_ip = "127.0.0.2", .host_port = 8080, .container_port = 80},
                                      {.host_ip = "10.0.0.1", .host_port = 8080, .container_port = 81},
                                      {.host_ip = "::1", .host_port = 8080, .container_port = 82},
                                      {.host_ip = "::", .host_port = 8080, .container_port = 83}})),
            wanted);
}

TEST(ConnectTargets, NotOfOtherProtocolsNorOfRoutedPorts) {
  EXPECT_EQ(connect_targets(endpoint({{.protocol = IPPROTO_UDP, .host_port = 53, .container_port = 53},
                                      {.protocol = IPPROTO_SCTP, .host_port = 99, .container_port = 99},
                                      {.host_port = 0, .container_port = 80}})),
            Targets{});
}

TEST(ConnectTargets, NotOfAnEndpointThatHasNoIpv4OrLeavesItsPortsToAnother) {
  EndpointConfig other = endpoint({{.host_port = 8080, .container_port = 80}});
  other.publishes4 = false;
  EXPECT_EQ(connect_targets(other), Targets{});
  EndpointConfig without = endpoint({{.host_port = 8080, .container_port = 80}});
  without.address4.reset();
  EXPECT_EQ(connect_targets(without), Targets{});
}

}  // namespace
}  // namespace gantry::net
