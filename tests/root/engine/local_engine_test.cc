// The whole engine on the real kernel: what its callers see of containers, networks and volumes.
#include "root/engine/engine_world.h"

namespace gantry::engine {
namespace {

using std::chrono::seconds;

class LocalEngineTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = missing_facility(); !missing.empty()) GTEST_SKIP() << missing;
    world_ = std::make_unique<EngineWorld>();
    world_->make_busybox_image();
  }
  static ContainerSpec box(std::string name, std::vector<std::string> command) {
    ContainerSpec spec;
    spec.name = std::move(name);
    spec.image = "box";
    spec.command = std::move(command);
    return spec;
  }
  static ContainerSpec shell(std::string name, std::string script) {
    return box(std::move(name), {"sh", "-c", std::move(script)});
  }
  EngineWorld& world() { return *world_; }
  // Creates and starts; the test ends if that fails.
  ContainerId up(ContainerSpec spec) {
    auto id = world().create(std::move(spec));
    EXPECT_TRUE(id.ok()) << id.error().message();
    if (!id.ok()) return {};
    auto started = world().start(*id);
    EXPECT_TRUE(started.ok()) << started.error().message();
    return *id;
  }

  std::unique_ptr<EngineWorld> world_;
};

TEST_F(LocalEngineTest, RunsAProgramKeepsItsOutputAndItsExitCode) {
  auto spec = shell("one", "echo out; echo err >&2; exit 3");
  spec.network_mode.kind = NetworkMode::Kind::none;
  int code = 0;
  EXPECT_EQ(world().run(spec, &code), "out\nerr\n");
  EXPECT_EQ(code, 3);
  const auto found = world().ask([&] { return world().engine().list_containers(); });
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].observed.state, ContainerState::exited);
  EXPECT_EQ(found[0].observed.exit_code, 3);
}

TEST_F(LocalEngineTest, EventsComeInDockersOrder) {
  auto spec = shell("one", "true");
  spec.auto_remove = true;
  auto id = world().create(spec);
  ASSERT_TRUE(id.ok()) << id.error().message();
  ASSERT_TRUE(world().start(*id).ok());
  ASSERT_TRUE(world().wait_for_event("container destroy one"));
  EXPECT_EQ(world().events(),
            (std::vector<std::string>{"container create one", "network create bridge", "network connect bridge",
                                      "container start one", "network disconnect bridge", "container die one",
                                      "container destroy one"}));
}

TEST_F(LocalEngineTest, StopSendsTheStopSignalThenKills) {
  const auto gentle = up(shell("gentle", "trap 'exit 7' TERM; while :; do sleep 0.1; done"));
  EXPECT_TRUE(world().stop(gentle).ok());
  EXPECT_EQ(world().inspect(gentle).observed.exit_code, 7);
  const auto deaf = up(shell("deaf", "trap '' TERM; while :; do sleep 0.1; done"));
  EXPECT_TRUE(world().stop(deaf, seconds(1)).ok());
  EXPECT_EQ(world().inspect(deaf).observed.exit_code, 137);
  EXPECT_EQ(world().stop(deaf).error().code(), Code::not_modified);
}

TEST_F(LocalEngineTest, StartFailuresHaveDockersCodes) {
  auto missing = world().create(box("missing", {"/no/such"}));
  auto started = world().start(*missing);
  ASSERT_FALSE(started.ok());
  EXPECT_NE(started.error().message().find("no such file or directory"), std::string::npos) << started.error().message();
  EXPECT_EQ(world().inspect(*missing).observed.state, ContainerState::created);
  EXPECT_EQ(world().inspect(*missing).observed.exit_code, 127);
  auto forbidden = world().create(box("forbidden", {"/etc/passwd"}));
  const auto refused = world().start(*forbidden);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("permission denied"), std::string::npos) << refused.error().message();
  EXPECT_EQ(world().inspect(*forbidden).observed.exit_code, 126);
}

TEST_F(LocalEngineTest, AlwaysPolicyRestartsUntilStopped) {
  auto spec = shell("again", "exit 1");
  spec.restart.kind = RestartPolicy::Kind::always;
  const auto id = up(spec);
  ASSERT_TRUE(world().wait_for_event("container die again"));
  for (int i = 0; i < 100 && world().inspect(id).observed.restart_count < 3; ++i) {
    world().wait(id, WaitCondition::next_exit).ok();
  }
  EXPECT_GE(world().inspect(id).observed.restart_count, 3);
  EXPECT_TRUE(world().stop(id).ok());
  EXPECT_EQ(world().inspect(id).observed.state, ContainerState::exited);
  EXPECT_TRUE(world().inspect(id).observed.stopped_by_user);
}

TEST_F(LocalEngineTest, ExecRunsBesideTheProgram) {
  const auto id = up(box("host", {"sleep", "1000"}));
  int code = 0;
  EXPECT_EQ(world().exec(id, {"sh", "-c", "echo hello; exit 5"}, &code), "hello\n");
  EXPECT_EQ(code, 5);
  EXPECT_NE(world().exec(id, {"nosuch"}).find("executable file not found in $PATH"), std::string::npos);
}

TEST_F(LocalEngineTest, NamesResolveOnAUsersNetworkAndPortsArePublished) {
  ASSERT_TRUE(world().create_network({.name = "front"}).ok());
  auto server = shell("server", "mkdir -p /tmp/w; echo page > /tmp/w/index.html; exec httpd -f -p 80 -h /tmp/w");
  server.endpoints = {{.network = "front", .aliases = {"web"}}};
  server.published = {{.container = {.port = 80}, .host_ip = "127.0.0.1", .host_first = 0, .host_last = 0}};
  const auto id = up(server);
  auto client = shell("client", "for i in 1 2 3 4 5 6 7 8 9 10; do wget -q -O - http://web/ && exit 0; sleep 0.2; done; cat /etc/resolv.conf; exit 1");
  client.endpoints = {{.network = "front"}};
  EXPECT_EQ(world().run(client), "page\n");
  const auto published = world().inspect(id).published;
  ASSERT_EQ(published.size(), 1u);
  EXPECT_NE(published[0].host_port, 0);
  const std::string command =
      "busybox wget -q -O - http://127.0.0.1:" + std::to_string(published[0].host_port) + "/ > " +
      (world().root() / "page").string();
  EXPECT_EQ(system(command.c_str()), 0);
  EXPECT_EQ(read_file(world().root() / "page").value_or(""), "page\n");
}

TEST_F(LocalEngineTest, ATakenPortNamesItAndLeavesTheContainerCreated) {
  auto first = box("first", {"sleep", "1000"});
  first.published = {{.container = {.port = 80}, .host_ip = "127.0.0.1", .host_first = 0, .host_last = 0}};
  const auto port = world().inspect(up(first)).published.at(0).host_port;
  auto second = box("second", {"sleep", "1000"});
  second.published = {{.container = {.port = 80}, .host_ip = "127.0.0.1", .host_first = port, .host_last = port}};
  auto id = world().create(second);
  auto started = world().start(*id);
  ASSERT_FALSE(started.ok());
  EXPECT_NE(started.error().message().find("Bind for 127.0.0.1:" + std::to_string(port) +
                                           " failed: port is already allocated"),
            std::string::npos)
      << started.error().message();
  EXPECT_EQ(world().inspect(*id).observed.state, ContainerState::created);
  EXPECT_EQ(world().inspect(*id).observed.exit_code, 128);
  EXPECT_TRUE(world().inspect(*id).published.empty());
}

TEST_F(LocalEngineTest, VolumesAreFilledFromTheImageAndKept) {
  auto spec = shell("writer", "cat /seed/inner/file; stat -c %u /seed; echo more > /seed/new");
  spec.mounts = {{.kind = Mount::Kind::volume, .source = "data", .target = "/seed"}};
  spec.network_mode.kind = NetworkMode::Kind::none;
  EXPECT_EQ(world().run(spec), "from the image\n1000\n");
  auto reader = shell("reader", "cat /data/new");
  reader.mounts = {{.kind = Mount::Kind::volume, .source = "data", .target = "/data", .read_only = true}};
  reader.network_mode.kind = NetworkMode::Kind::none;
  EXPECT_EQ(world().run(reader), "more\n");
  auto removed = world().await<void>([&](Reply<> reply) { world().engine().remove_volume("data", std::move(reply)); });
  ASSERT_FALSE(removed.ok());
  EXPECT_TRUE(removed.error().message().starts_with("remove data: volume is in use - [")) << removed.error().message();
}

TEST_F(LocalEngineTest, HealthFollowsTheProbes) {
  auto spec = shell("patient", "sleep 1; touch /tmp/ok; sleep 1000");
  spec.network_mode.kind = NetworkMode::Kind::none;
  spec.health_check = HealthCheck{.test = {"CMD-SHELL", "echo probing; test -e /tmp/ok"},
                                  .interval = std::chrono::milliseconds(200),
                                  .timeout = seconds(5),
                                  .start_period = {},
                                  .start_interval = {},
                                  .retries = 2};
  const auto id = up(spec);
  EXPECT_EQ(world().inspect(id).observed.health, HealthState::starting);
  ASSERT_TRUE(world().wait_for_event("container health_status: unhealthy patient"));
  ASSERT_TRUE(world().wait_for_event("container health_status: healthy patient"));
  const auto details = world().inspect(id);
  EXPECT_EQ(details.observed.health, HealthState::healthy);
  ASSERT_FALSE(details.health_log.empty());
  EXPECT_EQ(details.health_log.back().output, "probing\n");
}

TEST_F(LocalEngineTest, ANewDaemonFindsTheLivingAndTheDead) {
  ASSERT_TRUE(world().create_network({.name = "front"}).ok());
  auto living = shell("living", "exec sleep 1000");
  living.endpoints = {{.network = "front"}};
  const auto alive = up(living);
  auto waiting = shell("dying", "while ! test -e /shared/go; do sleep 0.05; done; exit 9");
  waiting.mounts = {{.source = world().root() / "shared", .target = "/shared", .create_source = true}};
  const auto dying = up(waiting);
  auto always = shell("always", "exec sleep 1000");
  always.restart.kind = RestartPolicy::Kind::always;
  const auto kept = up(always);
  const int pid = world().inspect(kept).pid;
  world().crash();
  ASSERT_TRUE(write_file(world().root() / "shared/go", "").ok());
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  // The shims write their reports when the programs have ended.
  const auto report = [&](const ContainerId& id) { return world().root() / "run/c" / id.str().substr(0, 16) / "exit"; };
  for (int i = 0; i < 200 && !(std::filesystem::exists(report(dying)) && std::filesystem::exists(report(kept))); ++i) {
    usleep(20'000);
  }
  world().forget_events();
  world().start();
  EXPECT_EQ(world().inspect(alive).observed.state, ContainerState::running);
  EXPECT_EQ(world().inspect(dying).observed.state, ContainerState::exited);
  EXPECT_EQ(world().inspect(dying).observed.exit_code, 9);
  EXPECT_TRUE(world().wait_for_event("container start always"));
  EXPECT_EQ(world().inspect(kept).observed.state, ContainerState::running);
  int code = 1;
  EXPECT_EQ(world().exec(alive, {"echo", "still"}, &code), "still\n");
  EXPECT_EQ(code, 0);
  EXPECT_TRUE(world().stop(alive, seconds(0)).ok());
}

TEST_F(LocalEngineTest, AKilledShimLeavesADeadContainer) {
  const auto id = up(shell("victim", "exec sleep 1000"));
  const int pid = world().inspect(id).pid;
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  int shim = 0;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("PPid:")) shim = std::stoi(line.substr(5));
  }
  ASSERT_GT(shim, 1);
  ASSERT_EQ(::kill(shim, SIGKILL), 0);
  ASSERT_TRUE(world().wait_for_event("container die victim"));
  EXPECT_EQ(world().inspect(id).observed.state, ContainerState::dead);
  EXPECT_EQ(world().inspect(id).observed.exit_code, 255);
}

TEST_F(LocalEngineTest, ARunningContainerJoinsAndLeavesNetworks) {
  ASSERT_TRUE(world().create_network({.name = "front"}).ok());
  auto back = world().create_network({.name = "back", .internal = true});
  ASSERT_TRUE(back.ok()) << back.error().message();
  auto spec = shell("roamer", "exec sleep 1000");
  spec.endpoints = {{.network = "front"}};
  const auto id = up(spec);
  auto joined = world().await<void>([&](Reply<> reply) {
    world().engine().connect_network(*back, id, {.network = "back", .aliases = {"wanderer"}}, std::move(reply));
  });
  ASSERT_TRUE(joined.ok()) << joined.error().message();
  EXPECT_NE(world().exec(id, {"ip", "addr"}).find("eth1"), std::string::npos);
  EXPECT_NE(world().exec(id, {"nslookup", "wanderer"}).find("Address"), std::string::npos);
  auto left = world().await<void>(
      [&](Reply<> reply) { world().engine().disconnect_network(*back, id, false, std::move(reply)); });
  ASSERT_TRUE(left.ok()) << left.error().message();
  EXPECT_EQ(world().exec(id, {"ip", "addr"}).find("eth1"), std::string::npos);
}

TEST_F(LocalEngineTest, AttachBeforeTheStartMissesNothing) {
  auto spec = shell("quick", "echo first; cat");
  spec.network_mode.kind = NetworkMode::Kind::none;
  spec.open_stdin = true;
  spec.stdin_once = true;
  auto id = world().create(spec);
  ASSERT_TRUE(id.ok());
  auto stream = world().await<Fd>([&](Reply<Fd> reply) { world().engine().attach(*id, std::move(reply)); });
  ASSERT_TRUE(stream.ok()) << stream.error().message();
  ASSERT_TRUE(write_all(stream->get(), "typed\n").ok());
  shutdown(stream->get(), SHUT_WR);
  ASSERT_TRUE(world().start(*id).ok());
  auto output = read_all(stream->get());
  ASSERT_TRUE(output.ok());
  EXPECT_NE(output->find("first\n"), std::string::npos);
  EXPECT_NE(output->find("typed\n"), std::string::npos);
  EXPECT_EQ(world().wait(*id).value_or(-1), 0);
}

}  // namespace
}  // namespace gantry::engine
