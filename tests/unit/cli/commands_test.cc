// Whole command lines against a daemon that answers from a table.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>

#include "base/fd.h"
#include "cli/command_line.h"
#include "client/api_client.h"
#include "compose/progress.h"

namespace gantry::cli {
namespace {

namespace fs = std::filesystem;

// What was asked, and what is answered: "METHOD path-before-?" → status and body. The longest-lived object is shared
// by all connections.
struct ScriptedDaemon {
  std::map<std::string, client::Response> answers;
  std::vector<std::string> requests;  // "METHOD path body"
  std::string uploaded;

  client::Response answer(const std::string& method, const std::string& path) const {
    const auto found = answers.find(method + " " + path.substr(0, path.find('?')));
    if (found == answers.end()) return {.status = 404, .body = R"({"message":"page not found"})"};
    return found->second;
  }
};

class FakeClient final : public client::ApiClient {
 public:
  explicit FakeClient(std::shared_ptr<ScriptedDaemon> daemon) : daemon_(std::move(daemon)) {}

  Result<client::Response> request(const std::string& method, const std::string& path, const std::string& body,
                                   const std::string&) override {
    daemon_->requests.push_back(method + " " + path + (body.empty() ? "" : " " + body));
    return daemon_->answer(method, path);
  }
  Result<> stream_lines(const std::string& method, const std::string& path, const std::string& body,
                        const std::function<bool(std::string_view)>& on_line,
                        const std::function<void()>& on_pause) override {
    daemon_->requests.push_back(method + " " + path + (body.empty() ? "" : " " + body));
    const std::string text = TRY(client::Response(daemon_->answer(method, path)).ok_body());
    for (size_t start = 0, end; (end = text.find('\n', start)) != std::string::npos; start = end + 1) {
      if (!on_line(std::string_view(text).substr(start, end - start))) break;
    }
    if (on_pause) on_pause();
    return {};
  }
  Result<> stream_bytes(const std::string& method, const std::string& path, const std::string&,
                        const std::function<bool(std::string_view)>& on_bytes) override {
    const std::string text = TRY(client::Response(daemon_->answer(method, path)).ok_body());
    on_bytes(text);
    return {};
  }
  Result<> upload(const std::string& method, const std::string& path, const std::string&,
                  const std::function<Result<std::string>()>& next,
                  const std::function<bool(std::string_view)>& on_line) override {
    for (;;) {
      const std::string piece = TRY(next());
      if (piece.empty()) break;
      daemon_->uploaded += piece;
    }
    return stream_lines(method, path, "", on_line, {});
  }
  Result<Upgraded> upgrade(const std::string&, const std::string&, const std::string&, Upon) override {
    return unsupported("the fake has no upgraded connections");
  }
  Result<std::unique_ptr<ApiClient>> another() override {
    return std::unique_ptr<ApiClient>(std::make_unique<FakeClient>(daemon_));
  }
  void interrupt() override {}

 private:
  std::shared_ptr<ScriptedDaemon> daemon_;
};

struct Ran {
  int status = 0;
  std::string out;
  std::string err;
};

class Commands : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "gantry-cli.XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    daemon_ = std::make_shared<ScriptedDaemon>();
  }
  void TearDown() override { fs::remove_all(directory_); }

  void write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(write_file(directory_ / name, text).ok());
  }
  std::string file(const std::string& name) const { return (directory_ / name).string(); }

  Ran run(const std::string& program, std::vector<std::string> words, Environment environment = {}) {
    Fd out(::memfd_create("out", MFD_CLOEXEC));
    Fd err(::memfd_create("err", MFD_CLOEXEC));
    Fd in(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    Ran ran;
    ran.status = run_command_line({.program = program,
                                   .words = std::move(words),
                                   .environment = std::move(environment),
                                   .in = in.get(),
                                   .out = Output(out.get()),
                                   .err = Output(err.get()),
                                   .api = std::make_unique<FakeClient>(daemon_)});
    ran.out = text_of(out);
    ran.err = text_of(err);
    return ran;
  }

  static std::string text_of(const Fd& fd) {
    ::lseek(fd.get(), 0, SEEK_SET);
    return read_all(fd.get()).value_or("");
  }

  fs::path directory_;
  std::shared_ptr<ScriptedDaemon> daemon_;
};

constexpr const char* kContainers = R"JSON([
  {"Id":"2222222222222222222222222222222222222222222222222222222222222222","Names":["/hello-web-1"],"Image":"hello",
   "ImageID":"sha256:ab","Command":"serve /site/web --and more","Created":0,"State":"running",
   "Status":"Up 2 minutes (healthy)","Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}],
   "Labels":{"com.docker.compose.project":"hello","com.docker.compose.service":"web",
             "com.docker.compose.container-number":"1","com.docker.compose.oneoff":"False"}},
  {"Id":"1111111111111111111111111111111111111111111111111111111111111111","Names":["/hello-migrate-1"],"Image":"hello",
   "ImageID":"sha256:ab","Command":"migrate","Created":0,"State":"exited","Status":"Exited (3) 1 minute ago","Ports":[],
   "Labels":{"com.docker.compose.project":"hello","com.docker.compose.service":"migrate",
             "com.docker.compose.container-number":"1","com.docker.compose.oneoff":"False"}}])JSON";

TEST_F(Commands, VersionNeedsNoDaemon) {
  EXPECT_EQ(run("/usr/bin/compose", {"version", "--short"}).out, "0.1.0\n");
  EXPECT_EQ(run("compose", {"-v"}).out, "Gantry Compose version v0.1.0\n");
  EXPECT_EQ(run("gantry", {"compose", "version", "-f", "json"}).out, "{\"version\":\"v0.1.0\"}\n");
  EXPECT_EQ(run("docker-compose", {"compose", "version", "--short"}).out, "0.1.0\n");
  EXPECT_TRUE(daemon_->requests.empty());
}

TEST_F(Commands, MistakesOnTheCommandLineAreExplained) {
  const std::vector<std::tuple<std::vector<std::string>, std::string>> rows = {
      {{"dwon"},
       "unknown command: \"compose dwon\": did you mean \"down\"?\nRun 'compose --help' for the list of commands\n"},
      {{"publish", "--oci-version", "2", "me/app"}, "invalid --oci-version \"2\": give 1.0 or 1.1\n"},
      {{"scale", "web"}, "invalid scale specifier: web\n"},
      {{"cp", "a:/x", "b:/y"}, "copying between services is not supported\n"},
      {{"cp", "x", "y"}, "unknown copy direction\n"},
      {{"stats", "a", "b"}, "accepts at most 1 argument, received 2\n"},
      {{"wait"}, "requires at least 1 arg(s), only received 0\n"},
      {{"up", "--detahc"}, "unknown flag: --detahc: did you mean --detach?\n"},
      {{"--nope", "up"}, "unknown flag: --nope\n"},
      {{"up", "--build", "--no-build"}, "--build and --no-build are incompatible\n"},
      {{"up", "-d", "--abort-on-container-exit"},
       "--detach cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --exit-code-from, "
       "--attach, --attach-dependencies or --watch\n"},
      {{"up", "--scale", "web"}, "invalid --scale option \"web\". Should be SERVICE=NUM\n"},
      {{"up", "--pull", "sometimes"}, "invalid --pull option \"sometimes\"\n"},
      {{"down", "--rmi", "some"}, "invalid value for --rmi: \"some\"\n"},
      {{"exec", "web"}, "requires at least 2 arg(s), only received 1\n"},
      {{"--ansi", "maybe", "ls"}, "unsupported --ansi value \"maybe\": give auto, never or always\n"},
      {{"logs", "--index", "2"}, "--index requires one service to be selected\n"},
  };
  for (const auto& [words, expected] : rows) {
    const Ran ran = run("compose", words);
    EXPECT_EQ(ran.status, 1) << expected;
    EXPECT_EQ(ran.err, expected);
    EXPECT_EQ(ran.out, "");
  }
}

TEST_F(Commands, EveryCommandHasAHelpPage) {
  for (const char* name :
       {"up", "create", "down",    "ps",    "logs", "exec",   "run",    "stop", "start", "restart", "kill",
        "rm", "pause",  "unpause", "build", "pull", "config", "images", "port", "ls",    "version", "plan"}) {
    const Ran ran = run("compose", {name, "--help"});
    EXPECT_EQ(ran.status, 0);
    EXPECT_EQ(ran.out.find("Usage:  compose " + std::string(name) + " [OPTIONS]"), 0u) << ran.out;
  }
  EXPECT_NE(run("compose", {}).out.find("Commands:\n"), std::string::npos);
  EXPECT_NE(run("gantry", {"help"}).out.find("  daemon "), std::string::npos);
}

TEST_F(Commands, PsListsTheProjectsContainers) {
  daemon_->answers["GET /containers/json"] = {.status = 200, .body = kContainers};
  const Ran table = run("compose", {"-p", "hello", "ps", "-a"});
  EXPECT_EQ(table.status, 0) << table.err;
  EXPECT_EQ(table.out.substr(0, 4), "NAME");
  EXPECT_NE(table.out.find("hello-web-1       hello   \"serve /site/web --a…\"   web"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("Up 2 minutes (healthy)    0.0.0.0:8080->80/tcp\n"), std::string::npos) << table.out;
  EXPECT_EQ(run("compose", {"-p", "hello", "ps", "-q", "web"}).out, std::string(64, '2') + "\n");
  EXPECT_EQ(run("compose", {"-p", "hello", "ps", "--services", "-a"}).out, "migrate\nweb\n");
  EXPECT_EQ(run("compose", {"-p", "hello", "ps", "-q", "--status", "exited"}).out, std::string(64, '1') + "\n");
  const std::string json = run("compose", {"-p", "hello", "ps", "-a", "--format", "json"}).out;
  EXPECT_NE(json.find("\"ExitCode\":3,\"Health\":\"\",\"ID\":\"111111111111\""), std::string::npos) << json;
  EXPECT_NE(json.find("\"Health\":\"healthy\""), std::string::npos) << json;
  EXPECT_EQ(run("compose", {"-p", "hello", "ps", "--filter", "colour=red"}).err, "unknown filter colour\n");
}

TEST_F(Commands, UpSendsTheProjectAndReturnsItsOutcome) {
  write("compose.yaml", "name: demo\nservices:\n  web:\n    image: hello\n");
  daemon_->answers["PUT /gantry/v1/projects/demo"] = {
      .status = 200,
      .body = compose::to_json_line({.resource = compose::Progress::Resource::container,
                                     .name = "demo-web-1",
                                     .status = compose::Progress::Status::done,
                                     .text = "Started"}) +
              compose::to_json_line(compose::Outcome{.ok = true})};
  const Ran ran = run("compose", {"-f", file("compose.yaml"), "up", "-d", "--force-recreate", "--scale", "web=2"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.err, " Container demo-web-1 Started \n");
  ASSERT_EQ(daemon_->requests.size(), 1u);
  EXPECT_NE(daemon_->requests[0].find("\"recreate\":\"force\""), std::string::npos) << daemon_->requests[0];
  EXPECT_NE(daemon_->requests[0].find("\"scale\":{\"web\":2}"), std::string::npos) << daemon_->requests[0];
}

TEST_F(Commands, AFailedOperationPrintsItsMessageOnce) {
  write("compose.yaml", "name: demo\nservices:\n  web:\n    image: hello\n");
  daemon_->answers["PUT /gantry/v1/projects/demo"] = {
      .status = 200,
      .body = compose::to_json_line(compose::Outcome{.ok = false, .message = "port 80 is taken", .exit_code = 1})};
  const Ran ran = run("compose", {"-f", file("compose.yaml"), "up", "-d"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.err, "port 80 is taken\n");
  EXPECT_EQ(run("compose", {"--progress", "json", "-f", file("compose.yaml"), "up", "-d"}).err,
            "{\"error\":true,\"message\":\"port 80 is taken\"}\n");
}

TEST_F(Commands, ADaemonThatGoesAwayIsNoSuccess) {
  write("compose.yaml", "name: demo\nservices:\n  web:\n    image: hello\n");
  daemon_->answers["PUT /gantry/v1/projects/demo"] = {.status = 200, .body = ""};
  const Ran ran = run("compose", {"-f", file("compose.yaml"), "up", "-d"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.err,
            "the daemon went away before it was finished; what it did is kept, and the same command carries on "
            "from there\n");
}

TEST_F(Commands, UpBuildsMissingImagesOnceForServicesOfOneContext) {
  write("compose.yaml",
        "name: demo\nservices:\n  a:\n    build: .\n    image: demo\n  b:\n    build: .\n    image: demo\n");
  write("Dockerfile", "FROM scratch\n");
  daemon_->answers["POST /build"] = {.status = 200, .body = "{\"stream\":\"Step 1/1 : FROM scratch\\n\"}\n"};
  daemon_->answers["PUT /gantry/v1/projects/demo"] = {.status = 200, .body = compose::to_json_line(compose::Outcome{})};
  const Ran ran = run("compose", {"-f", file("compose.yaml"), "up", "-d"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.err, " Image demo Building \ndemo | Step 1/1 : FROM scratch\n Image demo Built \n");
  const auto builds = std::count_if(daemon_->requests.begin(), daemon_->requests.end(),
                                    [](const std::string& request) { return request.starts_with("POST /build"); });
  EXPECT_EQ(builds, 1);
  EXPECT_EQ(run("compose", {"-f", file("compose.yaml"), "up", "-d", "--no-build"}).err,
            "service a: image \"demo\" is missing, and --no-build forbids to build it\n");
}

TEST_F(Commands, DownByNameDoesNotReadTheFiles) {
  daemon_->answers["DELETE /gantry/v1/projects/other"] = {.status = 200,
                                                          .body = compose::to_json_line(compose::Outcome{})};
  const Ran ran = run("compose", {"-p", "other", "down", "-v", "-t", "0"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(daemon_->requests[0], "DELETE /gantry/v1/projects/other {\"options\":{\"timeout\":0,\"volumes\":true}}");
}

TEST_F(Commands, AnErrorOfTheFilePointsAtItsPlace) {
  write("compose.yaml", "services:\n  web:\n    imagee: hello\n");
  const Ran ran = run("compose", {"-f", file("compose.yaml"), "up", "-d"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.err.find("compose.yaml:3:5"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("^"), std::string::npos) << ran.err;
  EXPECT_TRUE(daemon_->requests.empty());
}

TEST_F(Commands, LogsPrefixesEveryLine) {
  daemon_->answers["GET /containers/json"] = {.status = 200, .body = kContainers};
  daemon_->answers["GET /containers/" + std::string(64, '2') + "/json"] = {.status = 200,
                                                                           .body = R"({"Config":{"Tty":true}})"};
  daemon_->answers["GET /containers/" + std::string(64, '2') + "/logs"] = {.status = 200, .body = "one\r\ntwo\n"};
  const Ran ran = run("compose", {"-p", "hello", "logs", "web"});
  EXPECT_EQ(ran.out, "web-1  | one\nweb-1  | two\n") << ran.err;
}

TEST_F(Commands, KillAndRmWithoutContainersAreNoError) {
  daemon_->answers["GET /containers/json"] = {.status = 200, .body = "[]"};
  EXPECT_EQ(run("compose", {"-p", "hello", "kill"}).err, "No container to kill\n");
  EXPECT_EQ(run("compose", {"-p", "hello", "rm", "-f"}).err, "No stopped containers\n");
  EXPECT_EQ(run("compose", {"-p", "hello", "exec", "web", "ls"}).err, "service \"web\" is not running\n");
}

TEST_F(Commands, EngineCommandsCarryOnAfterAFailure) {
  daemon_->answers["DELETE /containers/b"] = {.status = 204, .body = ""};
  daemon_->answers["DELETE /containers/a"] = {.status = 404, .body = R"({"message":"No such container: a"})"};
  const Ran ran = run("gantry", {"rm", "-f", "a", "b"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.out, "b\n");
  EXPECT_EQ(ran.err, "No such container: a\n");
}

TEST_F(Commands, StoppingADaemonThatDoesNotRunIsNoError) {
  const Ran ran = run("gantry", {"daemon", "stop", "--run-root", directory_.string()});
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.err, "No daemon is running at unix://" + file("gantry.sock") + "\n");
}

// The pages are written by hand; a command that is missing on them would not be found.
TEST_F(Commands, TheManualNamesEveryCommand) {
  const fs::path manual = fs::path(GANTRY_TEST_DATA).parent_path() / "docs/man";
  for (const char* program : {"compose", "gantry"}) {
    const std::string page = read_file(manual / (std::string(program) + ".1")).value_or("");
    const std::string help = run(program, {"--help"}).out;
    size_t line = help.find("Commands:\n") + 10;
    for (; help.compare(line, 2, "  ") == 0; line = help.find('\n', line) + 1) {
      const std::string name = help.substr(line + 2, help.find(' ', line + 2) - line - 2);
      EXPECT_NE(page.find("B " + name), std::string::npos) << program << " " << name;
    }
  }
}

}  // namespace
}  // namespace gantry::cli
