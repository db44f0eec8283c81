#include "compose/controller.h"

#include "support/sim_project.h"

using namespace gantry;
using namespace gantry::compose;
using namespace gantry::test;
using namespace std::chrono_literals;

namespace {

constexpr char kHello[] = R"(
services:
  web:
    image: web
    ports: ["8080:80"]
    networks: [front, back]
    depends_on:
      store: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
  store:
    image: store
    networks: [back]
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD", "true"]}
  migrate:
    image: store
    networks: [back]
    depends_on:
      store: {condition: service_healthy}
networks:
  front:
  back: {internal: true}
volumes:
  data:
)";

class ControllerTest : public testing::Test {
 protected:
  ControllerTest() {
    daemon.engine.add_image("web");
    daemon.engine.add_image("store");
    daemon.engine.behaviours["migrate"] = {.exits_after = 300ms};
  }
  SimDaemon daemon;
};

}  // namespace

TEST_F(ControllerTest, UpBringsEverythingUpInOrder) {
  Outcome outcome = daemon.up(project_from(kHello));
  EXPECT_TRUE(outcome.ok) << outcome.message;
  EXPECT_EQ(daemon.engine.inventory(), R"(shop-migrate-1 exited (0)
shop-store-1 running healthy
shop-web-1 running
network shop_back
network shop_front
volume shop_data
)");
  const SimEngine& engine = daemon.engine;
  EXPECT_LT(engine.index_of("create shop-web-1"), engine.index_of("start shop-store-1"));
  EXPECT_LT(engine.index_of("health_status: healthy shop-store-1"), engine.index_of("start shop-migrate-1"));
  EXPECT_LT(engine.index_of("die shop-migrate-1"), engine.index_of("start shop-web-1"));
}

TEST_F(ControllerTest, TellsWhatItDoes) {
  daemon.up(project_from(kHello));
  std::string text = daemon.last->text();
  for (const char* line : {"network shop_back Creating\n", "network shop_back Created\n", "volume shop_data Created\n",
                           "container shop-store-1 Creating\n", "container shop-store-1 Created\n",
                           "container shop-store-1 Starting\n", "container shop-store-1 Started\n",
                           "container shop-store-1 Waiting\n", "container shop-store-1 Healthy\n",
                           "container shop-migrate-1 Exited\n", "container shop-web-1 Started\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
  }
}

TEST_F(ControllerTest, APortThatSomebodyHasIsToldBeforeAnythingIsMade) {
  daemon.engine.taken_ports[8080] = "nginx, pid 4711";
  Outcome outcome = daemon.up(project_from(kHello));
  EXPECT_FALSE(outcome.ok);
  EXPECT_EQ(outcome.message,
            "web-1 not started: Bind for 0.0.0.0:8080 failed: port is already allocated (held by nginx, pid 4711)\n"
            "  <stdin>:5:13 (services.web.ports[0])");
  EXPECT_EQ(daemon.engine.inventory(), "");
  EXPECT_TRUE(daemon.engine.calls.empty());
  EXPECT_TRUE(daemon.store.projects.empty()) << "what never began is not kept";
  daemon.engine.taken_ports.clear();
  EXPECT_TRUE(daemon.up(project_from(kHello)).ok);
}

TEST_F(ControllerTest, DownLeavesNothingAndStopsDependantsFirst) {
  daemon.up(project_from(kHello));
  Outcome outcome = daemon.down("shop", {.volumes = true, .project = project_from(kHello)});
  EXPECT_TRUE(outcome.ok) << outcome.message;
  EXPECT_EQ(daemon.engine.inventory(), "");
  EXPECT_LT(daemon.engine.index_of("die shop-web-1"), daemon.engine.index_of("stopping shop-store-1"));
  EXPECT_TRUE(daemon.store.projects.empty());
  daemon.world.run_for(1min);
  EXPECT_EQ(daemon.engine.inventory(), "") << "something came back";
}

TEST_F(ControllerTest, DownWithoutTheFileGoesByLabels) {
  daemon.up(project_from(kHello));
  EXPECT_TRUE(daemon.down("shop", {.volumes = true}).ok);
  EXPECT_EQ(daemon.engine.inventory(), "");
  EXPECT_LT(daemon.engine.index_of("die shop-web-1"), daemon.engine.index_of("stopping shop-store-1"));
}

TEST_F(ControllerTest, DownOfNothingWarns) {
  EXPECT_TRUE(daemon.down("shop").ok);
  EXPECT_EQ(daemon.last->text(),
            "project shop Warning: No resource found to remove for project \"shop\". (warning)\n");
}

TEST_F(ControllerTest, UpOfWhatRunsChangesNothingAndWritesNothing) {
  Project project = project_from("services: {web: {image: web}, store: {image: store}}");
  daemon.up(project);
  size_t history = daemon.engine.history.size();
  int writes = daemon.store.writes;
  int observations = daemon.engine.observations;
  EXPECT_TRUE(daemon.up(project).ok);
  EXPECT_EQ(daemon.engine.history.size(), history);
  EXPECT_EQ(daemon.store.writes, writes);
  EXPECT_EQ(daemon.engine.observations, observations + 1);
  EXPECT_EQ(daemon.last->text(), "container shop-store-1 Running\ncontainer shop-web-1 Running\n");
  EXPECT_EQ(daemon.plan(project), "");
}

TEST_F(ControllerTest, AFailedDependencyIsNamedWithConditionAndExitCode) {
  daemon.engine.behaviours["migrate"] = {.exits_after = 300ms, .exit_code = 2};
  Outcome outcome = daemon.up(project_from(kHello));
  EXPECT_FALSE(outcome.ok);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.message.substr(0, outcome.message.find('\n')),
            "service \"migrate\" didn't complete successfully: exit 2");
  EXPECT_NE(outcome.message.find("(services.web.depends_on.migrate: service_completed_successfully)"),
            std::string::npos)
      << outcome.message;
  EXPECT_NE(daemon.engine.inventory().find("shop-web-1 created\n"), std::string::npos);
}

TEST_F(ControllerTest, ADependencyThatExitsInsteadOfBecomingHealthyIsNamed) {
  daemon.engine.behaviours["store"] = {.exits_after = 100ms, .exit_code = 1};
  Outcome outcome = daemon.up(project_from(kHello));
  EXPECT_EQ(outcome.message.substr(0, outcome.message.find('\n')),
            "dependency failed to start: container shop-store-1 exited (1)");
}

TEST_F(ControllerTest, AnUnhealthyDependencyIsNamed) {
  daemon.engine.behaviours["store"] = {.unhealthy_after = 100ms};
  Outcome outcome = daemon.up(project_from(kHello));
  EXPECT_EQ(outcome.message.substr(0, outcome.message.find('\n')),
            "dependency failed to start: container shop-store-1 is unhealthy");
}

TEST_F(ControllerTest, ADependencyWithoutHealthCheckIsNamed) {
  Outcome outcome = daemon.up(project_from(R"(
services:
  web: {image: web, depends_on: {store: {condition: service_healthy}}}
  store: {image: store}
)"));
  EXPECT_EQ(outcome.message.substr(0, outcome.message.find('\n')),
            "dependency failed to start: container shop-store-1 has no healthcheck configured");
}

TEST_F(ControllerTest, AHealthCheckOfTheImageCounts) {
  daemon.engine.add_image("store", true);
  EXPECT_TRUE(daemon.up(project_from(R"(
services:
  web: {image: web, depends_on: {store: {condition: service_healthy}}}
  store: {image: store}
)")).ok);
}

TEST_F(ControllerTest, WaitsThroughTheRestartsOfADependency) {
  daemon.engine.behaviours["store"] = {.exits_after = 100ms, .exit_code = 1, .healthy_after = std::nullopt};
  auto listener = std::make_shared<Listener>();
  daemon.controller->up(project_from(R"(
services:
  web: {image: web, depends_on: {store: {condition: service_healthy}}}
  store: {image: store, restart: always, healthcheck: {test: ["CMD", "true"]}}
)"), {}, listener);
  daemon.world.run_for(1s);
  EXPECT_FALSE(listener->outcome.has_value());
  daemon.engine.behaviours["store"] = {};
  EXPECT_TRUE(daemon.finish(listener).ok);
}

TEST_F(ControllerTest, AnOptionalDependencyIsSkipped) {
  daemon.engine.behaviours["store"] = {.exits_after = 100ms, .exit_code = 1};
  Outcome outcome = daemon.up(project_from(R"(
services:
  web: {image: web, depends_on: {store: {condition: service_healthy, required: false}}}
  store: {image: store, healthcheck: {test: ["CMD", "true"]}}
)"));
  EXPECT_TRUE(outcome.ok) << outcome.message;
  EXPECT_NE(daemon.engine.inventory().find("shop-web-1 running"), std::string::npos);
  EXPECT_NE(daemon.last->text().find("Skipped (warning): optional dependency \"store\""), std::string::npos);
}

TEST_F(ControllerTest, AFailingStartNamesTheLineAndTheNextUpCarriesOn) {
  Project project = project_from(kHello);
  daemon.engine.faults.start_fails = 1;
  Outcome outcome = daemon.up(project);
  EXPECT_FALSE(outcome.ok);
  EXPECT_EQ(outcome.message.substr(0, outcome.message.find('\n')), "store-1 not started: simulated: cannot start");
  daemon.engine.faults.start_fails = 0;
  daemon.world.run_for(5min);
  EXPECT_NE(daemon.engine.inventory().find("shop-store-1 created"), std::string::npos) << "not kept, but retried";
  EXPECT_TRUE(daemon.up(project).ok);
  EXPECT_NE(daemon.engine.inventory().find("shop-web-1 running"), std::string::npos);
}

TEST_F(ControllerTest, AMissingImageOfABuildSaysHowToBuildIt) {
  Outcome outcome = daemon.up(project_from("services: {web: {build: ., image: mine}}"));
  EXPECT_EQ(outcome.message, "image mine is not built: run compose build web or compose up --build");
  EXPECT_EQ(daemon.engine.inventory(), "");
}

TEST_F(ControllerTest, PullsWhatIsMissingBeforeAnythingElse) {
  daemon.engine.registry = {"nginx"};
  EXPECT_TRUE(daemon.up(project_from("services: {web: {image: nginx}}")).ok);
  EXPECT_LT(daemon.engine.index_of("pull nginx"), daemon.engine.index_of("create network shop_default"));
}

TEST_F(ControllerTest, AFailingPullLeavesNothing) {
  Outcome outcome = daemon.up(project_from("services: {web: {image: nowhere}, store: {image: store}}"));
  EXPECT_FALSE(outcome.ok);
  EXPECT_EQ(outcome.message.substr(0, outcome.message.find('\n')),
            "image nowhere not pulled: manifest for nowhere not found");
  EXPECT_EQ(daemon.engine.inventory(), "");
  EXPECT_TRUE(daemon.store.projects.empty());
}

TEST_F(ControllerTest, WaitReturnsWhenAllIsReady) {
  EXPECT_TRUE(daemon.up(project_from(kHello), {.wait = true}).ok);
  EXPECT_FALSE(daemon.up(project_from("services: {job: {image: store, command: x}}"), {.wait = true}).ok == false);
}

TEST_F(ControllerTest, WaitFailsOnAContainerThatExits) {
  daemon.engine.behaviours["job"] = {.exits_after = 1ms, .exit_code = 3};
  daemon.engine.add_image("job", true);
  Outcome outcome = daemon.up(project_from("services: {job: {image: job}}"), {.wait = true});
  EXPECT_EQ(outcome.message.substr(0, outcome.message.find('\n')), "container shop-job-1 exited (3)");
}

TEST_F(ControllerTest, WaitIsContentWithAOneShotThatSucceeded) {
  daemon.engine.behaviours["job"] = {.exits_after = 1ms};
  daemon.engine.add_image("job", true);
  EXPECT_TRUE(daemon.up(project_from("services: {job: {image: job}}"), {.wait = true}).ok);
}

constexpr const char* kHooks = R"(
services:
  app: {image: web, depends_on: [db]}
  db:
    image: store
    post_start: [{command: [a, "1"]}, {command: [a, "2"]}]
    pre_stop: [{command: [b]}]
)";

TEST_F(ControllerTest, HooksRunAfterTheStartAndBeforeTheStop) {
  const Project project = project_from(kHooks);
  ASSERT_TRUE(daemon.up(project).ok);
  const std::vector<std::string> started = {"shop-db-1: a 1", "shop-db-1: a 2"};
  EXPECT_EQ(daemon.engine.commands, started);
  daemon.engine.commands.clear();
  EXPECT_TRUE(daemon.up(project).ok);  // nothing is started: no hooks
  EXPECT_EQ(daemon.engine.commands, std::vector<std::string>());
  ASSERT_TRUE(daemon.stop("shop", {.project = project}).ok);
  EXPECT_EQ(daemon.engine.commands, std::vector<std::string>{"shop-db-1: b"});
  daemon.engine.commands.clear();
  ASSERT_TRUE(daemon.down("shop", {.project = project}).ok);  // it is stopped: nothing to run it in
  EXPECT_EQ(daemon.engine.commands, std::vector<std::string>());
}

TEST_F(ControllerTest, AFailingHookFailsTheOperationWithItsPlace) {
  daemon.engine.behaviours["db"] = {.command_exit_code = 4};
  const Outcome outcome = daemon.up(project_from(kHooks));
  EXPECT_FALSE(outcome.ok);
  EXPECT_EQ(outcome.message.substr(0, outcome.message.find('\n')), "db hook exited with status 4: ");
  EXPECT_NE(outcome.message.find("(services.db.post_start[0])"), std::string::npos) << outcome.message;
  EXPECT_EQ(daemon.engine.find("shop-app-1")->state, engine::ContainerState::created);
}

TEST_F(ControllerTest, AVolumeIsMadeAnewWhenItsDataMayGo) {
  const std::string yaml = "services: {db: {image: store, volumes: ['data:/data']}}\nvolumes: {data: {labels: {v: '1'}}}\n";
  ASSERT_TRUE(daemon.up(project_from(yaml)).ok);
  std::string changed = yaml;
  changed.replace(changed.find("'1'"), 3, "'2'");
  daemon.engine.calls.clear();
  ASSERT_TRUE(daemon.up(project_from(changed)).ok);
  EXPECT_EQ(daemon.engine.calls, std::vector<std::string>());
  ASSERT_TRUE(daemon.up(project_from(changed), {.recreate_volumes = {"shop_data"}}).ok);
  const std::vector<std::string> expected = {"stop shop-db-1",          "remove shop-db-1", "remove volume shop_data",
                                             "create volume shop_data", "create shop-db-1", "start shop-db-1"};
  EXPECT_EQ(daemon.engine.calls, expected);
  EXPECT_EQ(daemon.plan(project_from(changed)), "");
}

TEST_F(ControllerTest, DryRunsChangeNothing) {
  const Project project = project_from(kHello);
  ASSERT_TRUE(daemon.up(project).ok);
  daemon.engine.calls.clear();
  EXPECT_TRUE(daemon.up(project, {.recreate = RecreatePolicy::force, .dry_run = true}).ok);
  EXPECT_TRUE(daemon.stop("shop", {.dry_run = true, .project = project}).ok);
  EXPECT_TRUE(daemon.down("shop", {.volumes = true, .dry_run = true, .project = project}).ok);
  EXPECT_EQ(daemon.engine.calls, std::vector<std::string>());
  EXPECT_NE(daemon.last->text().find("Removed"), std::string::npos);
}

TEST_F(ControllerTest, TimingsAddUpToTheOperation) {
  ASSERT_TRUE(daemon.up(project_from(kHello)).ok);
  const Timings* timings = daemon.controller->timings("shop");
  ASSERT_NE(timings, nullptr);
  std::chrono::nanoseconds sum{0};
  for (const PathPiece& piece : critical_path(*timings)) sum += piece.end - piece.begin;
  EXPECT_EQ(sum, timings->total);
  EXPECT_GT(timings->steps.size(), 5u);
  EXPECT_EQ(daemon.controller->timings("other"), nullptr);
}

TEST_F(ControllerTest, WaitHasATimeout) {
  daemon.engine.behaviours["store"] = {.healthy_after = std::nullopt};
  Outcome outcome = daemon.up(project_from(kHello), {.wait = true, .wait_timeout = 90s});
  EXPECT_EQ(outcome.message, "application not healthy after 1m30s");
}

TEST_F(ControllerTest, CancelStartsNothingMore) {
  auto listener = std::make_shared<Listener>();
  daemon.engine.behaviours["store"] = {.healthy_after = std::nullopt};
  OperationId id = daemon.controller->up(project_from(kHello), {}, listener);
  daemon.world.run_for(2s);
  EXPECT_FALSE(listener->outcome.has_value());
  daemon.controller->cancel(id);
  Outcome outcome = daemon.finish(listener);
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_EQ(listener->finishes, 1);
  daemon.world.run_for(1min);
  EXPECT_NE(daemon.engine.inventory().find("shop-web-1 created"), std::string::npos);
}

TEST_F(ControllerTest, DownInterruptsAnUpThatWaits) {
  auto listener = std::make_shared<Listener>();
  daemon.engine.behaviours["store"] = {.healthy_after = std::nullopt};
  daemon.controller->up(project_from(kHello), {}, listener);
  daemon.world.run_for(2s);
  EXPECT_TRUE(daemon.down("shop", {.volumes = true}).ok);
  EXPECT_EQ(listener->outcome->message, "interrupted: down was asked for");
  daemon.world.run_for(1min);
  EXPECT_EQ(daemon.engine.inventory(), "");
}

// ---- keeping

TEST_F(ControllerTest, AContainerRemovedByHandIsMadeAnewWithinASecond) {
  daemon.up(project_from(kHello));
  daemon.engine.remove_behind_back("shop-web-1");
  daemon.world.run_for(1s);
  EXPECT_NE(daemon.engine.inventory().find("shop-web-1 running"), std::string::npos) << daemon.engine.inventory();
}

TEST_F(ControllerTest, AMiddleReplicaComesBackUnderItsNumber) {
  Project project = project_from("services: {web: {image: web, scale: 3}}");
  daemon.up(project);
  daemon.engine.remove_behind_back("shop-web-2");
  daemon.world.run_for(1s);
  EXPECT_EQ(daemon.engine.container_names(), (std::vector<std::string>{"shop-web-1", "shop-web-2", "shop-web-3"}));
}

TEST_F(ControllerTest, AContainerWithoutSupervisorIsMadeAnew) {
  daemon.up(project_from(kHello));
  ContainerId before = daemon.engine.find("shop-store-1")->id;
  daemon.engine.lose_supervisor("shop-store-1");
  daemon.world.run_for(1s);
  const auto* after = daemon.engine.find("shop-store-1");
  ASSERT_NE(after, nullptr);
  EXPECT_NE(after->id, before);
  EXPECT_EQ(after->state, engine::ContainerState::running);
}

TEST_F(ControllerTest, AContainerThatExitsIsLeftAlone) {
  daemon.up(project_from(kHello));
  daemon.engine.exit_by_itself("shop-web-1", 3);
  daemon.world.run_for(1min);
  EXPECT_NE(daemon.engine.inventory().find("shop-web-1 exited (3)"), std::string::npos);
}

TEST_F(ControllerTest, AStoppedServiceStaysStoppedEvenIfItsContainerIsRemoved) {
  daemon.up(project_from(kHello));
  daemon.stop("shop", {.services = {"web"}, .project = project_from(kHello)});
  EXPECT_NE(daemon.engine.inventory().find("shop-web-1 exited (143)"), std::string::npos);
  daemon.engine.remove_behind_back("shop-web-1");
  daemon.world.run_for(1min);
  EXPECT_EQ(daemon.engine.find("shop-web-1"), nullptr);
}

TEST_F(ControllerTest, AStartedServiceIsKeptAgain) {
  daemon.up(project_from(kHello));
  daemon.stop("shop");
  EXPECT_TRUE(daemon.start("shop").ok);
  daemon.engine.remove_behind_back("shop-web-1");
  daemon.world.run_for(1s);
  EXPECT_NE(daemon.engine.find("shop-web-1"), nullptr);
}

TEST_F(ControllerTest, WhatVanishesAgainAndAgainIsMadeAnewLessAndLessOften) {
  daemon.up(project_from("services: {web: {image: web}}"));
  size_t before = daemon.engine.history.size();
  for (int i = 0; i < 600; ++i) {
    daemon.engine.remove_behind_back("shop-web-1");
    daemon.world.run_for(100ms);
  }
  size_t creations = 0;
  for (size_t i = before; i < daemon.engine.history.size(); ++i) {
    creations += daemon.engine.history[i].find("create shop-web-1") != std::string::npos;
  }
  EXPECT_GE(creations, 5u);
  EXPECT_LE(creations, 15u);
}

TEST_F(ControllerTest, ANewDaemonFinishesAnInterruptedUp) {
  auto listener = std::make_shared<Listener>();
  daemon.controller->up(project_from(kHello), {}, listener);
  daemon.world.run_until([&] { return daemon.engine.find("shop-web-1") != nullptr; }, 1min);
  daemon.crash();
  daemon.world.run_for(10s);
  EXPECT_EQ(daemon.engine.inventory(), R"(shop-migrate-1 exited (0)
shop-store-1 running healthy
shop-web-1 running
network shop_back
network shop_front
volume shop_data
)");
}

TEST_F(ControllerTest, ANewDaemonRepairsWhatWasRemovedMeanwhile) {
  daemon.up(project_from(kHello));
  daemon.die();
  daemon.engine.remove_behind_back("shop-web-1");
  daemon.crash();
  daemon.world.run_for(1s);
  EXPECT_NE(daemon.engine.inventory().find("shop-web-1 running"), std::string::npos);
}

TEST_F(ControllerTest, AnUpOfOneServiceKeepsTheOthersAsTheyWere) {
  Project whole = project_from(kHello);
  daemon.up(whole);
  Project part = whole;
  part.services.erase("web");
  part.services.erase("migrate");
  part.disabled_services = {"migrate", "web"};
  daemon.up(part, {.services = {"store"}});
  daemon.engine.remove_behind_back("shop-web-1");
  daemon.world.run_for(1s);
  EXPECT_NE(daemon.engine.inventory().find("shop-web-1 running"), std::string::npos);
}

// ---- recreating

TEST_F(ControllerTest, AChangedServiceIsReplacedUnderItsName) {
  daemon.up(project_from("services: {web: {image: web, volumes: ['/cache']}}"));
  ContainerId before = daemon.engine.find("shop-web-1")->id;
  auto volumes = daemon.engine.find("shop-web-1")->anonymous_volumes;
  EXPECT_TRUE(daemon.up(project_from("services: {web: {image: web, volumes: ['/cache'], environment: {A: b}}}")).ok);
  EXPECT_EQ(daemon.last->text(),
            "container shop-web-1 Recreate [environment added (<stdin>:1, now {\"A\":\"b\"})]\n"
            "container shop-web-1 Recreated\n"
            "container shop-web-1 Starting\n"
            "container shop-web-1 Started\n");
  const auto* after = daemon.engine.find("shop-web-1");
  ASSERT_NE(after, nullptr);
  EXPECT_NE(after->id, before);
  EXPECT_EQ(after->volumes, volumes) << "anonymous volumes are inherited";
  EXPECT_EQ(daemon.engine.container_names().size(), 1u);
}

TEST_F(ControllerTest, ADaemonThatDiesWhileReplacingLeavesOneContainerInTheEnd) {
  for (int steps = 1; steps < 60; ++steps) {
    SimDaemon daemon(static_cast<uint64_t>(steps));
    daemon.engine.add_image("web");
    daemon.up(project_from("services: {web: {image: web}}"));
    auto listener = std::make_shared<Listener>();
    daemon.controller->up(project_from("services: {web: {image: web, environment: {A: b}}}"), {}, listener);
    daemon.world.run_for(steps * 3ms);
    daemon.crash();
    daemon.world.run_for(10s);
    EXPECT_EQ(daemon.engine.container_names(), std::vector<std::string>{"shop-web-1"}) << "after " << steps;
    ASSERT_NE(daemon.engine.find("shop-web-1"), nullptr);
    EXPECT_EQ(daemon.engine.find("shop-web-1")->state, engine::ContainerState::running) << "after " << steps;
    EXPECT_TRUE(daemon.engine.violations.empty());
  }
}

// ---- the rest

TEST_F(ControllerTest, RunBringsDependenciesUpAndNamesTheContainer) {
  auto listener = std::make_shared<Listener>();
  daemon.controller->run(project_from(kHello), {.service = "web", .command = {{"sh"}}, .auto_remove = true}, listener);
  EXPECT_TRUE(daemon.finish(listener).ok) << listener->outcome->message;
  const Progress& last = listener->told.back();
  EXPECT_TRUE(last.name.starts_with("shop-web-run-")) << last.name;
  ASSERT_NE(daemon.engine.find(last.name), nullptr);
  EXPECT_EQ(daemon.engine.find(last.name)->id.str(), last.details);
  EXPECT_EQ(daemon.engine.find(last.name)->state, engine::ContainerState::created);
  EXPECT_EQ(daemon.engine.find("shop-web-1"), nullptr);
  EXPECT_EQ(daemon.engine.find("shop-migrate-1")->exit_code, 0);
}

TEST_F(ControllerTest, ShutDownWaitsForWhatRunsAndStartsNothing) {
  auto listener = std::make_shared<Listener>();
  daemon.controller->up(project_from(kHello), {}, listener);
  daemon.world.run_for(3ms);
  bool done = false;
  daemon.controller->shut_down([&done] { done = true; });
  daemon.world.run_for(5s);
  EXPECT_TRUE(done);
  EXPECT_EQ(listener->outcome->message, "the daemon is shutting down");
  EXPECT_FALSE(daemon.controller->busy());
}

TEST_F(ControllerTest, AThousandServicesTakeABoundedNumberOfLooks) {
  std::string yaml = "services:\n";
  for (int i = 0; i < 1000; ++i) {
    yaml += "  s" + std::to_string(i) + ":\n    image: web\n    healthcheck: {test: [CMD, x]}\n";
    if (i % 100 != 0) {
      yaml += "    depends_on: {s" + std::to_string(i - 1) + ": {condition: service_healthy}}\n";
    }
  }
  Project project = project_from(yaml);
  EXPECT_TRUE(daemon.up(project).ok);
  EXPECT_LE(daemon.engine.observations, 3);
  EXPECT_TRUE(daemon.down("shop", {.project = project}).ok);
  EXPECT_EQ(daemon.engine.inventory(), "");
}
