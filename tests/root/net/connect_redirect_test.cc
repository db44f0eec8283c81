// Programs of the host that connect to a published port at 127.0.0.0/8. Whether they were led to the container at once or by
// translation is seen in the kernel's list of connections, which knows nothing of what programs are told.
#include "net/connect_redirect.h"

#include <fstream>

#include "root/net/fixture.h"

namespace gantry::net {
namespace {

// As /proc/net/tcp has it: "0100007F:1F90".
std::string in_kernels_list(const std::string& ip, uint16_t port) {
  in_addr address{};
  CHECK(::inet_pton(AF_INET, ip.c_str(), &address) == 1);
  char text[16];
  std::snprintf(text, sizeof text, "%08X:%04X", address.s_addr, port);
  return text;
}

class ConnectRedirectTest : public NetworkTest {
 protected:
  static void SetUpTestSuite() {
    NetworkTest::SetUpTestSuite();
    if (testing::Test::IsSkipped()) return;
    if (::access("/sys/fs/cgroup/cgroup.controllers", F_OK) != 0 &&
        ::access("/sys/fs/cgroup/unified/cgroup.controllers", F_OK) != 0) {
      GTEST_SKIP() << "no v2 tree of cgroups is mounted";
    }
    const BpfProgram allow{.type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
                           .attach_type = BPF_CGROUP_INET4_CONNECT,
                           .instructions = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
                                            {.code = BPF_JMP | BPF_EXIT}}};
    if (!load_program(allow).ok()) GTEST_SKIP() << "bpf(2) is forbidden";
  }

  ConnectRedirectTest() { host.create(bridge_config(1)); }

  struct Connected {
    Fd socket;
    std::string peer, own;  // as the program is told
    bool led = false;       // the kernel's peer is the container
  };
  // To the port 8080, which leads to port 80 of 172.30.1.`number`.
  Connected connect(const std::string& ip, int number, const std::string& bind_to = "") {
    return host.ns.run([&] {
      Connected made;
      socklen_t size;
      auto address = address_of(ip, 8080, size);
      made.socket = Fd(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (!bind_to.empty()) {
        socklen_t own_size;
        auto own = address_of(bind_to, 0, own_size);
        CHECK(::bind(made.socket.get(), reinterpret_cast<sockaddr*>(&own), own_size) == 0);
      }
      EXPECT_EQ(::connect(made.socket.get(), reinterpret_cast<sockaddr*>(&address), size), 0) << std::strerror(errno);
      made.peer = told(::getpeername, made.socket);
      const sockaddr_storage own = name(::getsockname, made.socket);
      made.own = text_of(own);
      made.led = is_listed(port_of(own), in_kernels_list("172.30.1." + std::to_string(number), 80), address.ss_family);
      return made;
    });
  }

  EndpointConfig publish(const FakeContainer& container, int number) {
    EndpointConfig endpoint = endpoint_config(bridge_config(1), number);
    endpoint.ports = {port()};
    host.attach(endpoint, container);
    return endpoint;
  }

  PortForward port(const std::string& host_ip = "") { return published(8080, 80, host_ip); }

 private:
  using Call = int (*)(int, sockaddr*, socklen_t*);
  static sockaddr_storage name(Call call, const Fd& socket) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    EXPECT_EQ(call(socket.get(), reinterpret_cast<sockaddr*>(&storage), &size), 0);
    return storage;
  }
  static uint16_t port_of(const sockaddr_storage& storage) {
    return ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port);
  }
  static std::string told(Call call, const Fd& socket) {
    const sockaddr_storage storage = name(call, socket);
    return text_of(storage) + ":" + std::to_string(port_of(storage));
  }
  static bool is_listed(uint16_t own_port, const std::string& remote, int family) {
    char own[8];
    std::snprintf(own, sizeof own, ":%04X ", own_port);
    const std::string mapped = family == AF_INET ? "" : "0000000000000000FFFF0000";
    std::ifstream list(family == AF_INET ? "/proc/thread-self/net/tcp" : "/proc/thread-self/net/tcp6");
    for (std::string line; std::getline(list, line);) {
      if (line.find(own + mapped + remote) != std::string::npos) return true;
    }
    return false;
  }
};

TEST_F(ConnectRedirectTest, LeadsToTheContainerAndTellsTheAddressAskedFor) {
  Server web(start(bridge_config(1), 2, {port()}).ns, "web", 80);
  for (const char* address : {"127.0.0.1", "127.1.2.3"}) {
    const Connected made = connect(address, 2);
    EXPECT_TRUE(made.led) << address;
    EXPECT_EQ(made.peer, std::string(address) + ":8080");
    EXPECT_EQ(made.own, "127.0.0.1");
    EXPECT_EQ(ask(host.ns, address, 8080), "web sees 172.30.1.1") << address;
  }
}

TEST_F(ConnectRedirectTest, SocketsOfIpv6ThatConnectToAnIpv4AddressAreLedToo) {
  Server web(start(bridge_config(1), 2, {port()}).ns, "web", 80);
  const Connected made = connect("::ffff:127.0.0.1", 2);
  EXPECT_TRUE(made.led);
  EXPECT_EQ(made.peer, "127.0.0.1:8080");
  EXPECT_EQ(made.own, "127.0.0.1");
}

TEST_F(ConnectRedirectTest, APortOfOneAddressIsItsOnly) {
  Server web(start(bridge_config(1), 2, {port("127.0.0.2")}).ns, "web", 80);
  EXPECT_TRUE(connect("127.0.0.2", 2).led);
  EXPECT_EQ(ask_in_vain(host.ns, "127.0.0.1", 8080), "Connection refused");
}

TEST_F(ConnectRedirectTest, OneAddressIsMorePreciseThanAll) {
  Server one(start(bridge_config(1), 2, {port()}).ns, "one", 80);
  Server two(start(bridge_config(1), 3, {port("127.0.0.2")}).ns, "two", 80);
  EXPECT_EQ(ask(host.ns, "127.0.0.1", 8080), "one sees 172.30.1.1");
  EXPECT_EQ(ask(host.ns, "127.0.0.2", 8080), "two sees 172.30.1.1");
}

TEST_F(ConnectRedirectTest, ABoundSocketIsTranslated) {
  Server web(start(bridge_config(1), 2, {port()}).ns, "web", 80);
  const Connected made = connect("127.0.0.1", 2, "127.0.0.1");
  EXPECT_FALSE(made.led);
  EXPECT_EQ(made.peer, "127.0.0.1:8080");
  EXPECT_EQ(made.own, "127.0.0.1");
}

TEST_F(ConnectRedirectTest, ASocketThatConnectsElsewhereNextTellsThat) {
  FakeContainer& container = start(bridge_config(1), 2, {port()});
  Server web(container.ns, "web", 80), other(container.ns, "other", 81);
  Connected made = connect("127.0.0.1", 2);
  host.ns.run([&] {
    sockaddr nowhere{};
    nowhere.sa_family = AF_UNSPEC;
    ASSERT_EQ(::connect(made.socket.get(), &nowhere, sizeof nowhere), 0);
    socklen_t size;
    auto address = address_of("172.30.1.2", 81, size);
    ASSERT_EQ(::connect(made.socket.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    sockaddr_storage own{}, peer{};
    socklen_t own_size = sizeof own, peer_size = sizeof peer;
    ASSERT_EQ(::getsockname(made.socket.get(), reinterpret_cast<sockaddr*>(&own), &own_size), 0);
    ASSERT_EQ(::getpeername(made.socket.get(), reinterpret_cast<sockaddr*>(&peer), &peer_size), 0);
    EXPECT_EQ(text_of(own), "172.30.1.1");
    EXPECT_EQ(text_of(peer), "172.30.1.2");
  });
}

TEST_F(ConnectRedirectTest, OtherNamespacesAreLeftAlone) {
  Server web(start(bridge_config(1), 2, {port()}).ns, "web", 80);
  Server theirs(outside, "theirs", 8080);
  EXPECT_EQ(ask(outside, "127.0.0.1", 8080), "theirs sees 127.0.0.1");
}

TEST_F(ConnectRedirectTest, APortThatIsTakenBackLeadsNowhere) {
  FakeContainer web;
  const EndpointConfig endpoint = publish(web, 2);
  Server server(web.ns, "web", 80);
  EXPECT_TRUE(connect("127.0.0.1", 2).led);
  host.ns.run([&] { host.expect_ok(host.stack->unpublish(endpoint)); });
  EXPECT_EQ(ask_in_vain(host.ns, "127.0.0.1", 8080), "Connection refused");
}

// The old container is cleared away after the new one has the port.
TEST_F(ConnectRedirectTest, APortThatLeadsElsewhereByNowStaysWhenTheOldContainerGoes) {
  FakeContainer old, web;
  const EndpointConfig before = publish(old, 2);
  publish(web, 3);
  Server server(web.ns, "web", 80);
  EXPECT_TRUE(connect("127.0.0.1", 3).led);
  host.detach(before);
  EXPECT_TRUE(connect("127.0.0.1", 3).led);
}

// The programs end with the daemon; the rules don't. Its next life leads again.
TEST_F(ConnectRedirectTest, WithoutADaemonTranslationServes) {
  FakeContainer web;
  const EndpointConfig endpoint = publish(web, 2);
  Server server(web.ns, "web", 80);
  host.renew();
  EXPECT_FALSE(connect("127.0.0.1", 2).led);
  EXPECT_EQ(ask(host.ns, "127.0.0.1", 8080), "web sees 172.30.1.1");
  host.set_up();
  host.ns.run([&] { host.expect_ok(host.stack->remove_all_but({bridge_config(1)}, {endpoint})); });
  EXPECT_TRUE(connect("127.0.0.1", 2).led);
}

}  // namespace
}  // namespace gantry::net
