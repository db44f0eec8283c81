// Docker's API from the socket to the engine and back, with an engine that does what the test says.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "compose/controller.h"
#include "daemon/api_handler.h"
#include "daemon/event_hub.h"
#include "daemon/hang_up.h"
#include "daemon/http_server.h"
#include "daemon/relay.h"
#include "unit/daemon/fake_engine.h"

namespace gantry::daemon {
namespace {

using nlohmann::json;

struct NoStore final : compose::ProjectStore {
  Result<> save(const std::string&, const std::string&) override { return {}; }
  Result<> remove(const std::string&) override { return {}; }
  Result<std::map<std::string, std::string>> load_all() override { return std::map<std::string, std::string>(); }
};

struct Answer {
  int status = 0;
  http::Headers headers;
  std::string body;
};

class DockerApi : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/s";
    std::filesystem::create_directory(directory_ + "/tmp");
    world_.roots = resolve_roots(directory_, directory_);
    server_ = std::make_unique<HttpServer>(make_api_handler(world_));
    Result<Fd> listening = listen_unix(path_, "no-such-group");
    ASSERT_TRUE(listening.ok());
    ASSERT_TRUE(server_->serve(std::move(*listening)).ok());
    thread_ = std::thread([this] { loop_.run(); });
  }
  void TearDown() override {
    server_.reset();
    loop_.stop();
    thread_.join();
    std::filesystem::remove_all(directory_);
  }

  Fd connect() {
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return socket;
  }
  static std::string request_text(const std::string& line, const std::string& body, const std::string& headers = "") {
    return line + " HTTP/1.1\r\n" + headers +
           "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  Answer ask(const std::string& line, const std::string& body = "") {
    const Fd socket = connect();
    EXPECT_TRUE(http::send_all(socket.get(), request_text(line, body)).ok());
    http::Source source(socket.get());
    auto text = source.read_head(100'000);
    auto head = http::parse_response_head(**text);
    auto length = http::response_body_length(*head, line.substr(0, line.find(' ')));
    http::BodyReader reader(source, *length);
    return {head->status, head->headers, reader.read_all(1 << 20).value_or("?")};
  }
  // Waits on the loop for something that the server's threads bring about.
  template <class Condition>
  void await_on_loop(Condition condition) {
    while (!loop_.ask(condition)) std::this_thread::yield();
  }
  void add_container(const std::string& name, engine::ContainerState state) {
    engine::ContainerDetails container;
    container.observed.id = ContainerId("id-" + name);
    container.observed.name = name;
    container.observed.state = state;
    container.observed.image = "hello:1";
    container.observed.labels = {{"com.docker.compose.project", "p"}};
    container.arguments = {"sh", "-c", "echo hi"};
    container.log_path = directory_ + "/log";
    engine_.containers.push_back(std::move(container));
  }

  std::string directory_ = "/tmp/gantry-api-XXXXXX";
  std::string path_;
  SystemRandom random_;
  EventLoop loop_;
  NoStore store_;
  FakeEngine engine_{loop_};
  compose::Controller controller_{engine_, loop_, random_, store_};
  EventHub events_{engine_};
  HangUpWatcher hang_ups_;
  World world_{.loop = loop_,
               .engine = engine_,
               .images = engine_.store,
               .build = {},
               .controller = controller_,
               .events = events_,
               .hang_ups = hang_ups_,
               .roots = {},
               .daemon_id = "d"};
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

TEST_F(DockerApi, EveryAnswerCarriesTheHeadersThatClientsRead) {
  const Answer ping = ask("HEAD /_ping");
  EXPECT_EQ(ping.status, 200);
  EXPECT_EQ(ping.headers.get("api-version"), "1.50");
  EXPECT_EQ(ping.headers.get("ostype"), "linux");
  EXPECT_EQ(ask("GET /v1.43/_ping").body, "OK");
  const Answer unknown = ask("GET /nothing");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.headers.get("content-type"), "application/json");
  EXPECT_EQ(unknown.body, "{\"message\":\"page not found\"}\n");
}

TEST_F(DockerApi, ListsWhatTheFiltersLetThrough) {
  add_container("web", engine::ContainerState::running);
  add_container("old", engine::ContainerState::exited);
  EXPECT_EQ(json::parse(ask("GET /containers/json").body).size(), 1U);
  const json all = json::parse(ask("GET /containers/json?all=1").body);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0]["Names"], json({"/web"}));
  EXPECT_EQ(all[0]["Command"], "sh -c 'echo hi'");
  EXPECT_EQ(json::parse(ask("GET /containers/json?filters=%7B%22status%22%3A%5B%22exited%22%5D%7D").body).size(), 1U);
  const Answer wrong = ask("GET /containers/json?filters=%7B%22status%22%3A%5B%22foo%22%5D%7D");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(json::parse(wrong.body)["message"],
            "invalid filter 'status=foo': invalid value for state (foo): must be one of created, running, paused, "
            "restarting, removing, exited, dead");
}

TEST_F(DockerApi, AListShowsTheLabelsThatAreAskedFor) {
  add_container("web", engine::ContainerState::running);
  engine_.containers.back().observed.labels = {{"a", "1"}, {"b", "2"}, {"c", "3"}};
  EXPECT_EQ(json::parse(ask("GET /containers/json").body)[0]["Labels"], json({{"a", "1"}, {"b", "2"}, {"c", "3"}}));
  EXPECT_EQ(json::parse(ask("GET /containers/json?labels=c,nothing,a").body)[0]["Labels"], json({{"a", "1"}, {"c", "3"}}));
}

TEST_F(DockerApi, InspectHasTheTypesThatTypedClientsDecode) {
  add_container("web", engine::ContainerState::restarting);
  const json shown = json::parse(ask("GET /containers/web/json").body);
  EXPECT_EQ(shown["State"]["Status"], "restarting");
  EXPECT_EQ(shown["State"]["Running"], true) << "a container that waits for its next start counts as running";
  EXPECT_EQ(shown["State"]["StartedAt"], "0001-01-01T00:00:00Z");
  EXPECT_EQ(shown["Path"], "sh");
  EXPECT_EQ(shown["Args"], json({"-c", "echo hi"}));
  EXPECT_TRUE(shown["NetworkSettings"]["Ports"].is_object());
  EXPECT_TRUE(shown["HostConfig"]["PortBindings"].is_object());
  const Answer missing = ask("GET /containers/nope/json");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.body, "{\"message\":\"No such container: nope\"}\n");
}

TEST_F(DockerApi, OperationsReachTheEngineAndItsErrorsTheClient) {
  add_container("web", engine::ContainerState::running);
  EXPECT_EQ(ask("POST /containers/web/stop?t=3").status, 204);
  EXPECT_EQ(ask("POST /containers/web/kill?signal=HUP").status, 204);
  EXPECT_EQ(ask("DELETE /containers/web?force=1&v=true").status, 204);
  EXPECT_EQ(ask("POST /containers/web/resize?h=24&w=80").status, 200);
  EXPECT_EQ(
      loop_.ask([&] { return engine_.calls; }),
      (std::vector<std::string>{"stop id-web t=3", "kill id-web HUP", "remove id-web force v", "resize id-web 24x80"}));
  loop_.ask([&] { engine_.answer = [](const std::string&) -> Result<> { return Error(Code::not_modified, "runs"); }; });
  const Answer again = ask("POST /containers/web/start");
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.body, "");
  loop_.ask([&] { engine_.answer = [](const std::string&) -> Result<> { return conflict("in use"); }; });
  EXPECT_EQ(ask("DELETE /volumes/v").status, 409);
  EXPECT_EQ(ask("DELETE /networks/n").status, 403) << "in use is 403 for networks";
}

TEST_F(DockerApi, CreateHandsOverTheSpecAndShowsWarnings) {
  const Answer created =
      ask("POST /v1.44/containers/create?name=web", R"({"Image":"hello:1","HostConfig":{"Memory":5}})");
  EXPECT_EQ(created.status, 201);
  EXPECT_EQ(json::parse(created.body), json({{"Id", "new"}, {"Warnings", {"careful"}}}));
  EXPECT_EQ(loop_.ask([&] { return engine_.created->resources.memory; }), 5);
  EXPECT_EQ(ask("POST /containers/create", "{").body,
            "{\"message\":\"invalid JSON: the request's body is not valid JSON\"}\n");
}

TEST_F(DockerApi, WaitSendsItsHeadBeforeItBlocksAndIsRegisteredByThen) {
  add_container("web", engine::ContainerState::created);
  const Fd socket = connect();
  ASSERT_TRUE(http::send_all(socket.get(), request_text("POST /containers/web/wait?condition=next-exit", "")).ok());
  http::Source source(socket.get());
  EXPECT_TRUE((*source.read_head(10'000))->starts_with("HTTP/1.1 200 OK"));
  ASSERT_EQ(loop_.ask([&] { return engine_.waiters.size(); }), 1U);
  loop_.ask([&] { engine_.waiters.front()(engine::WaitResult{.exit_code = 137}); });
  http::BodyReader body(source, {.kind = http::BodyLength::Kind::chunked});
  EXPECT_EQ(*body.read_all(1000), "{\"StatusCode\":137}\n");
  EXPECT_EQ(ask("POST /containers/web/wait?condition=foo").status, 400);
}

TEST_F(DockerApi, AttachCarriesBothDirectionsAndSurvivesAHalfClose) {
  add_container("web", engine::ContainerState::running);
  engine_.containers.front().spec.open_stdin = true;
  engine_.containers.front().spec.stdin_once = true;
  const Fd socket = connect();
  ASSERT_TRUE(
      http::send_all(socket.get(), request_text("POST /containers/web/attach?stream=1&stdin=1&stdout=1&stderr=1", "",
                                                "Connection: Upgrade\r\nUpgrade: tcp\r\n") +
                                       "typed")
          .ok());
  http::Source source(socket.get());
  EXPECT_TRUE((*source.read_head(10'000))
                  ->starts_with("HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream"));
  ::shutdown(socket.get(), SHUT_WR);
  const Fd program = loop_.ask([&] { return std::move(engine_.attached.front()); });
  EXPECT_EQ(*read_all(program.get()), "typed") << "the end of the client's input closes stdin";
  ASSERT_TRUE(http::send_all(program.get(), frame(Stream::out, "late")).ok());
  ::shutdown(program.get(), SHUT_RDWR);
  std::string got = source.take_buffered() + *read_all(socket.get());
  EXPECT_EQ(got, frame(Stream::out, "late"));
}

TEST_F(DockerApi, AttachErrorsAreRawText) {
  const Fd socket = connect();
  ASSERT_TRUE(http::send_all(socket.get(), request_text("POST /containers/nope/attach?stream=1", "")).ok());
  EXPECT_EQ(
      *read_all(socket.get()),
      "HTTP/1.1 404 Not Found\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nNo such container: nope\r\n");
}

TEST_F(DockerApi, ExecEndsItsStreamOnlyWhenTheExitCodeIsKnown) {
  add_container("web", engine::ContainerState::running);
  const Answer created = ask("POST /containers/web/exec", R"({"Cmd":["cat"],"AttachStdin":true,"AttachStdout":true})");
  EXPECT_EQ(created.body, "{\"Id\":\"exec1\"}\n");
  const Fd socket = connect();
  ASSERT_TRUE(http::send_all(socket.get(), request_text("POST /exec/exec1/start", "{\"Detach\":false}",
                                                        "Connection: Upgrade\r\nUpgrade: tcp\r\n"))
                  .ok());
  http::Source source(socket.get());
  EXPECT_TRUE((*source.read_head(10'000))->starts_with("HTTP/1.1 101 "));
  await_on_loop([&] { return engine_.exec.running; });
  ASSERT_TRUE(http::send_all(socket.get(), "in").ok());
  ::shutdown(socket.get(), SHUT_WR);
  const Fd in = loop_.ask([&] { return std::move(engine_.exec_stdin); });
  EXPECT_EQ(*read_all(in.get()), "in");
  loop_.ask([&] {
    (void)write_all(engine_.exec_stdout.get(), "out").ok();
    engine_.exec_stdout.reset();
  });
  await_on_loop([&] { return !engine_.exec_waiters.empty(); });
  loop_.ask([&] {
    engine_.exec.running = false;
    engine_.exec.exit_code = 3;
    engine_.exec_waiters.front()(3);
  });
  std::string got = source.take_buffered() + *read_all(socket.get());
  EXPECT_EQ(got, frame(Stream::out, "out"));
  EXPECT_EQ(json::parse(ask("GET /exec/exec1/json").body)["ExitCode"], 3);
}

TEST_F(DockerApi, AnExecThatCannotStartSaysSoInItsStream) {
  add_container("web", engine::ContainerState::running);
  ask("POST /containers/web/exec", R"({"Cmd":["/nosuch"],"AttachStdout":true})");
  const Fd socket = connect();
  ASSERT_TRUE(http::send_all(socket.get(), request_text("POST /exec/exec1/start", "{}")).ok());
  const std::string answer = *read_all(socket.get());
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_NE(answer.find("no such file or directory\r\n"), std::string::npos) << answer;
  EXPECT_EQ(json::parse(ask("GET /exec/exec1/json").body)["ExitCode"], 127);
}

TEST_F(DockerApi, EventsBeginAtOnceAndFollowTheFilters) {
  const Fd socket = connect();
  ASSERT_TRUE(
      http::send_all(socket.get(), request_text("GET /events?filters=%7B%22event%22%3A%7B%22die%22%3Atrue%7D%7D", ""))
          .ok());
  http::Source source(socket.get());
  EXPECT_TRUE((*source.read_head(10'000))->starts_with("HTTP/1.1 200 OK"));
  loop_.ask([&] {
    engine_.emit({.action = "start", .actor_id = "a", .attributes = {}});
    engine_.emit({.time = WallTime{std::chrono::seconds(7)},
                  .action = "die",
                  .actor_id = "a",
                  .attributes = {{"exitCode", "1"}, {"image", "bb"}}});
  });
  (void)source.read_line(100);
  const json event = json::parse(*source.read_line(10'000));
  EXPECT_EQ(event["Action"], "die");
  EXPECT_EQ(event["status"], "die");
  EXPECT_EQ(event["from"], "bb");
  EXPECT_EQ(event["time"], 7);
  EXPECT_EQ(event["Actor"]["Attributes"]["exitCode"], "1");
  // Those of the past only when asked for.
  EXPECT_EQ(ask("GET /events?since=1&until=8").body.find("start"), std::string::npos) << "its time is zero";
}

TEST_F(DockerApi, LoadTakesBodiesOfAnySizeAndFailsInTheStream) {
  const std::string big(20 << 20, 'x');
  const Answer loaded = ask("POST /images/load?quiet=1", big);
  EXPECT_EQ(loaded.status, 200);
  EXPECT_EQ(loaded.headers.get("content-type"), "application/json");
  EXPECT_EQ(loaded.body, "{\"stream\":\"Loaded image: size:20971520\\n\"}\r\n");
  const Answer failed = ask("POST /images/load", "bad");
  EXPECT_EQ(failed.status, 200);
  EXPECT_EQ(json::parse(failed.body)["error"], "invalid tar header");
}

TEST_F(DockerApi, PullStreamsDockersLinesAndFailsWithAStatusBeforeThem) {
  const Answer pulled = ask("POST /images/create?fromImage=hello&tag=1");
  EXPECT_EQ(pulled.status, 200);
  EXPECT_NE(pulled.body.find("{\"id\":\"1\",\"status\":\"Pulling from library/hello\"}\r\n"), std::string::npos)
      << pulled.body;
  EXPECT_NE(pulled.body.find("\"progress\":\"[=========================>"), std::string::npos) << pulled.body;
  EXPECT_NE(pulled.body.find("Status: Downloaded newer image for hello:1"), std::string::npos) << pulled.body;
  EXPECT_NE(ask("POST /images/create?fromImage=hello&tag=1").body.find("Status: Image is up to date for hello:1"),
            std::string::npos);
  EXPECT_EQ(ask("POST /images/create?fromImage=other&tag=1").status, 404);
}

TEST_F(DockerApi, OldClientsAreToldWhichVersionTheyNeed) {
  EXPECT_EQ(ask("GET /v1.12/version").status, 400);
  EXPECT_EQ(json::parse(ask("GET /version").body)["ApiVersion"], "1.50");
  EXPECT_EQ(json::parse(ask("GET /info").body)["OSType"], "linux");
}

TEST_F(DockerApi, GantryAnswersForItself) {
  EXPECT_EQ(ask("GET /gantry/v1/health").body, "{\"status\":\"ok\"}\n");
  EXPECT_EQ(ask("GET /gantry/v1/projects").body, "[]\n");
  EXPECT_NE(ask("GET /gantry/v1/metrics").body.find("gantry_containers{state=\"running\"} 0\n"), std::string::npos);
  const Answer wrong = ask("PUT /gantry/v1/projects/x", "{\"surprise\":1}");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(json::parse(wrong.body)["message"], "unknown field \"surprise\": expected \"project\" and \"options\"");
}

}  // namespace
}  // namespace gantry::daemon
