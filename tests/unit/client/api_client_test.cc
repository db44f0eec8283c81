#include "client/api_client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <mutex>
#include <thread>

#include "base/http.h"

namespace gantry::client {
namespace {

// A daemon by script: requests, on whatever connection, get the answers in order.
class ScriptedDaemon {
 public:
  struct Answer {
    std::string text;
    bool close = false;  // hang up afterwards
  };

  explicit ScriptedDaemon(std::vector<Answer> answers) : answers_(std::move(answers)) {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/s";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    listening_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listening_.get(), 5), 0);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  // The clients must be gone.
  ~ScriptedDaemon() {
    ::shutdown(listening_.get(), SHUT_RDWR);
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
    ::unlink(path_.c_str());
    ::rmdir(directory_.c_str());
  }

  Endpoint endpoint() const { return {.host = "unix://" + path_, .data_root = {}, .run_root = {}}; }
  // "METHOD TARGET BODY" of each request so far.
  std::vector<std::string> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  int connections() {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(threads_.size());
  }

 private:
  void accept_all() {
    for (;;) {
      Fd socket(::accept(listening_.get(), nullptr, nullptr));
      if (!socket) return;
      const std::lock_guard lock(mutex_);
      threads_.emplace_back([this, socket = std::move(socket)] { talk(socket.get()); });
    }
  }

  void talk(int socket) {
    http::Source source(socket);
    for (;;) {
      const auto text = source.read_head(100'000);
      if (!text.ok() || !*text) return;
      const auto head = http::parse_request_head(**text);
      const auto length = http::request_body_length(*head);
      http::BodyReader body(source, *length);
      const std::string content = body.read_all(1'000'000).value_or("?");
      Answer answer;
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(head->method + " " + head->target + " " + content);
        if (next_ == answers_.size()) return;
        answer = answers_[next_++];
      }
      (void)http::send_all(socket, answer.text).ok();
      if (answer.close) ::shutdown(socket, SHUT_RDWR);
    }
  }

  const std::vector<Answer> answers_;
  std::string directory_ = "/tmp/gantry-client-XXXXXX";
  std::string path_;
  Fd listening_;
  std::mutex mutex_;
  size_t next_ = 0;  // guarded by mutex_, as all below
  std::vector<std::string> requests_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

std::string answer(int status, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

TEST(ApiClient, UsesOneConnectionForManyRequests) {
  ScriptedDaemon daemon({{answer(200, "one")}, {answer(201, "two")}});
  auto client = ApiClient::connect(daemon.endpoint(), false);
  ASSERT_TRUE(client.ok()) << client.error().message();
  EXPECT_EQ((*client)->request("GET", "/a")->body, "one");
  EXPECT_EQ((*client)->request("POST", "/b", "{}")->status, 201);
  EXPECT_EQ(daemon.connections(), 1);
  client->reset();
}

TEST(ApiClient, ConnectsAgainWhenTheDaemonHasHungUp) {
  ScriptedDaemon daemon(
      {{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none", true}, {answer(200, "two")}});
  auto client = ApiClient::connect(daemon.endpoint(), false);
  EXPECT_EQ((*client)->request("GET", "/a")->body, "one");
  EXPECT_EQ((*client)->request("POST", "/b", "x")->body, "two");
  EXPECT_EQ(daemon.requests(), (std::vector<std::string>{"GET /a ", "POST /b x"}));
  client->reset();
}

TEST(ApiClient, TurnsStatusesIntoCodesAndKeepsTheMessage) {
  struct Row {
    int status;
    Code code;
  };
  const Row rows[] = {{400, Code::invalid},     {401, Code::unauthorized}, {403, Code::forbidden},
                      {404, Code::not_found},   {409, Code::conflict},     {500, Code::internal},
                      {501, Code::unsupported}, {503, Code::unavailable}};
  std::vector<ScriptedDaemon::Answer> answers;
  for (const Row& row : rows) answers.push_back({answer(row.status, "{\"message\":\"why\"}\n")});
  ScriptedDaemon daemon(answers);
  auto client = ApiClient::connect(daemon.endpoint(), false);
  for (const Row& row : rows) {
    const Result<std::string> body = (*client)->request("GET", "/").value_or({}).ok_body();
    ASSERT_FALSE(body.ok());
    EXPECT_EQ(body.error().code(), row.code) << row.status;
    EXPECT_EQ(body.error().message(), "why");
  }
  client->reset();
}

TEST(ApiClient, HandsOverLinesHoweverTheyAreCut) {
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\none\r\n5\r\n\ntwo\r\r\n7\r\n\nthree\n\r\n4\r\nlast\r\n0\r\n\r\n";
  ScriptedDaemon daemon({{chunked}, {answer(200, "next")}});
  auto client = ApiClient::connect(daemon.endpoint(), false);
  std::vector<std::string> lines;
  const Result<> done = (*client)->stream_lines("GET", "/", "", [&](std::string_view line) {
    lines.emplace_back(line);
    return true;
  });
  EXPECT_TRUE(done.ok());
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "three", "last"}));
  EXPECT_EQ((*client)->request("GET", "/")->body, "next");
  client->reset();
}

TEST(ApiClient, TellsThatAnAnswerHasBegunBeforeAnythingIsInIt) {
  ScriptedDaemon daemon({{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"}});
  auto client = ApiClient::connect(daemon.endpoint(), false);
  int lines = 0;
  const Result<> done = (*client)->stream_lines(
      "GET", "/events", "", [&](std::string_view) { return ++lines > 0; }, [&] { (*client)->interrupt(); });
  EXPECT_EQ(lines, 0);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), Code::cancelled);
  client->reset();
}

TEST(ApiClient, HangsUpWhenTheReceiverHasEnough) {
  ScriptedDaemon daemon(
      {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na\nb\n\r\n"}, {answer(200, "fresh")}});
  auto client = ApiClient::connect(daemon.endpoint(), false);
  int lines = 0;
  EXPECT_TRUE((*client)->stream_lines("GET", "/", "", [&](std::string_view) { return ++lines < 1; }).ok());
  EXPECT_EQ(lines, 1);
  EXPECT_EQ((*client)->request("GET", "/")->body, "fresh");
  client->reset();
}

TEST(ApiClient, ReportsAStreamThatBreaksOff) {
  ScriptedDaemon daemon({{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", true}});
  auto client = ApiClient::connect(daemon.endpoint(), false);
  const Result<> done = (*client)->stream_lines("GET", "/", "", [](std::string_view) { return true; });
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), Code::unavailable);
  client->reset();
}

TEST(ApiClient, SendsUploadsInChunks) {
  ScriptedDaemon daemon({{answer(200, "{\"stream\":\"ok\"}\n")}});
  {
    auto client = ApiClient::connect(daemon.endpoint(), false);
    int left = 3;
    std::string seen;
    const Result<> done = (*client)->upload(
        "POST", "/images/load", "application/x-tar",
        [&]() -> Result<std::string> { return left-- > 0 ? std::string(10, 'x') : std::string(); },
        [&](std::string_view line) {
          seen = line;
          return true;
        });
    EXPECT_TRUE(done.ok());
    EXPECT_EQ(seen, "{\"stream\":\"ok\"}");
    EXPECT_EQ(daemon.requests(), std::vector<std::string>{"POST /images/load " + std::string(30, 'x')});
  }
}

TEST(ApiClient, TakesAnUpgradedConnectionWithWhatWasReadAhead) {
  ScriptedDaemon daemon({{"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nGantry-Exec: 1\r\n\r\nearly", true},
                         {answer(409, "{\"message\":\"container x is not running\"}")}});
  auto client = ApiClient::connect(daemon.endpoint(), false);
  {
    const auto upgraded = (*client)->upgrade("POST", "/exec/1/start", "{}");
    ASSERT_TRUE(upgraded.ok()) << upgraded.error().message();
    EXPECT_EQ(upgraded->headers.at("gantry-exec"), "1");
    EXPECT_EQ(upgraded->read_ahead + *read_all(upgraded->socket.get()), "early");
  }
  const auto refused = (*client)->upgrade("POST", "/exec/2/start", "{}", ApiClient::Upon::this_connection);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::conflict);
  EXPECT_EQ(refused.error().message(), "container x is not running");
  client->reset();
}

TEST(ApiClient, AStreamTakesTheConnectionThatIsThereOrAnother) {
  using Upon = ApiClient::Upon;
  for (const auto& [upon, connections] : {std::pair(Upon::this_connection, 1), std::pair(Upon::another_connection, 2)}) {
    ScriptedDaemon daemon({{answer(200, "one")}, {"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n", true}});
    auto client = ApiClient::connect(daemon.endpoint(), false);
    EXPECT_EQ((*client)->request("GET", "/a")->body, "one");
    EXPECT_TRUE((*client)->upgrade("POST", "/b", "{}", upon).ok());
    EXPECT_EQ(daemon.connections(), connections);
    client->reset();
  }
}

TEST(ApiClient, InterruptEndsACallThatWaits) {
  ScriptedDaemon daemon({{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n"}});
  auto client = ApiClient::connect(daemon.endpoint(), false);
  std::thread other;
  const Result<> done = (*client)->stream_lines("GET", "/events", "", [&](std::string_view) {
    other = std::thread([&] { (*client)->interrupt(); });
    return true;
  });
  other.join();
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), Code::cancelled);
  EXPECT_EQ((*client)->request("GET", "/").error().code(), Code::cancelled);
  client->reset();
}

TEST(ApiClient, SaysWhereItFoundNobody) {
  const auto client = ApiClient::connect({.host = "unix:///nonexistent/s", .data_root = {}, .run_root = {}}, false);
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().message(),
            "cannot connect to the Gantry daemon at unix:///nonexistent/s: No such file or directory");
}

}  // namespace
}  // namespace gantry::client
