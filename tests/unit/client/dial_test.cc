// What gantry-tls, beside this executable, does for the client: TLS, and names of machines.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "base/tls.h"
#include "client/certificates.h"
#include "client/connection.h"
#include "client/tcp.h"

namespace gantry::client {
namespace {

using Talk = std::function<void(int socket)>;

bool send_text(int socket, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

// Whether the other end says so within seconds.
bool ends(int socket) {
  pollfd state{socket, POLLIN, 0};
  char byte = 0;
  return ::poll(&state, 1, 20'000) == 1 && ::recv(socket, &byte, 1, 0) <= 0;
}

// On 127.0.0.1: one connection, on which `talk` is what the daemon's side says.
class Listener {
 public:
  Listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof any;
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&any), size), 0);
    EXPECT_EQ(::listen(socket_.get(), 1), 0);
    EXPECT_EQ(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&any), &size), 0);
    port_ = std::to_string(ntohs(any.sin_port));
  }
  ~Listener() {
    ::shutdown(socket_.get(), SHUT_RDWR);  // nobody may have come
    finish();
  }
  // After the talk with somebody who came.
  void finish() {
    if (thread_.joinable()) thread_.join();
  }

  void serve(Talk talk) {
    thread_ = std::thread([this, talk = std::move(talk)] {
      const Fd connection(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (connection) talk(connection.get());
    });
  }
  void serve_tls(const TlsFiles& files, Talk talk) {
    auto context = TlsContext::server(files);  // here: a test may end, and its files go, before the thread begins
    ASSERT_TRUE(context.ok());
    serve([context = *std::move(context), talk = std::move(talk)](int socket) {
      auto session = context->handshake(Fd(::dup(socket)), "");
      if (!session.ok()) return;
      auto pair = make_socket_pair(SOCK_STREAM);
      std::thread pump([&session, plain = std::move(pair->second)] { (*session)->pump(plain.get()); });
      talk(pair->first.get());
      pair->first.reset();
      pump.join();
    });
  }

  Address at(const std::string& host) const { return {.kind = Address::Kind::tcp, .host = host, .port = port_}; }

 private:
  Fd socket_;
  std::string port_;
  std::thread thread_;
};

class Dial : public testing::Test {
 protected:
  Dial() {
    char name[] = "/tmp/gantry-dial-XXXXXX";
    directory_ = ::mkdtemp(name);
    for (const char* set : {"ours", "theirs"})
      EXPECT_TRUE(make_certificates({.directory = directory_ / set, .hosts = {}}).ok());
  }
  ~Dial() override { std::filesystem::remove_all(directory_); }

  TlsFiles server() const {
    const auto d = directory_ / "ours";
    return {.ca = d / "ca.pem", .cert = d / "server-cert.pem", .key = d / "server-key.pem"};
  }
  TlsWish client(const char* set = "ours") const {
    const auto d = directory_ / set;
    return {.on = true, .files = {.ca = d / "ca.pem", .cert = d / "cert.pem", .key = d / "key.pem"}};
  }

  Listener listener_;
  std::filesystem::path directory_;
};

void echo(int socket) {
  const auto got = read_all(socket);
  if (got.ok()) send_text(socket, "echo " + *got);
}

TEST_F(Dial, ANameIsResolvedAndItsSocketHandedOver) {
  listener_.serve(echo);
  const auto socket = dial(listener_.at("localhost"));
  ASSERT_TRUE(socket.ok()) << socket.error().message();
  EXPECT_TRUE(send_text(socket->get(), "words"));
  ::shutdown(socket->get(), SHUT_WR);
  EXPECT_EQ(*read_all(socket->get()), "echo words");
}

TEST_F(Dial, AnEndOfOneDirectionLeavesTheOtherOpenThroughTls) {
  listener_.serve_tls(server(), echo);
  const auto socket = dial(listener_.at("localhost"), client());
  ASSERT_TRUE(socket.ok()) << socket.error().message();
  EXPECT_TRUE(send_text(socket->get(), "words"));
  ::shutdown(socket->get(), SHUT_WR);
  EXPECT_EQ(*read_all(socket->get()), "echo words");
}

TEST_F(Dial, TheDaemonsEndLeavesOurDirectionOpenThroughTls) {
  std::string heard;
  listener_.serve_tls(server(), [&](int socket) {
    send_text(socket, "first");
    ::shutdown(socket, SHUT_WR);
    heard = read_all(socket).value_or("?");
  });
  {
    auto socket = dial(listener_.at("127.0.0.1"), client());
    ASSERT_TRUE(socket.ok()) << socket.error().message();
    EXPECT_EQ(*read_all(socket->get()), "first");
    EXPECT_TRUE(send_text(socket->get(), "second"));
    ::shutdown(socket->get(), SHUT_WR);
    EXPECT_TRUE(ends(socket->get()));
  }
  listener_.finish();
  EXPECT_EQ(heard, "second");
}

// Neither side reads before it has written more than all buffers in between hold, and both go on at once.
TEST_F(Dial, MuchGoesBothWaysAtOnceThroughTls) {
  std::string there(40'000'000, 'a');
  std::string back(40'000'000, 'b');
  for (size_t i = 0; i < there.size(); i += 997) there[i] = back[i] = static_cast<char>(i / 997);
  const auto exchange = [](int socket, const std::string& ours) {
    std::thread writer([&] {
      EXPECT_TRUE(send_text(socket, ours));
      ::shutdown(socket, SHUT_WR);
    });
    ::usleep(200'000);
    std::string theirs = read_all(socket).value_or("?");
    writer.join();
    return theirs;
  };
  std::string arrived_there;
  listener_.serve_tls(server(), [&](int socket) { arrived_there = exchange(socket, back); });
  const auto socket = dial(listener_.at("localhost"), client());
  ASSERT_TRUE(socket.ok()) << socket.error().message();
  const std::string arrived_back = exchange(socket->get(), there);
  listener_.finish();
  EXPECT_TRUE(arrived_back == back) << arrived_back.size();
  EXPECT_TRUE(arrived_there == there) << arrived_there.size();
}

TEST_F(Dial, AClientThatIsGoneEndsItsConnectionThroughTls) {
  bool ended = false;
  listener_.serve_tls(server(), [&](int socket) { ended = ends(socket); });
  {
    const auto socket = dial(listener_.at("localhost"), client());
    ASSERT_TRUE(socket.ok()) << socket.error().message();
  }
  listener_.finish();
  EXPECT_TRUE(ended);
}

// A daemon that says nothing more, not even that it has ended, holds nobody.
TEST_F(Dial, AClientThatIsGoneNeedsNoAnswer) {
  bool ended = false;
  listener_.serve([&](int socket) {
    const auto context = TlsContext::server(server());
    const auto session = (*context)->handshake(Fd(::dup(socket)), "");
    ASSERT_TRUE(session.ok());
    char bytes[4096];
    while (::recv(socket, bytes, sizeof bytes, 0) > 0) {  // close_notify, unanswered, and the end
    }
    ended = true;
  });
  {
    const auto socket = dial(listener_.at("localhost"), client());
    ASSERT_TRUE(socket.ok()) << socket.error().message();
  }
  listener_.finish();
  EXPECT_TRUE(ended);
}

TEST_F(Dial, AStrangersCertificateIsRefused) {
  listener_.serve_tls(server(), echo);
  const auto socket = dial(listener_.at("localhost"), client("theirs"));
  ASSERT_FALSE(socket.ok());
  EXPECT_EQ(socket.error().code(), Code::unauthorized);
  EXPECT_THAT(socket.error().message(), testing::StartsWith("TLS handshake with localhost: "));
  EXPECT_THAT(socket.error().message(), testing::HasSubstr("certificate"));
}

TEST_F(Dial, AMissingCertificateIsNamed) {
  listener_.serve_tls(server(), echo);
  const auto socket = dial(listener_.at("localhost"), {.on = true, .files = {.ca = "/nonexistent/ca.pem"}});
  ASSERT_FALSE(socket.ok());
  EXPECT_EQ(socket.error().message(), "CA certificate /nonexistent/ca.pem: No such file or directory");
}

TEST_F(Dial, ANameThatMeansNothingIsNamed) {
  for (const TlsWish& tls : {TlsWish{}, client()}) {
    const auto socket = dial({.kind = Address::Kind::tcp, .host = "no..such..name", .port = "1"}, tls);
    ASSERT_FALSE(socket.ok());
    EXPECT_EQ(socket.error().code(), Code::unavailable);
    EXPECT_THAT(socket.error().message(), testing::StartsWith("cannot resolve tcp://no..such..name:1: "));
  }
}

TEST_F(Dial, NobodyThereIsTheSameByNameAndByAddress) {
  for (const char* host : {"localhost", "127.0.0.1", "::1"}) {
    const auto socket = dial({.kind = Address::Kind::tcp, .host = host, .port = "1"});
    ASSERT_FALSE(socket.ok());
    EXPECT_EQ(socket.error().code(), Code::unavailable);
    EXPECT_THAT(socket.error().message(),
                testing::StartsWith("cannot connect to the Gantry daemon at tcp://" + std::string(host) + ":1: "));
  }
}

TEST(NumericAddress, IsNoNameAndNoServicesName) {
  EXPECT_EQ(numeric_address("127.0.0.1", "80")->bytes.ss_family, AF_INET);
  EXPECT_EQ(numeric_address("::1", "80")->bytes.ss_family, AF_INET6);
  for (const auto& [host, port] : {std::pair{"localhost", "80"},
                                   {"127.0.0.1", "http"},
                                   {"127.1", "80"},
                                   {"127.0.0.1", "65536"},
                                   {"fe80::1%lo", "80"},
                                   {"", "80"},
                                   {"127.0.0.1", ""}}) {
    EXPECT_FALSE(numeric_address(host, port)) << host << " " << port;
  }
}

}  // namespace
}  // namespace gantry::client
