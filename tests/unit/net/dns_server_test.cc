#include "net/dns_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <thread>

#include "base/check.h"
#include "unit/net/addresses.h"

namespace gantry::net {
namespace {

using Packet = std::vector<uint8_t>;

Fd bound_to(int type, const char* address, uint16_t port = 0) {
  Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  sockaddr_in in{.sin_family = AF_INET, .sin_port = htons(port)};
  CHECK(::inet_pton(AF_INET, address, &in.sin_addr) == 1);
  int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&in), sizeof in) != 0) return Fd();
  if (type == SOCK_STREAM) ::listen(fd.get(), 8);
  return fd;
}

sockaddr_in name_of(const Fd& fd) {
  sockaddr_in in{};
  socklen_t size = sizeof in;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&in), &size);
  return in;
}

Packet query(const std::string& label, uint16_t id = 0x4321, DnsType type = DnsType::a) {
  Packet packet{static_cast<uint8_t>(id >> 8), static_cast<uint8_t>(id), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  packet.push_back(static_cast<uint8_t>(label.size()));
  packet.insert(packet.end(), label.begin(), label.end());
  packet.insert(packet.end(), {0, 0, static_cast<uint8_t>(type), 0, 1});
  return packet;
}

// The answer's code and, if there is one, its first address.
std::string summary(const Packet& answer) {
  if (answer.size() < 12) return "none";
  std::string text = "code " + std::to_string(answer[3] & 15);
  if (answer[7] == 0) return text;
  const uint8_t* last = answer.data() + answer.size() - 4;
  return text + " " +
         IpAddress::v4(uint32_t{last[0]} << 24 | uint32_t{last[1]} << 16 | uint32_t{last[2]} << 8 | last[3])
             .to_string();
}

// The server on its loop, with one client on loopback sockets, and upstreams on other loopback addresses.
class DnsServerTest : public testing::Test {
 protected:
  void SetUp() override {
    upstream_udp_ = bound_to(SOCK_DGRAM, "127.0.0.53");
    port_ = ntohs(name_of(upstream_udp_).sin_port);
    upstream_tcp_ = bound_to(SOCK_STREAM, "127.0.0.53", port_);
    ASSERT_TRUE(upstream_tcp_);
    Fd udp = bound_to(SOCK_DGRAM, "127.0.0.1");
    Fd tcp = bound_to(SOCK_STREAM, "127.0.0.1");
    udp_ = name_of(udp);
    tcp_ = name_of(tcp);
    thread_ = std::thread([this] {
      loop_.run();
      server_ = nullptr;
    });
    on_loop([&] {
      DnsForwarder::Options options{
          .patience = std::chrono::milliseconds(1000), .head_start = std::chrono::milliseconds(50), .port = port_};
      server_ = std::make_unique<DnsServer>(loop_, random_, options, [] {});
      server_->add_client(client_, std::move(udp), std::move(tcp));
      server_->zone().publish(
          "1", {.network_id = "n", .network_name = "net", .names = {"db"}, .addresses = {ip("10.0.0.3")}});
    });
  }
  void TearDown() override {
    loop_.stop();
    if (thread_.joinable()) thread_.join();
  }
  template <class F>
  void on_loop(F action) {
    auto done = std::make_shared<std::promise<void>>();
    auto waiting = done->get_future();
    loop_.post([done, action = std::move(action)]() mutable {
      action();
      done->set_value();
    });
    waiting.get();
  }
  void set_upstreams(std::vector<IpAddress> upstreams, bool internal_only = false) {
    client_.upstreams = std::move(upstreams);
    client_.internal_only = internal_only;
    on_loop([&] { server_->update_client(client_); });
  }

  Packet ask_udp(const Packet& packet) {
    Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ::connect(fd.get(), reinterpret_cast<sockaddr*>(&udp_), sizeof udp_);
    ::send(fd.get(), packet.data(), packet.size(), 0);
    return receive(fd);
  }
  static Packet receive(const Fd& fd) {
    pollfd waiting{fd.get(), POLLIN, 0};
    if (::poll(&waiting, 1, 5000) != 1) return {};
    Packet answer(65536);
    ssize_t got = ::recv(fd.get(), answer.data(), answer.size(), 0);
    answer.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
    return answer;
  }
  Fd connect_tcp() {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&tcp_), sizeof tcp_), 0);
    return fd;
  }
  static Packet framed(const Packet& packet) {
    Packet out{static_cast<uint8_t>(packet.size() >> 8), static_cast<uint8_t>(packet.size())};
    out.insert(out.end(), packet.begin(), packet.end());
    return out;
  }
  // Takes one query and answers it as `make` says.
  template <class F>
  void answer_upstream(F make) {
    Packet packet(4096);
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    ssize_t got =
        ::recvfrom(upstream_udp_.get(), packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&peer), &size);
    packet.resize(static_cast<size_t>(got));
    for (const Packet& reply : make(packet)) {
      ::sendto(upstream_udp_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&peer), size);
    }
  }
  static Packet answer_to(const Packet& packet, const std::string& address) {
    return build_dns_answer(*parse_dns_query(packet), DnsCode::no_error, {address_record(ip(address))}, 512);
  }

  EventLoop loop_;
  SeededRandom random_{9};
  std::thread thread_;
  std::unique_ptr<DnsServer> server_;
  NameService::Client client_{.id = "c", .networks = {"n"}};
  Fd upstream_udp_, upstream_tcp_;
  uint16_t port_ = 0;
  sockaddr_in udp_{}, tcp_{};
};

TEST_F(DnsServerTest, AnswersOwnNamesByUdpAndTcp) {
  EXPECT_EQ(summary(ask_udp(query("db"))), "code 0 10.0.0.3");
  Fd tcp = connect_tcp();
  Packet two = framed(query("db", 1));
  Packet second = framed(query("DB", 2));
  two.insert(two.end(), second.begin(), second.end());
  // Byte by byte, two queries behind each other.
  for (uint8_t byte : two) ASSERT_EQ(::send(tcp.get(), &byte, 1, 0), 1);
  Packet answers;
  while (answers.size() < 2 * (2 + query("db").size() + 16)) {
    Packet more = receive(tcp);
    ASSERT_FALSE(more.empty());
    answers.insert(answers.end(), more.begin(), more.end());
  }
  EXPECT_EQ(answers[3], 1);
  EXPECT_EQ(summary(Packet(answers.begin() + 2, answers.begin() + 2 + (answers[0] << 8 | answers[1]))),
            "code 0 10.0.0.3");
}

TEST_F(DnsServerTest, WithoutUpstreamsOtherNamesFailAtOnce) {
  EXPECT_EQ(summary(ask_udp(query("example"))), "code 2");
  set_upstreams({ip("127.0.0.53")}, true);
  EXPECT_EQ(summary(ask_udp(query("example"))), "code 2") << "an internal network has no way out";
  set_upstreams({ip("127.0.0.11")});
  EXPECT_EQ(summary(ask_udp(query("example"))), "code 2") << "our own address would ask us";
}

TEST_F(DnsServerTest, GarbageIsAnsweredWithAFormatErrorOrNotAtAll) {
  Packet broken = query("db");
  broken.resize(15);
  EXPECT_EQ(summary(ask_udp(broken)), "code 1");
  EXPECT_EQ(summary(ask_udp(query("db"))), "code 0 10.0.0.3");
}

TEST_F(DnsServerTest, ForwardsWithAnotherIdAndGivesBackTheAskers) {
  set_upstreams({ip("127.0.0.53")});
  std::thread upstream([&] {
    answer_upstream([](const Packet& asked) {
      Packet forged = answer_to(asked, "6.6.6.6");
      forged[0] ^= 1;  // another id
      Packet other = answer_to(query("another", static_cast<uint16_t>(asked[0] << 8 | asked[1])), "6.6.6.6");
      return std::vector<Packet>{forged, other, answer_to(asked, "192.0.2.7")};
    });
  });
  Packet answer = ask_udp(query("example", 0x4321));
  upstream.join();
  EXPECT_EQ(summary(answer), "code 0 192.0.2.7");
  EXPECT_EQ(answer[0], 0x43);
  EXPECT_EQ(answer[1], 0x21);
}

TEST_F(DnsServerTest, GoesOnToTheNextUpstreamOnSilence) {
  // Nobody listens on .52, which the kernel reports; .51 is there and silent.
  Fd silent = bound_to(SOCK_DGRAM, "127.0.0.51", port_);
  ASSERT_TRUE(silent);
  set_upstreams({ip("127.0.0.52"), ip("127.0.0.51"), ip("127.0.0.53")});
  std::thread upstream(
      [&] { answer_upstream([](const Packet& asked) { return std::vector<Packet>{answer_to(asked, "192.0.2.7")}; }); });
  EXPECT_EQ(summary(ask_udp(query("example"))), "code 0 192.0.2.7");
  upstream.join();
}

TEST_F(DnsServerTest, WhenNoUpstreamAnswersItFails) {
  Fd silent = bound_to(SOCK_DGRAM, "127.0.0.51", port_);
  set_upstreams({ip("127.0.0.51")});
  EXPECT_EQ(summary(ask_udp(query("example"))), "code 2");
}

TEST_F(DnsServerTest, WhatIsAskedByTcpIsForwardedByTcp) {
  set_upstreams({ip("127.0.0.53")});
  std::thread upstream([&] {
    Fd connection(::accept4(upstream_tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    Packet asked = receive(connection);
    ASSERT_GT(asked.size(), 2u);
    Packet reply = framed(answer_to(Packet(asked.begin() + 2, asked.end()), "192.0.2.7"));
    for (uint8_t byte : reply) ::send(connection.get(), &byte, 1, 0);
  });
  Fd tcp = connect_tcp();
  Packet packet = framed(query("example"));
  ::send(tcp.get(), packet.data(), packet.size(), 0);
  Packet answer = receive(tcp);
  upstream.join();
  ASSERT_GT(answer.size(), 2u);
  EXPECT_EQ(summary(Packet(answer.begin() + 2, answer.end())), "code 0 192.0.2.7");
}

TEST_F(DnsServerTest, AClientThatIsRemovedIsNotAnsweredAndDoesNoHarm) {
  set_upstreams({ip("127.0.0.53")});
  Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ::connect(fd.get(), reinterpret_cast<sockaddr*>(&udp_), sizeof udp_);
  Packet packet = query("example");
  ::send(fd.get(), packet.data(), packet.size(), 0);
  answer_upstream([&](const Packet& asked) {
    on_loop([&] { server_->remove_client("c"); });
    return std::vector<Packet>{answer_to(asked, "192.0.2.7")};
  });
  on_loop([&] { EXPECT_TRUE(server_->clients().empty()); });
}

TEST_F(DnsServerTest, ASlowUpstreamStillWinsIfTheNextOneIsSlower) {
  Fd silent = bound_to(SOCK_DGRAM, "127.0.0.51", port_);
  set_upstreams({ip("127.0.0.53"), ip("127.0.0.51")});
  std::thread upstream([&] {
    answer_upstream([&](const Packet& asked) {
      Packet second(4096);
      EXPECT_GT(::recv(silent.get(), second.data(), second.size(), 0), 0) << "both are asked, at the same time";
      return std::vector<Packet>{answer_to(asked, "192.0.2.7")};
    });
  });
  EXPECT_EQ(summary(ask_udp(query("example"))), "code 0 192.0.2.7");
  upstream.join();
}

TEST_F(DnsServerTest, WhatWasAnsweredIsNotAskedAgain) {
  set_upstreams({ip("127.0.0.53")});
  std::thread upstream(
      [&] { answer_upstream([](const Packet& asked) { return std::vector<Packet>{answer_to(asked, "192.0.2.7")}; }); });
  EXPECT_EQ(summary(ask_udp(query("example", 1))), "code 0 192.0.2.7");
  upstream.join();  // it answers once
  Packet again = ask_udp(query("EXAMPLE", 2));
  EXPECT_EQ(summary(again), "code 0 192.0.2.7");
  EXPECT_EQ(again[1], 2);
  EXPECT_EQ(std::string(again.begin() + 13, again.begin() + 20), "EXAMPLE");
}

TEST_F(DnsServerTest, TheHostsNameServersServeWhoeverBringsNone) {
  on_loop([&] { server_->set_host_upstreams({ip("127.0.0.53")}); });
  std::thread upstream(
      [&] { answer_upstream([](const Packet& asked) { return std::vector<Packet>{answer_to(asked, "192.0.2.7")}; }); });
  EXPECT_EQ(summary(ask_udp(query("example"))), "code 0 192.0.2.7");
  upstream.join();
  on_loop([&] { server_->set_host_upstreams({}); });
  EXPECT_EQ(summary(ask_udp(query("example"))), "code 2") << "what the old ones said is forgotten with them";
}

TEST_F(DnsServerTest, ALinkIsANameForOneClientAlone) {
  client_.links = {{"database", "db"}, {"db", "nobody"}};
  on_loop([&] { server_->update_client(client_); });
  EXPECT_EQ(summary(ask_udp(query("database"))), "code 0 10.0.0.3");
  EXPECT_EQ(summary(ask_udp(query("db"))), "code 0 10.0.0.3") << "a link that leads nowhere hides nothing";
  client_.links = {};
  on_loop([&] { server_->update_client(client_); });
  EXPECT_EQ(summary(ask_udp(query("database"))), "code 2");
}

TEST_F(DnsServerTest, BareNamesStayInsideForWhoeverSetsNdots) {
  client_.sets_ndots = true;
  set_upstreams({ip("127.0.0.53")});
  EXPECT_EQ(summary(ask_udp(query("example"))), "code 0");
  EXPECT_EQ(summary(ask_udp(query("db"))), "code 0 10.0.0.3");
}

}  // namespace
}  // namespace gantry::net
