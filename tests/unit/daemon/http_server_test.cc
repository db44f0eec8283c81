#include "daemon/http_server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <set>
#include <string>
#include <thread>

#include "daemon/waiting.h"

namespace gantry::daemon {
namespace {

// A server on a socket in a directory of its own, and raw connections to it.
class ServerTest : public testing::Test {
 protected:
  void start(HttpServer::Handler handler) {
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/s";
    server_ = std::make_unique<HttpServer>(std::move(handler));
    Result<Fd> listening = listen_unix(path_, "no-such-group");
    ASSERT_TRUE(listening.ok()) << listening.error().message();
    ASSERT_TRUE(server_->serve(std::move(*listening)).ok());
  }
  Fd connect() {
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return socket;
  }
  // Sends everything (or as much as the server takes before it refuses), closes the sending side, reads to the end.
  std::string talk(std::string_view request) {
    const Fd socket = connect();
    (void)http::send_all(socket.get(), request).ok();
    ::shutdown(socket.get(), SHUT_WR);
    return read_all(socket.get()).value_or("");
  }
  void TearDown() override {
    server_.reset();
    ::unlink(path_.c_str());
    ::rmdir(directory_.c_str());
  }

  std::string directory_ = "/tmp/gantry-http-XXXXXX";
  std::string path_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(ServerTest, KeepsTheConnectionForSeveralRequests) {
  start([](Exchange& exchange) {
    const std::string body = exchange.read_body(100).value_or("?");
    (void)exchange.send(200, exchange.request().target + ":" + body, "text/plain").ok();
  });
  const std::string answer = talk(
      "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n\r\nPOST /c HTTP/1.1\r\n"
      "Transfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n1;ext=1\r\nz\r\n0\r\nTrailer: 1\r\n\r\n");
  EXPECT_NE(answer.find("\r\n\r\n/a:abcHTTP/1.1 200 OK"), std::string::npos) << answer;
  EXPECT_NE(answer.find("\r\n\r\n/b:HTTP/1.1 200 OK"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("/c:xyz")) << answer;
}

TEST_F(ServerTest, DropsABodyThatNobodyReadsAndGoesOn) {
  start([](Exchange& exchange) { (void)exchange.send(200, exchange.request().target, "text/plain").ok(); });
  const std::string answer = talk("POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345GET /b HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(answer.ends_with("/b")) << answer;
}

TEST_F(ServerTest, StreamsInChunks) {
  start([](Exchange& exchange) {
    ASSERT_TRUE(exchange.begin(200, "text/plain").ok());
    ASSERT_TRUE(exchange.write("one").ok());
    ASSERT_TRUE(exchange.write("").ok());
    ASSERT_TRUE(exchange.write("three").ok());
    ASSERT_TRUE(exchange.end().ok());
  });
  const std::string answer = talk("GET / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(answer.ends_with("\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n")) << answer;
}

TEST_F(ServerTest, SendsNoBodyWhereHttpAllowsNone) {
  start([](Exchange& exchange) {
    (void)exchange.send(exchange.request().method == "HEAD" ? 200 : 204, "text", "text/plain").ok();
  });
  const std::string empty = talk("DELETE / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(empty.find("Content-Length"), std::string::npos) << empty;
  EXPECT_TRUE(empty.ends_with("\r\n\r\n"));
  EXPECT_TRUE(talk("HEAD / HTTP/1.1\r\n\r\n").ends_with("Content-Length: 4\r\n\r\n"));
}

TEST_F(ServerTest, AsksForTheBodyThatAClientHoldsBack) {
  start([](Exchange& exchange) { (void)exchange.send(200, exchange.read_body(10).value_or("?"), "text/plain").ok(); });
  const Fd socket = connect();
  ASSERT_TRUE(http::send_all(socket.get(), "PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").ok());
  http::Source source(socket.get());
  EXPECT_EQ(**source.read_head(1000), "HTTP/1.1 100 Continue\r\n");
  ASSERT_TRUE(http::send_all(socket.get(), "ok").ok());
  ::shutdown(socket.get(), SHUT_WR);
  EXPECT_TRUE(read_all(socket.get())->ends_with("ok"));
}

TEST_F(ServerTest, HandsTheConnectionOverWithWhatWasReadAhead) {
  start([](Exchange& exchange) {
    (void)exchange.read_body(100).ok();
    auto taken = exchange.hijack("application/vnd.docker.raw-stream");
    ASSERT_TRUE(taken.ok());
    (void)http::send_all(taken->socket, "got " + taken->read_ahead).ok();
  });
  const std::string upgraded =
      talk("POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}early");
  EXPECT_TRUE(upgraded.starts_with("HTTP/1.1 101 UPGRADED\r\n")) << upgraded;
  EXPECT_TRUE(upgraded.ends_with("Connection: Upgrade\r\nUpgrade: tcp\r\n\r\ngot early")) << upgraded;
  EXPECT_TRUE(talk("POST / HTTP/1.1\r\n\r\nx").starts_with("HTTP/1.1 200 OK\r\n"));
}

// docker-py reads the head through a buffer and drops what else is in it.
TEST_F(ServerTest, OneReadOfATakenConnectionTakesTheHeadAlone) {
  std::promise<void> sent;
  start([&sent](Exchange& exchange) {
    auto taken = exchange.hijack("application/vnd.docker.raw-stream");
    ASSERT_TRUE(taken.ok());
    ASSERT_TRUE(http::send_all(taken->socket, "output").ok());
    sent.set_value();
  });
  const Fd socket = connect();
  ASSERT_TRUE(http::send_all(socket.get(), "POST / HTTP/1.1\r\n\r\n").ok());
  sent.get_future().wait();
  std::string buffer(4096, '\0');
  const ssize_t got = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
  ASSERT_GT(got, 0);
  EXPECT_EQ(buffer.substr(static_cast<size_t>(got) - 4, 4), "\r\n\r\n") << buffer;
  EXPECT_EQ(read_all(socket.get()).value_or(""), "output");
}

// libuv takes a hang-up after a short read, as that of the head is, for the end, and drops the stream behind it.
TEST_F(ServerTest, ATakenConnectionDoesNotHangUpBeforeAllIsRead) {
  start([](Exchange& exchange) {
    auto taken = exchange.hijack("application/vnd.docker.raw-stream");
    ASSERT_TRUE(taken.ok());
    ASSERT_TRUE(http::send_all(taken->socket, "output").ok());
  });
  const Fd socket = connect();
  ASSERT_TRUE(http::send_all(socket.get(), "POST / HTTP/1.1\r\n\r\n").ok());
  pollfd ended{.fd = socket.get(), .events = POLLRDHUP, .revents = 0};
  ASSERT_EQ(::poll(&ended, 1, 10'000), 1);
  EXPECT_EQ(ended.revents & POLLHUP, 0);
  EXPECT_TRUE(read_all(socket.get()).value_or("").ends_with("\r\n\r\noutput"));
}

TEST_F(ServerTest, RefusesWhatIsNoHttp) {
  start([](Exchange& exchange) { (void)exchange.send(200, "", "").ok(); });
  for (const char* request : {"nonsense\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\nbad header\r\n\r\n",
                              "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                              "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"}) {
    EXPECT_TRUE(talk(request).starts_with("HTTP/1.1 400 ")) << request;
  }
  EXPECT_TRUE(talk("GET / HTTP/1.1\r\nX: " + std::string(2 << 20, 'x') + "\r\n\r\n").starts_with("HTTP/1.1 431 "));
  EXPECT_EQ(talk(""), "");
}

TEST_F(ServerTest, TakesUrlsOfManyKilobytes) {
  start(
      [](Exchange& exchange) { (void)exchange.send(200, std::to_string(exchange.request().target.size()), "").ok(); });
  EXPECT_TRUE(talk("GET /" + std::string(500'000, 'x') + " HTTP/1.1\r\n\r\n").ends_with("500001"));
}

TEST_F(ServerTest, NoticesAClientThatGoesAwayWhileNothingIsSent) {
  std::promise<bool> noticed;
  start([&noticed](Exchange& exchange) {
    ASSERT_TRUE(exchange.begin(200, "text/plain").ok());
    const Bell never;
    noticed.set_value(!wait_for(never, exchange.socket(), Gone::half_closed));
  });
  {
    const Fd socket = connect();
    ASSERT_TRUE(http::send_all(socket.get(), "GET / HTTP/1.1\r\n\r\n").ok());
    http::Source source(socket.get());
    ASSERT_TRUE(source.read_head(1000).ok());
  }
  EXPECT_TRUE(noticed.get_future().get());
}

TEST_F(ServerTest, ConnectionsThatFollowEachOtherTakeTheSameThreads) {
  start([](Exchange& exchange) {
    exchange.add_header("Connection", "close");
    (void)exchange.send(200, std::to_string(::gettid()), "").ok();
  });
  constexpr size_t kConnections = 40;
  std::set<std::string> threads;
  for (size_t i = 0; i < kConnections; ++i) {
    const std::string answer = talk("GET / HTTP/1.1\r\n\r\n");
    threads.insert(answer.substr(answer.rfind('\n') + 1));
  }
  // The next connection may be there before the last one's thread waits for it.
  EXPECT_LT(threads.size(), kConnections / 2);
}

TEST_F(ServerTest, OthersAreAcceptedWhileManyConnectionsLast) {
  start([](Exchange& exchange) {
    if (exchange.request().target == "/short") return (void)exchange.send(200, "done", "").ok();
    ASSERT_TRUE(exchange.begin(200, "text/plain").ok());
    const Bell never;
    EXPECT_FALSE(wait_for(never, exchange.socket(), Gone::half_closed));
  });
  std::vector<Fd> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(connect());
    ASSERT_TRUE(http::send_all(clients.back().get(), "GET /long HTTP/1.1\r\n\r\n").ok());
    EXPECT_TRUE(talk("GET /short HTTP/1.1\r\n\r\n").ends_with("done"));
  }
}

TEST_F(ServerTest, StopEndsStreamsThatWait) {
  start([](Exchange& exchange) {
    ASSERT_TRUE(exchange.begin(200, "text/plain").ok());
    const Bell never;
    EXPECT_FALSE(wait_for(never, exchange.socket(), Gone::hung_up));
  });
  std::vector<Fd> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(connect());
    ASSERT_TRUE(http::send_all(clients.back().get(), "GET / HTTP/1.1\r\n\r\n").ok());
    http::Source source(clients.back().get());
    ASSERT_TRUE(source.read_head(1000).ok());
  }
  EXPECT_EQ(server_->connections(), 50U);
  server_->stop();
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(ServerTest, ALineQueueLosesOnlyWhatMayBeDropped) {
  LineQueue queue(10);
  queue.push("12345678\n", true);
  queue.push("dropped\n", true);
  queue.push("kept\n", false);
  EXPECT_TRUE(queue.overflowed());
  queue.close();
  EXPECT_EQ(queue.take(), "12345678\nkept\n");
  EXPECT_TRUE(queue.closed());
}

}  // namespace
}  // namespace gantry::daemon
