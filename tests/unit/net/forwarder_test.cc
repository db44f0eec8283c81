#include "net/forwarder.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "base/check.h"
#include "net/socket_address.h"

namespace gantry::net {
namespace {

IpAddress loopback() { return IpAddress::v4(0x7f000001); }

Fd bound(int type) {
  Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  const SocketAddress any(loopback(), 0);
  CHECK(::bind(fd.get(), any.get(), any.size) == 0);
  if (type == SOCK_STREAM) CHECK(::listen(fd.get(), 8) == 0);
  return fd;
}

std::string receive(const Fd& fd, int timeout_ms = 5000) {
  pollfd waiting{fd.get(), POLLIN, 0};
  if (::poll(&waiting, 1, timeout_ms) != 1) return "timeout";
  char buffer[4096];
  const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
  if (got < 0) return std::strerror(errno);
  return got == 0 ? "end" : std::string(buffer, static_cast<size_t>(got));
}

class ForwarderTest : public testing::Test {
 protected:
  void SetUp() override {
    thread_ = std::thread([this] {
      loop_.run();
      forwarder_.reset();
    });
    loop_.ask([this] { forwarder_ = std::make_unique<Forwarder>(loop_); });
  }
  void TearDown() override {
    loop_.stop();
    thread_.join();
  }
  // Carries a new port to the target; returns it.
  UserForward carry(int type, const Fd& target) {
    Fd socket = bound(type);
    const UserForward forward{.protocol = static_cast<uint8_t>(type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP),
                              .host = loopback(),
                              .host_port = local_address(socket.get()).port(),
                              .target = loopback(),
                              .target_port = local_address(target.get()).port()};
    loop_.ask([&] { forwarder_->carry(forward, std::move(socket)); });
    return forward;
  }
  static Fd connect(const UserForward& forward) {
    Fd fd(::socket(AF_INET, (forward.protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
    const SocketAddress to(forward.host, forward.host_port);
    if (::connect(fd.get(), to.get(), to.size) != 0) return Fd();
    return fd;
  }

  EventLoop loop_;
  std::unique_ptr<Forwarder> forwarder_;
  std::thread thread_;
};

TEST_F(ForwarderTest, EachEndClosesItsDirectionAlone) {
  Fd target = bound(SOCK_STREAM);
  Fd client = connect(carry(SOCK_STREAM, target));
  Fd server(::accept4(target.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_EQ(::send(client.get(), "question", 8, 0), 8);
  EXPECT_EQ(receive(server), "question");
  ::shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(receive(server), "end");
  ASSERT_EQ(::send(server.get(), "answer", 6, 0), 6);
  EXPECT_EQ(receive(client), "answer");
  server.reset();
  EXPECT_EQ(receive(client), "end");
}

TEST_F(ForwarderTest, MoreThanFitsIntoBuffersGetsThroughUnchanged) {
  Fd target = bound(SOCK_STREAM);
  Fd client = connect(carry(SOCK_STREAM, target));
  Fd server(::accept4(target.get(), nullptr, nullptr, SOCK_CLOEXEC));
  std::string sent(20 << 20, '\0');
  for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 31 >> 3);
  std::thread writer([&] {
    EXPECT_TRUE(write_all(client.get(), sent).ok());
    ::shutdown(client.get(), SHUT_WR);
  });
  auto got = read_all(server.get(), sent.size() + 1);
  writer.join();
  ASSERT_TRUE(got.ok());
  EXPECT_TRUE(*got == sent);
}

TEST_F(ForwarderTest, WhereNobodyListensTheClientIsRefused) {
  Fd target = bound(SOCK_STREAM);
  const UserForward forward = carry(SOCK_STREAM, target);
  target.reset();
  Fd client = connect(forward);
  ASSERT_TRUE(client);
  EXPECT_EQ(receive(client), "Connection reset by peer");
}

TEST_F(ForwarderTest, NewConnectionsGoToTheNewTarget) {
  Fd first = bound(SOCK_STREAM);
  Fd second = bound(SOCK_STREAM);
  UserForward forward = carry(SOCK_STREAM, first);
  forward.target_port = local_address(second.get()).port();
  loop_.ask([&] { forwarder_->carry(forward, Fd()); });
  Fd client = connect(forward);
  ASSERT_EQ(::send(client.get(), "hello", 5, 0), 5);
  Fd server(::accept4(second.get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_EQ(receive(server), "hello");
}

TEST_F(ForwarderTest, AStoppedPortIsFree) {
  Fd target = bound(SOCK_STREAM);
  const UserForward forward = carry(SOCK_STREAM, target);
  loop_.ask([&] { forwarder_->stop(forward.key()); });
  EXPECT_FALSE(connect(forward));
  EXPECT_TRUE(loop_.ask([&] { return forwarder_->empty(); }));
}

TEST_F(ForwarderTest, EachPeerGetsItsOwnDatagramsBack) {
  Fd target = bound(SOCK_DGRAM);
  const UserForward forward = carry(SOCK_DGRAM, target);
  Fd one = connect(forward);
  Fd two = connect(forward);
  for (const auto& [fd, text] : {std::pair{&one, "one"}, {&two, "two"}}) ::send(fd->get(), text, 3, 0);
  for (int i = 0; i < 2; ++i) {
    char buffer[64];
    SocketAddress from;
    from.size = sizeof from.storage;
    const ssize_t got = ::recvfrom(target.get(), buffer, sizeof buffer, 0, from.get(), &from.size);
    ASSERT_EQ(got, 3);
    ::sendto(target.get(), buffer, 3, 0, from.get(), from.size);
  }
  EXPECT_EQ(receive(one), "one");
  EXPECT_EQ(receive(two), "two");
}

TEST_F(ForwarderTest, APeerWhoseTargetWasAwayIsServedWhenItIsBack) {
  Fd target = bound(SOCK_DGRAM);
  const UserForward forward = carry(SOCK_DGRAM, target);
  const SocketAddress place(loopback(), forward.target_port);
  target.reset();
  Fd client = connect(forward);
  ::send(client.get(), "lost", 4, 0);
  loop_.ask([] {});
  target = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(target.get(), place.get(), place.size), 0);
  // The first may still be told of the earlier one's error, and the lost one may have been late rather than lost.
  std::string got;
  for (int tries = 0; tries < 50 && got != "again"; ++tries) {
    ::send(client.get(), "again", 5, 0);
    got = receive(target, 200);
  }
  EXPECT_EQ(got, "again");
}

}  // namespace
}  // namespace gantry::net
