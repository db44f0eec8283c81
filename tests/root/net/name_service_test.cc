#include <sys/wait.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "net/dns_message.h"
#include "net/network.h"
#include "root/net/world.h"

namespace gantry::net {
namespace {

namespace fs = std::filesystem;

std::vector<uint8_t> query_packet(const std::string& name, DnsType type) {
  std::vector<uint8_t> packet{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  for (const std::string& label : split(name, '.')) {
    packet.push_back(static_cast<uint8_t>(label.size()));
    packet.insert(packet.end(), label.begin(), label.end());
  }
  packet.push_back(0);
  packet.push_back(0);
  packet.push_back(static_cast<uint8_t>(type));
  packet.push_back(0);
  packet.push_back(1);
  return packet;
}

// "172.30.1.3", "a b" for several in order of value, "code 2", "empty" or "timeout".
std::string summary(const std::vector<uint8_t>& answer) {
  if (answer.size() < 12) return "timeout";
  if ((answer[3] & 15) != 0) return "code " + std::to_string(answer[3] & 15);
  unsigned count = static_cast<unsigned>(answer[6] << 8 | answer[7]);
  size_t at = 12;
  while (answer[at] != 0) at += answer[at] + 1u;
  at += 5;
  std::set<std::string> found;
  for (unsigned i = 0; i < count; ++i) {
    size_t size = static_cast<size_t>(answer[at + 10] << 8 | answer[at + 11]);
    char text[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(size == 4 ? AF_INET : AF_INET6, &answer[at + 12], text, sizeof text);
    found.insert(text);
    at += 12 + size;
  }
  return found.empty() ? "empty" : join(std::vector<std::string>(found.begin(), found.end()), " ");
}

// As every resolver does: to port 53 of the address in resolv.conf.
std::string resolve(const Namespace& from, const std::string& name, DnsType type = DnsType::a, bool tcp = false,
                    int timeout_ms = 3000) {
  return from.run([&]() -> std::string {
    auto packet = query_packet(name, type);
    if (tcp) packet.insert(packet.begin(), {0, static_cast<uint8_t>(packet.size())});
    Fd fd(::socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
    socklen_t size;
    auto address = address_of("127.0.0.11", 53, size);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return std::strerror(errno);
    if (::send(fd.get(), packet.data(), packet.size(), 0) < 0) return std::strerror(errno);
    pollfd waiting{fd.get(), POLLIN, 0};
    if (::poll(&waiting, 1, timeout_ms) == 0) return "timeout";
    std::vector<uint8_t> answer(4096);
    ssize_t got = ::recv(fd.get(), answer.data(), answer.size(), 0);
    if (got < 0) return std::strerror(errno);
    answer.resize(static_cast<size_t>(got));
    if (tcp && answer.size() > 2) answer.erase(answer.begin(), answer.begin() + 2);
    return summary(answer);
  });
}

// Answers every query with one address, or a bare code, until it ends.
class FakeUpstream {
 public:
  FakeUpstream(const Namespace& where, const std::string& ip, std::string answer) : answer_(std::move(answer)) {
    where.run([&] {
      fd_ = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      socklen_t size;
      auto address = address_of(ip, 53, size);
      CHECK(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    });
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeUpstream() {
    ::shutdown(fd_.get(), SHUT_RDWR);
    thread_.join();
  }

 private:
  void serve() {
    for (;;) {
      uint8_t buffer[2048];
      sockaddr_in peer{};
      socklen_t size = sizeof peer;
      ssize_t got = ::recvfrom(fd_.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&peer), &size);
      if (got <= 0) return;
      auto query = parse_dns_query({buffer, static_cast<size_t>(got)});
      if (!query) continue;
      auto address = IpAddress::parse(answer_);
      auto reply = address.ok() ? build_dns_answer(*query, DnsCode::no_error, {address_record(*address)}, 512)
                                : build_dns_answer(*query, static_cast<DnsCode>(std::stoi(answer_)), {}, 512);
      ::sendto(fd_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&peer), size);
    }
  }
  std::string answer_;
  Fd fd_;
  std::thread thread_;
};

// A host namespace in which gantry-dns runs, and its run directory.
class NameServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    NEEDS_NETWORK_NAMESPACES();
    executable_ = fs::read_symlink("/proc/self/exe").parent_path() / "gantry-dns";
    if (!fs::exists(executable_)) GTEST_SKIP() << "needs root: and gantry-dns beside the test";
    char name[] = "/tmp/gantry-name-service-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    run_dir_ = name;
    host_ = std::make_unique<Host>();
    service_ = make_name_service({.dns_executable = executable_, .run_dir = run_dir_});
  }
  void TearDown() override {
    if (run_dir_.empty()) return;
    pid_t pid = service_pid();
    if (service_) {
      for (const std::string& id : clients_) (void)service_->remove_client(id);
      service_->disconnect();
    }
    if (pid > 0) {
      wait_for_end(pid);
    }
    fs::remove_all(run_dir_);
  }

  void connect() {
    host_->ns.run([&] { host_->expect_ok(service_->connect()); });
  }
  // Attached and with the redirection, as the engine does it.
  void start(const std::string& id, FakeContainer& container, const BridgeConfig& bridge, int number,
             std::vector<IpAddress> upstreams = {}) {
    host_->attach(endpoint_config(bridge, number), container);
    host_->ns.run([&] {
      host_->expect_ok(
          host_->stack->redirect_dns(container.access(), port_of(container.dns_udp), port_of(container.dns_tcp)));
    });
    tell(id, container, bridge, std::move(upstreams));
  }
  void tell(const std::string& id, FakeContainer& container, const BridgeConfig& bridge,
            std::vector<IpAddress> upstreams = {}) {
    host_->expect_ok(
        service_->add_client({.id = id, .networks = {bridge.network_id}, .upstreams = std::move(upstreams)},
                             *container.dns_udp.duplicate(), *container.dns_tcp.duplicate(), Fd()));
    clients_.insert(id);
  }
  void publish(const std::string& key, const BridgeConfig& bridge, std::vector<std::string> names,
               const std::string& address) {
    host_->expect_ok(service_->publish(key, {.network_id = bridge.network_id,
                                             .network_name = "app_default",
                                             .names = std::move(names),
                                             .addresses = {ip(address)}}));
  }

  // The process whose argument is our run directory; 0: none.
  pid_t service_pid() const {
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::string name = entry.path().filename();
      if (!parse_unsigned(name)) continue;
      auto command = read_file(entry.path() / "cmdline");
      if (command.ok() && command->find("gantry-dns") != std::string::npos &&
          command->find(run_dir_.native()) != std::string::npos) {
        return static_cast<pid_t>(std::stoi(name));
      }
    }
    return 0;
  }
  static void wait_for_end(pid_t pid) {
    Fd process(static_cast<int>(::syscall(434 /* pidfd_open */, pid, 0)));
    if (!process) return;
    pollfd waiting{process.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&waiting, 1, 5000), 1) << "gantry-dns did not end";
  }

  fs::path executable_;
  fs::path run_dir_;
  std::unique_ptr<Host> host_;
  std::unique_ptr<NameService> service_;
  std::set<std::string> clients_;
  BridgeConfig bridge_ = bridge_config(1);
};

TEST_F(NameServiceTest, NamesResolveInTheContainersAtThePortThatTheyExpect) {
  connect();
  host_->create(bridge_);
  FakeContainer web;
  start("web", web, bridge_, 2);
  publish("e1", bridge_, {"app-db-1", "db"}, "172.30.1.3");
  EXPECT_EQ(resolve(web.ns, "db"), "172.30.1.3");
  EXPECT_EQ(resolve(web.ns, "DB.app_default"), "172.30.1.3");
  EXPECT_EQ(resolve(web.ns, "db", DnsType::a, true), "172.30.1.3");
  EXPECT_EQ(resolve(web.ns, "db", DnsType::aaaa), "empty");
  EXPECT_EQ(resolve(web.ns, "nobody"), "code 2") << "there is no upstream";
  publish("e2", bridge_, {"app-db-2", "db"}, "172.30.1.4");
  EXPECT_EQ(resolve(web.ns, "db"), "172.30.1.3 172.30.1.4");
  host_->expect_ok(service_->withdraw("e1"));
  EXPECT_EQ(resolve(web.ns, "db"), "172.30.1.4");
}

TEST_F(NameServiceTest, ThePortItselfStaysFreeForTheContainer) {
  connect();
  host_->create(bridge_);
  FakeContainer web;
  start("web", web, bridge_, 2);
  Server own(web.ns, "own name server", 53);
  EXPECT_EQ(ask(web.ns, "172.30.1.2", 53), "own name server sees 172.30.1.2");
}

TEST_F(NameServiceTest, OtherNamesAreAskedUpstreamInTurnUntilOneAnswers) {
  connect();
  host_->create(bridge_);
  Namespace outside;
  host_->connect_outside(outside);
  FakeContainer web;
  start("web", web, bridge_, 2, {ip("10.99.0.2"), ip("10.99.0.1")});
  FakeUpstream failing(outside, "10.99.0.2", "2");
  FakeUpstream working(host_->ns, "10.99.0.1", "192.0.2.7");
  EXPECT_EQ(resolve(web.ns, "example.com"), "192.0.2.7");
}

TEST_F(NameServiceTest, NoSuchNameUpstreamIsFinal) {
  connect();
  host_->create(bridge_);
  Namespace outside;
  host_->connect_outside(outside);
  FakeContainer web;
  start("web", web, bridge_, 2, {ip("10.99.0.2"), ip("10.99.0.1")});
  FakeUpstream denying(outside, "10.99.0.2", "3");
  FakeUpstream working(host_->ns, "10.99.0.1", "192.0.2.7");
  EXPECT_EQ(resolve(web.ns, "example.com"), "code 3");
}

TEST_F(NameServiceTest, NamesResolveWhileTheDaemonIsAwayAndAreForgottenUnlessToldAgain) {
  connect();
  host_->create(bridge_);
  FakeContainer web;
  start("web", web, bridge_, 2);
  publish("e1", bridge_, {"db"}, "172.30.1.3");
  publish("e2", bridge_, {"cache"}, "172.30.1.4");
  pid_t pid = service_pid();
  service_->disconnect();  // to the service a daemon's death and end look the same
  EXPECT_EQ(resolve(web.ns, "db"), "172.30.1.3");

  service_ = make_name_service({.dns_executable = executable_, .run_dir = run_dir_});
  connect();
  EXPECT_EQ(service_pid(), pid);
  tell("web", web, bridge_);
  publish("e1", bridge_, {"db"}, "172.30.1.3");
  EXPECT_EQ(resolve(web.ns, "cache"), "172.30.1.4") << "not yet synchronised";
  host_->expect_ok(service_->synchronised());
  EXPECT_EQ(resolve(web.ns, "db"), "172.30.1.3");
  EXPECT_EQ(resolve(web.ns, "cache"), "code 2");
}

TEST_F(NameServiceTest, AKilledServiceIsStartedAgainWithAllThatItKnew) {
  connect();
  host_->expect_ok(service_->synchronised());
  host_->create(bridge_);
  FakeContainer web;
  start("web", web, bridge_, 2);
  publish("e1", bridge_, {"db"}, "172.30.1.3");
  pid_t pid = service_pid();
  ASSERT_GT(pid, 0);
  ::kill(pid, SIGKILL);
  wait_for_end(pid);
  // A query that comes before the next service has its sockets waits in them.
  EXPECT_EQ(resolve(web.ns, "db"), "172.30.1.3");
}

TEST_F(NameServiceTest, EndsWithTheDaemonWhenNoContainerIsLeft) {
  connect();
  pid_t pid = service_pid();
  ASSERT_GT(pid, 0);
  service_->disconnect();
  wait_for_end(pid);
  EXPECT_FALSE(fs::exists(run_dir_ / "dns.sock"));
}

TEST_F(NameServiceTest, PublishingDoesNotWaitForTheService) {
  FakeContainer app;
  connect();
  host_->create(bridge_);
  start("app", app, bridge_, 2);
  const pid_t pid = service_pid();
  ASSERT_GT(pid, 0);
  // A service that does not run at all takes nothing and answers nothing.
  ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  for (int i = 0; i < 50; ++i) publish("e" + std::to_string(i), bridge_, {"name" + std::to_string(i)}, "172.30.1.3");
  ASSERT_EQ(::kill(pid, SIGCONT), 0);
  EXPECT_EQ(resolve(app.ns, "name49"), "172.30.1.3");
}

}  // namespace
}  // namespace gantry::net
