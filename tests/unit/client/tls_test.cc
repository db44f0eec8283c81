#include "base/tls.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "client/certificates.h"

namespace gantry::client {
namespace {

std::pair<Fd, Fd> stream_pair() {
  auto pair = make_socket_pair(SOCK_STREAM);
  EXPECT_TRUE(pair.ok());
  return *std::move(pair);
}

// The other side may be gone, and then there is nobody to write to.
void say(int fd, const std::string& text) {
  for (size_t sent = 0; sent < text.size();) {
    const ssize_t n = ::send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return;
    sent += static_cast<size_t>(n);
  }
}

class Tls : public testing::Test {
 protected:
  Tls() {
    char name[] = "/tmp/gantry-tls-XXXXXX";
    directory_ = ::mkdtemp(name);
    EXPECT_TRUE(make_certificates({.directory = directory_ / "a", .hosts = {"box.example", "10.1.2.3"}}).ok());
    EXPECT_TRUE(make_certificates({.directory = directory_ / "b", .hosts = {}}).ok());
  }
  ~Tls() override { std::filesystem::remove_all(directory_); }

  TlsFiles server(const char* set) const {
    const auto d = directory_ / set;
    return {.ca = d / "ca.pem", .cert = d / "server-cert.pem", .key = d / "server-key.pem"};
  }
  TlsFiles client(const char* set) const {
    const auto d = directory_ / set;
    return {.ca = d / "ca.pem", .cert = d / "cert.pem", .key = d / "key.pem"};
  }

  // Echoes through TLS what the client's side says. "" and the reason if the two do not come together.
  std::string echo(const TlsFiles& server_files, const TlsFiles& client_files, const std::string& host, const std::string& text) {
    auto [near, far] = stream_pair();
    std::thread daemon([&, socket = std::move(far)]() mutable {
      auto context = TlsContext::server(server_files);
      ASSERT_TRUE(context.ok());
      auto session = (*context)->handshake(std::move(socket), "");
      if (!session.ok()) return;
      auto [mine, carried] = stream_pair();
      std::thread pump([&, plain = std::move(carried)] { (*session)->pump(plain.get()); });  // closes it at its end
      const auto got = read_all(mine.get());
      if (got.ok()) say(mine.get(), *got);
      mine.reset();
      pump.join();
    });
    std::string answer;
    {
      auto context = TlsContext::client(client_files, true);
      auto session = context.ok() ? (*context)->handshake(std::move(near), host)
                                  : Result<std::unique_ptr<TlsContext::Session>>(context.error());
      if (!session.ok()) {
        reason_ = session.error().message();
        near.reset();
      } else {
        auto [mine, carried] = stream_pair();
        std::thread pump([&, plain = std::move(carried)] { (*session)->pump(plain.get()); });  // closes it at its end
        std::thread writer([&, fd = mine.get()] {
          say(fd, text);
          ::shutdown(fd, SHUT_WR);  // half: the answer comes after it
        });
        const auto got = read_all(mine.get());
        if (got.ok()) answer = *got;
        writer.join();
        mine.reset();
        pump.join();
      }
    }
    daemon.join();
    return answer;
  }

  std::filesystem::path directory_;
  std::string reason_;
};

TEST_F(Tls, BothSidesShowACertificateAndHalfClosePasses) {
  const std::string text(1'000'000, 'x');
  EXPECT_EQ(echo(server("a"), client("a"), "box.example", text), text);
  EXPECT_EQ(echo(server("a"), client("a"), "10.1.2.3", "by address"), "by address");
}

TEST_F(Tls, ClientsWithoutOrWithAForeignCertificateAreRefused) {
  TlsFiles none = client("a");
  none.cert = none.key = "";
  EXPECT_EQ(echo(server("a"), none, "localhost", "x"), "");
  TlsFiles foreign = client("b");
  foreign.ca = client("a").ca;
  EXPECT_EQ(echo(server("a"), foreign, "localhost", "x"), "");
}

TEST_F(Tls, AServerThatIsAnotherIsNotBelieved) {
  EXPECT_EQ(echo(server("a"), client("b"), "localhost", "x"), "");
  EXPECT_NE(reason_.find("certificate"), std::string::npos) << reason_;
  EXPECT_EQ(echo(server("a"), client("a"), "evil.example", "x"), "");
}

TEST_F(Tls, FilesThatAreMissingAreNamed) {
  const auto context = TlsContext::server({.ca = "/no/ca", .cert = "/no/cert", .key = "/no/key"});
  ASSERT_FALSE(context.ok());
  EXPECT_NE(context.error().message().find("/no/ca"), std::string::npos);
}

TEST_F(Tls, AnAuthorityIsKept) {
  const auto before = read_file(directory_ / "a/ca.pem");
  ASSERT_TRUE(make_certificates({.directory = directory_ / "a", .hosts = {"new.example"}}).ok());
  EXPECT_EQ(*read_file(directory_ / "a/ca.pem"), *before);
  EXPECT_EQ(echo(server("a"), client("a"), "new.example", "x"), "x");
  EXPECT_FALSE(make_certificates({.directory = directory_ / "a", .hosts = {"a b"}}).ok());
}

}  // namespace
}  // namespace gantry::client
