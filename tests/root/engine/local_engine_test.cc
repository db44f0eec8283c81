// The whole engine on the real kernel: what its callers see of containers, networks and volumes.
#include "root/engine/engine_world.h"

#include <atomic>
#include <set>

#include "base/strings.h"

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

  // As `up`, and waits until the script has printed something: its signal handlers are set by then.
  ContainerId up_ready(std::string name, std::string script) {
    auto id = world().create(shell(std::move(name), std::move(script)));
    EXPECT_TRUE(id.ok()) << id.error().message();
    auto stream = world().await<Fd>([&](Reply<Fd> reply) { world().engine().attach(*id, std::move(reply)); });
    EXPECT_TRUE(world().start(*id).ok());
    char first = 0;
    EXPECT_EQ(read(stream->get(), &first, 1), 1);
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
  const auto gentle = up_ready("gentle", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done");
  EXPECT_TRUE(world().stop(gentle).ok());
  EXPECT_EQ(world().inspect(gentle).observed.exit_code, 7);
  const auto deaf = up_ready("deaf", "trap '' TERM; echo ready; while :; do sleep 0.1; done");
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

TEST_F(LocalEngineTest, AFailedStartIsToldOnceAContainerThatRemovesItselfIsGone) {
  ContainerSpec spec = box("gone", {"/no/such"});
  spec.auto_remove = true;
  const auto id = world().create(spec);
  EXPECT_FALSE(world().start(*id).ok());
  EXPECT_TRUE(world().ask([&] { return world().engine().list_containers(); }).empty());
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
  const std::string refused = world().exec(id, {"nosuch"});
  EXPECT_NE(refused.find("executable file not found in $PATH"), std::string::npos) << refused;
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

// What of one engine is in the kernel. Other engines may come and go meanwhile.
std::multiset<std::string> kernel_things(const EngineWorld& world, const std::vector<std::string>& interfaces) {
  const std::string tag = sha256_hex((world.root() / "data").string()).substr(0, 6);
  std::multiset<std::string> things;
  const auto lines = [&](const std::string& command, const std::string& kind) {
    FILE* pipe = popen(command.c_str(), "r");
    char line[4096];
    while (fgets(line, sizeof line, pipe) != nullptr) things.insert(kind + " " + line);
    pclose(pipe);
  };
  for (const std::string& name : interfaces) lines("ip -o link show " + name + " 2>/dev/null", "interface");
  lines("grep " + world.root().string() + " /proc/self/mountinfo | cut -d' ' -f5", "mount");
  lines("nft list tables | grep gantry-" + tag, "table");
  lines("find /sys/fs/cgroup -type d -name 'gantry-" + tag + "'", "cgroup");
  lines("readlink /proc/[0-9]*/exe | grep " + beside_this_executable("gantry-").string(), "process");
  // Shims run from a sealed copy without a path: their containers' processes tell of them.
  lines("grep -l gantry-" + tag + " /proc/[0-9]*/cgroup 2>/dev/null", "contained");
  return things;
}

TEST_F(LocalEngineTest, NothingIsLeftAfterACleanEnd) {
  ASSERT_TRUE(world().create_network({.name = "front"}).ok());
  auto spec = shell("one", "exec sleep 1000");
  spec.endpoints = {{.network = "front"}};
  spec.published = {{.container = {.port = 80}, .host_ip = "127.0.0.1"}};
  spec.health_check = HealthCheck{.test = {"CMD", "true"}, .interval = std::chrono::milliseconds(100), .timeout = {},
                                  .start_period = {}, .start_interval = {}, .retries = {}};
  const auto one = up(spec);
  const auto two = up(shell("two", "exec sleep 1000"));
  auto broken = world().create(box("broken", {"/no/such"}));
  EXPECT_FALSE(world().start(*broken).ok());
  ASSERT_TRUE(world().wait_for_event("container health_status: healthy one"));
  std::vector<std::string> bridges;
  for (const auto& network : world().ask([&] { return world().engine().list_networks(); })) {
    bridges.push_back("br-" + network.id.short_form());
  }
  EXPECT_GE(kernel_things(world(), bridges).size(), 7u);  // two bridges, a table, cgroups, programs, the name service
  EXPECT_TRUE(world().stop(one, seconds(0)).ok());
  EXPECT_TRUE(world().remove(two).ok());
  // One container and one network are left in the store: they need nothing in the kernel.
  world().stop();
  EXPECT_EQ(kernel_things(world(), bridges), std::multiset<std::string>());
  EXPECT_TRUE(std::filesystem::is_empty(world().root() / "run/c"));
  world().start();
  EXPECT_TRUE(world().start(one).ok());
}

TEST_F(LocalEngineTest, ContainersOutliveACleanEndOfTheDaemon) {
  auto server = shell("server", "mkdir -p /tmp/w; echo page > /tmp/w/index.html; exec httpd -f -p 80 -h /tmp/w");
  server.published = {{.container = {.port = 80}, .host_ip = "127.0.0.1"}};
  const auto id = up(server);
  const auto port = world().inspect(id).published.at(0).host_port;
  const std::string fetch = "busybox wget -q -O /dev/null http://127.0.0.1:" + std::to_string(port) + "/";
  int tries = 0;
  while (system(fetch.c_str()) != 0 && ++tries < 50) usleep(50'000);
  world().stop();
  EXPECT_EQ(system(fetch.c_str()), 0);
  world().start();
  EXPECT_EQ(world().inspect(id).observed.state, ContainerState::running);
  EXPECT_EQ(world().inspect(id).published.at(0).host_port, port);
  EXPECT_EQ(system(fetch.c_str()), 0);
}

TEST_F(LocalEngineTest, BuildStepsRunWithOutputCodeAndNetwork) {
  const std::filesystem::path context = world().root() / "context";
  std::filesystem::create_directories(context);
  ASSERT_TRUE(write_file(context / "Dockerfile",
                         "FROM box\nRUN echo built > /made; ip addr show eth0; cat /etc/resolv.conf\n").ok());
  std::string output;
  const BuildCallback progress = [&](const BuildProgress& step) { output += step.output; };
  auto built = world().engine().builder().build({.context = context, .tags = {"made:latest"}}, progress, {});
  ASSERT_TRUE(built.ok()) << built.error().message() << output;
  EXPECT_NE(output.find("inet 10.213."), std::string::npos) << output;
  EXPECT_NE(output.find("nameserver"), std::string::npos) << output;
  auto spec = shell("check", "cat /made");
  spec.image = "made";
  EXPECT_EQ(world().run(spec), "built\n");
  ASSERT_TRUE(write_file(context / "Dockerfile", "FROM box\nRUN echo trouble >&2; exit 3\n").ok());
  output.clear();
  built = world().engine().builder().build({.context = context}, progress, {});
  ASSERT_FALSE(built.ok());
  EXPECT_NE(built.error().message().find("returned a non-zero code: 3"), std::string::npos) << built.error().message();
  EXPECT_NE(output.find("trouble"), std::string::npos);
}

TEST_F(LocalEngineTest, AnotherContainersNetworkIsShared) {
  auto owner = shell("owner", "exec sleep 1000");
  owner.hostname = "ownhost";
  const auto owner_id = up(owner);
  auto guest = shell("guest", "ip addr show eth0; hostname");
  guest.network_mode = {.kind = NetworkMode::Kind::container, .container = "owner"};
  const std::string output = world().run(guest);
  EXPECT_NE(output.find("inet 10.213."), std::string::npos) << output;
  EXPECT_NE(output.find("ownhost"), std::string::npos) << output;
  EXPECT_TRUE(world().stop(owner_id, seconds(0)).ok());
  guest.name = "late";
  auto late = world().create(guest);
  ASSERT_TRUE(late.ok());
  EXPECT_EQ(world().start(*late).error().message(),
            "cannot join network namespace of a non running container: container owner is exited");
}

TEST_F(LocalEngineTest, FilesEnvironmentAndUserAreAsAsked) {
  auto spec = shell("env", "id -u; id -g; cat /run/secrets/s; stat -c %a /run/secrets/s; echo $A-$HOME-$HOSTNAME; cat /etc/hosts");
  spec.user = "app";
  spec.environment = {"A=b"};
  spec.hostname = "myhost";
  spec.extra_hosts = {"far:10.1.2.3"};
  spec.files = {{.target = "/run/secrets/s", .content = "secret\n", .mode = 0440, .uid = 1000, .gid = 1000}};
  const std::string output = world().run(spec);
  EXPECT_TRUE(output.starts_with("1000\n1000\nsecret\n440\nb-/home/app-myhost\n")) << output;
  EXPECT_NE(output.find("10.1.2.3\\u0009far"), std::string::npos) << output;
  EXPECT_NE(output.find("\\u0009myhost"), std::string::npos) << output;
}

TEST_F(LocalEngineTest, VolumesWithOptionsAreMountedWhileUsed) {
  const auto make = [&](VolumeSpec spec) {
    auto made = world().await<std::string>([&](Reply<std::string> reply) { world().engine().create_volume(std::move(spec), std::move(reply)); });
    EXPECT_TRUE(made.ok()) << made.error().message();
  };
  std::filesystem::create_directories(world().root() / "elsewhere");
  make({.name = "bound", .options = {{"type", "none"}, {"o", "bind"}, {"device", (world().root() / "elsewhere").string()}}});
  make({.name = "memory", .options = {{"type", "tmpfs"}, {"device", "tmpfs"}, {"o", "size=1m"}}});
  auto spec = shell("user", "echo x > /bound/file; mount | grep ' /memory '");
  spec.network_mode.kind = NetworkMode::Kind::none;
  spec.mounts = {{.kind = Mount::Kind::volume, .source = "bound", .target = "/bound"},
                 {.kind = Mount::Kind::volume, .source = "memory", .target = "/memory"}};
  const std::string output = world().run(spec);
  EXPECT_NE(output.find("size=1024k"), std::string::npos) << output;
  EXPECT_TRUE(std::filesystem::exists(world().root() / "elsewhere/file"));
  EXPECT_EQ(kernel_things(world(), {}).count("mount " + (world().root() / "data/volumes/memory/_data").string() + "\n"), 0u);
}

TEST_F(LocalEngineTest, AStopMayBeHardened) {
  const auto id = up_ready("deaf", "trap '' TERM; echo ready; while :; do sleep 0.1; done");
  std::promise<bool> first;
  world().ask([&] {
    world().engine().stop_container(id, {.signal = {}, .timeout = seconds(60)},
                                    [&](Result<> stopped) { first.set_value(stopped.ok()); });
    return 0;
  });
  EXPECT_TRUE(world().kill(id).ok());
  EXPECT_TRUE(first.get_future().get());
  EXPECT_EQ(world().inspect(id).observed.exit_code, 137);
}

// A `down` meets a container that is just being removed, because it had ended and was to go then.
TEST_F(LocalEngineTest, RemovalWaitsForOneThatIsUnderWay) {
  const auto created = world().create(shell("twice", "exit 0"));
  ASSERT_TRUE(created.ok());
  const ContainerId id = *created;
  std::promise<Result<>> first, second;
  world().ask([&] {
    world().engine().remove_container(id, {.force = true}, [&](Result<> done) { first.set_value(std::move(done)); });
    world().loop().post([&] {  // after the removal has begun, before it can end
      EXPECT_EQ(world().engine().inspect_container(id)->observed.state, ContainerState::removing);
      world().engine().remove_container(id, {.force = true}, [&](Result<> done) { second.set_value(std::move(done)); });
    });
    return 0;
  });
  EXPECT_TRUE(first.get_future().get().ok());
  EXPECT_EQ(second.get_future().get().error().code(), Code::not_found);
}

TEST_F(LocalEngineTest, OperationsAfterARemovalSayThatItIsGone) {
  const auto id = up(shell("short", "exec sleep 1000"));
  std::promise<Result<>> late;
  world().ask([&] {
    world().engine().remove_container(id, {.force = true}, [](Result<>) {});
    world().engine().start_container(id, [&](Result<> started) { late.set_value(std::move(started)); });
    return 0;
  });
  const auto result = late.get_future().get();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), Code::not_found);
  EXPECT_EQ(result.error().message(), "No such container: " + id.str());
}

TEST_F(LocalEngineTest, ManyContainersStartAndStopAtOnce) {
  constexpr int kCount = 60;
  ASSERT_TRUE(world().create_network({.name = "many"}).ok());
  const auto all = [&](auto begin) {
    auto left = std::make_shared<std::atomic<int>>(kCount);
    auto done = std::make_shared<std::promise<void>>();
    auto failures = std::make_shared<std::atomic<int>>(0);
    const auto started = std::chrono::steady_clock::now();
    world().ask([&] {
      for (int i = 0; i < kCount; ++i) {
        begin(i, [left, done, failures](Result<> result) {
          if (!result.ok()) {
            ++*failures;
            ADD_FAILURE() << result.error().message();
          }
          if (--*left == 0) done->set_value();
        });
      }
      return 0;
    });
    EXPECT_EQ(done->get_future().wait_for(seconds(60)), std::future_status::ready);
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started).count();
  };
  std::vector<ContainerId> ids(kCount);
  RecordProperty("create_ms", static_cast<int>(all([&](int i, Reply<> reply) {
                   auto spec = shell("many-" + std::to_string(i), "exec sleep 1000");
                   spec.endpoints = {{.network = "many", .aliases = {"all"}}};
                   world().engine().create_container(
                       spec, [&ids, i, reply = std::move(reply)](Result<CreatedContainer> created) mutable {
                         if (created.ok()) ids[static_cast<size_t>(i)] = created->id;
                         reply(created.ok() ? Result<>() : Result<>(created.error()));
                       });
                 })));
  RecordProperty("start_ms", static_cast<int>(all([&](int i, Reply<> reply) {
                   world().engine().start_container(ids[static_cast<size_t>(i)], std::move(reply));
                 })));
  EXPECT_NE(world().exec(ids[0], {"nslookup", "many-59"}).find("Address"), std::string::npos);
  RecordProperty("stop_ms", static_cast<int>(all([&](int i, Reply<> reply) {
                   world().engine().stop_container(ids[static_cast<size_t>(i)], {.signal = {}, .timeout = seconds(0)},
                                                   std::move(reply));
                 })));
  RecordProperty("remove_ms", static_cast<int>(all([&](int i, Reply<> reply) {
                   world().engine().remove_container(ids[static_cast<size_t>(i)], {}, std::move(reply));
                 })));
}

}  // namespace
}  // namespace gantry::engine
