// A host, containers and an outside machine, each a network namespace of its own that ends with the object. Code runs
// in a namespace on a thread that enters it; the kernel's network calls go by the thread.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/fd.h"
#include "base/random.h"
#include "net/firewall.h"
#include "net/links.h"
#include "net/network.h"

namespace gantry::net {

class Namespace {
 public:
  Namespace() {
    std::thread([this] {
      CHECK(::unshare(CLONE_NEWNET) == 0);
      auto fd = open_file("/proc/thread-self/ns/net", O_RDONLY);
      CHECK(fd.ok());
      fd_ = *std::move(fd);
      bring_up_loopback();
    }).join();
  }
  int fd() const { return fd_.get(); }
  bool has_interface(const std::string& name) const {
    return run([&] { return link_index(open_netlink(NETLINK_ROUTE)->get(), name).ok(); });
  }

  // Runs `action` inside and returns what it returns.
  template <class F>
  auto run(F action) const -> decltype(action()) {
    if constexpr (std::is_void_v<decltype(action())>) {
      std::thread([&] {
        CHECK(::setns(fd_.get(), CLONE_NEWNET) == 0);
        action();
      }).join();
    } else {
      std::optional<decltype(action())> answer;
      std::thread([&] {
        CHECK(::setns(fd_.get(), CLONE_NEWNET) == 0);
        answer.emplace(action());
      }).join();
      return *std::move(answer);
    }
  }

 private:
  static void bring_up_loopback() {
    auto route = open_netlink(NETLINK_ROUTE);
    CHECK(route.ok());
    NetlinkBatch batch;
    add_loopback_up(batch);
    CHECK(exchange(route->get(), batch).ok());
  }
  Fd fd_;
};

inline sockaddr_storage address_of(const std::string& ip, uint16_t port, socklen_t& size) {
  sockaddr_storage storage{};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (ip.find(':') == std::string::npos) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    CHECK(::inet_pton(AF_INET, ip.c_str(), &v4->sin_addr) == 1);
    size = sizeof *v4;
  } else {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    CHECK(::inet_pton(AF_INET6, ip.c_str(), &v6->sin6_addr) == 1);
    size = sizeof *v6;
  }
  return storage;
}

inline std::string text_of(const sockaddr_storage& storage) {
  char text[INET6_ADDRSTRLEN] = {};
  if (storage.ss_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(storage).sin_addr, text, sizeof text);
  } else {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      ::inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, text, sizeof text);
    } else {
      ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    }
  }
  return text;
}

// Plain TCP, for connections that last.
inline Fd listen_on(uint16_t port) {
  Fd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  socklen_t size;
  auto address = address_of("::", port, size);
  CHECK(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  CHECK(::listen(fd.get(), 64) == 0);
  return fd;
}
inline Fd connect_to(const std::string& ip, uint16_t port) {
  socklen_t size;
  auto address = address_of(ip, port, size);
  Fd fd(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0) << std::strerror(errno);
  return fd;
}
// What arrives of `text` within five seconds.
inline std::string pass(const Fd& from, const Fd& to, const std::string& text) {
  EXPECT_EQ(::send(from.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  pollfd waiting{to.get(), POLLIN, 0};
  char buffer[256];
  ssize_t got = ::poll(&waiting, 1, 5000) == 1 ? ::recv(to.get(), buffer, sizeof buffer, 0) : 0;
  return {buffer, static_cast<size_t>(std::max<ssize_t>(got, 0))};
}

// Tells everybody who connects the name it was given and the address it sees: "db sees 172.30.0.3".
class Server {
 public:
  Server(const Namespace& where, std::string name, uint16_t port) : name_(std::move(name)) {
    socket_ = where.run([&] { return listen_on(port); });
    stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
    thread_ = std::thread([this] { serve(); });
  }
  ~Server() {
    uint64_t one = 1;
    CHECK(::write(stop_.get(), &one, sizeof one) == sizeof one);
    thread_.join();
  }

 private:
  void serve() {
    for (;;) {
      pollfd waiting[] = {{socket_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
      ::poll(waiting, 2, -1);
      if (waiting[1].revents != 0) return;
      sockaddr_storage peer{};
      socklen_t size = sizeof peer;
      Fd connection(::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC));
      if (connection) (void)write_all(connection.get(), name_ + " sees " + text_of(peer));
    }
  }

  std::string name_;
  Fd socket_;
  Fd stop_;
  std::thread thread_;
};

// What the server said, or why there was no answer: "timeout", "Connection refused", …
inline std::string ask(const Namespace& from, const std::string& ip, uint16_t port, int timeout_ms = 2000) {
  return from.run([&]() -> std::string {
    socklen_t size;
    auto address = address_of(ip, port, size);
    Fd fd(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 && errno != EINPROGRESS) {
      return std::strerror(errno);
    }
    std::string answer;
    for (;;) {
      pollfd waiting{fd.get(), POLLIN, 0};
      if (::poll(&waiting, 1, timeout_ms) == 0) return "timeout";
      char buffer[256];
      ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
      if (got < 0) return std::strerror(errno);
      if (got == 0) return answer;
      answer.append(buffer, static_cast<size_t>(got));
    }
  });
}
// Where the answer is expected to stay out.
inline std::string ask_in_vain(const Namespace& from, const std::string& ip, uint16_t port) {
  return ask(from, ip, port, 300);
}

// Waits until the question has that answer: the repair comes by itself, at the kernel's notice.
inline std::string ask_until(const Namespace& from, const std::string& ip, uint16_t port, const std::string& wanted) {
  std::string answer;
  for (int tries = 0; tries < 100; ++tries) {
    answer = ask(from, ip, port, 200);
    if (answer == wanted) break;
    ::poll(nullptr, 0, 20);  // refused at once: the repair is another thread's
  }
  return answer;
}

// A namespace with the sockets that a container's init opens in it.
struct FakeContainer {
  Namespace ns;
  Fd route;
  Fd netfilter;
  Fd dns_udp;
  Fd dns_tcp;

  FakeContainer() {
    ns.run([this] {
      route = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
      netfilter = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
      dns_udp = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      dns_tcp = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      socklen_t size;
      auto address = address_of("127.0.0.11", 0, size);
      CHECK(::bind(dns_udp.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
      CHECK(::bind(dns_tcp.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
      CHECK(::listen(dns_tcp.get(), 16) == 0);
    });
  }
  NetnsAccess access() const { return {.route = route.get(), .netfilter = netfilter.get(), .netns = ns.fd()}; }
};

inline uint16_t port_of(const Fd& fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

inline IpAddress ip(const std::string& text) { return *IpAddress::parse(text); }
inline Subnet subnet(const std::string& text) { return *Subnet::parse(text); }

inline BridgeConfig bridge_config(int number) {
  std::string base = "172.30." + std::to_string(number);
  return {.network_id = std::string(63, 'a') + std::to_string(number),
          .bridge_name = "br-test" + std::to_string(number),
          .subnet4 = subnet(base + ".0/24"),
          .gateway4 = ip(base + ".1")};
}

// What traces.sh finds in the namespace.
inline std::string traces(const Namespace& where) {
  return where.run([] {
    std::string text;
    FILE* output = ::popen("sh " GANTRY_TEST_DATA "/root/net/traces.sh", "re");
    CHECK(output != nullptr);
    char buffer[4096];
    while (size_t got = std::fread(buffer, 1, sizeof buffer, output)) text.append(buffer, got);
    EXPECT_EQ(::pclose(output), 0) << "needs ip and nft";
    return text;
  });
}

inline EndpointConfig endpoint_config(const BridgeConfig& bridge, int host_number, bool gateway = true) {
  SeededRandom random(static_cast<uint64_t>(host_number) * 1000 + bridge.bridge_name.back());
  static std::atomic<int> next{0};
  return {.network_id = bridge.network_id,
          .bridge_name = bridge.bridge_name,
          .host_interface = "veth" + std::to_string(1000000 + next++),
          .container_interface = "eth0",
          .mac = MacAddress::random_local(random),
          .address4 = bridge.subnet4->address().plus(static_cast<uint64_t>(host_number)),
          .subnet4 = bridge.subnet4,
          .gateway4 = gateway && !bridge.internal ? bridge.gateway4 : std::nullopt,
          .mtu = bridge.mtu,
          .big_tcp = bridge.big_tcp};
}

// Must be empty at its end.
struct RunDirectory {
  std::string path = "/tmp/gantry-net-XXXXXX";
  RunDirectory() { CHECK(::mkdtemp(path.data()) != nullptr); }
  ~RunDirectory() { EXPECT_EQ(::rmdir(path.c_str()), 0) << path << ": " << std::strerror(errno); }
};

// From the caller's namespace to `eth0` of another, as ordinary hardware takes it.
inline void lay_cable(int route, const std::string& name, const Namespace& to) {
  const Fd there = to.run([] { return *open_netlink(NETLINK_ROUTE); });
  auto laid = make_veth(
      route,
      {.host_name = name, .peer_name = "eth0", .peer_netns = to.fd(), .peer_mac = {{2, 0, 0, 0, 9, 9}}, .big_tcp = false},
      there.get());
  ASSERT_TRUE(laid.ok()) << laid.error().message();
  const auto up = bring_up(route, name);
  EXPECT_TRUE(up.ok()) << up.error().message();
}

// A machine with a network stack of ours, and one outside that is reached through `uplink`: 10.99.0.1 and 10.99.0.2.
// Remembers what it made, for clean_up.
struct Host {
  Namespace ns;
  const RunDirectory run;
  std::unique_ptr<NetworkStack> stack = make_network_stack({.table_name = "gantry-test01", .run_dir = run.path});

  // The daemon's next life.
  void renew() {
    stack = nullptr;
    stack = make_network_stack({.table_name = "gantry-test01", .run_dir = run.path});
  }
  void set_up() const {
    ns.run([this] { expect_ok(stack->set_up()); });
  }
  // As the daemon's end does, with what tests have not removed themselves.
  void clean_up() {
    ns.run([this] {
      for (const EndpointConfig& endpoint : attached_) expect_ok(stack->detach(endpoint));
      for (const BridgeConfig& bridge : created_) expect_ok(stack->remove_bridge(bridge));
      expect_ok(stack->tear_down());
      stack = nullptr;
    });
  }
  void expect_ok(Result<> result) const { EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message()); }
  void create(const BridgeConfig& bridge) {
    created_.push_back(bridge);
    ns.run([&] { expect_ok(stack->create_bridge(bridge)); });
  }
  void attach(const EndpointConfig& endpoint, const FakeContainer& container) {
    attached_.push_back(endpoint);
    ns.run([&] { expect_ok(stack->attach(endpoint, container.access())); });
  }
  void detach(const EndpointConfig& endpoint) const {
    ns.run([&] { expect_ok(stack->detach(endpoint, nullptr)); });
  }
  void connect_outside(const Namespace& outside) {
    ns.run([&] {
      auto route = open_netlink(NETLINK_ROUTE);
      lay_cable(route->get(), "uplink", outside);
      auto link = find_link(route->get(), "uplink");
      expect_ok(set_addresses(route->get(), (*link)->index, "uplink", {{ip("10.99.0.1"), 24}}));
    });
    outside.run([&] {
      auto route = open_netlink(NETLINK_ROUTE);
      auto link = find_link(route->get(), "eth0");
      NetlinkBatch batch;
      add_peer_set_up(
          batch,
          {.index = (*link)->index, .name = "eth0", .addresses = {{ip("10.99.0.2"), 24}}, .gateway4 = ip("10.99.0.1")});
      expect_ok(exchange(route->get(), batch));
    });
    ns.run([&] {
      auto route = open_netlink(NETLINK_ROUTE);
      expect_ok(wait_operational(route->get(), {"uplink"}));
    });
  }
  // After connect_outside: fd99::1 and fd99::2.
  void add_ipv6_outside(const Namespace& outside) {
    ns.run([&] {
      auto route = open_netlink(NETLINK_ROUTE);
      int index = (*find_link(route->get(), "uplink"))->index;
      expect_ok(set_addresses(route->get(), index, "uplink", {{ip("10.99.0.1"), 24}, {ip("fd99::1"), 64}}));
      // Without a link-local address of its own the host cannot look for neighbours of packets that it forwards.
      expect_ok(set_up_bridge(route->get(), index, "uplink", {.ipv6 = true, .route_localnet = true}));
    });
    outside.run([&] {
      auto route = open_netlink(NETLINK_ROUTE);
      NetlinkBatch batch;
      add_peer_set_up(batch, {.index = (*find_link(route->get(), "eth0"))->index,
                              .name = "eth0",
                              .addresses = {{ip("fd99::2"), 64}},
                              .gateway6 = ip("fd99::1")});
      expect_ok(exchange(route->get(), batch));
    });
  }
  // Interfaces but for the cable to the outside, for "nothing is left": once those are gone that are being removed.
  std::vector<std::string> interfaces() const {
    return ns.run([] {
      std::vector<std::string> names;
      auto route = open_netlink(NETLINK_ROUTE);
      auto links = list_links(route->get());
      const auto leaves = [](const Link& link) { return (link.group & kGroupMask) == kGroupOfLeaving; };
      for (int i = 0; i < 500 && std::any_of(links->begin(), links->end(), leaves); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        links = list_links(route->get());
      }
      for (const Link& link : *links) {
        // Some kernels put fallback tunnel devices into every namespace.
        if ((link.kind == "bridge" || link.kind == "veth") && link.name != "uplink") names.push_back(link.name);
      }
      std::sort(names.begin(), names.end());
      return names;
    });
  }

 private:
  std::vector<BridgeConfig> created_;
  std::vector<EndpointConfig> attached_;
};

// For the start of every test here.
inline bool can_make_namespaces() {
  if (::geteuid() != 0) return false;
  bool able = false;
  std::thread([&] { able = ::unshare(CLONE_NEWNET) == 0; }).join();
  return able;
}
#define NEEDS_NETWORK_NAMESPACES() \
  if (!can_make_namespaces()) GTEST_SKIP() << "needs root: network namespaces cannot be made"

}  // namespace gantry::net
