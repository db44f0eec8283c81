// The controller on simulated engines, thousands of histories: whatever the latencies and faults, these hold.
#include <gtest/gtest.h>

#include "compose/labels.h"
#include "support/sim_project.h"

using namespace gantry;
using namespace gantry::compose;
using namespace gantry::test;
using namespace std::chrono_literals;

namespace {

void prepare(SimDaemon& daemon) {
  for (const char* image : {"web", "app", "db", "job"}) daemon.engine.add_image(image);
  daemon.engine.behaviours["migrate"] = {.exits_after = 200ms};
}

const Project& three_tiers() {
  static const Project project = project_from(R"(
services:
  proxy:
    image: web
    scale: 2
    depends_on: [app]
    networks: [front]
  app:
    image: app
    scale: 3
    networks: [front, back]
    healthcheck: {test: [CMD, x]}
    depends_on:
      db: {condition: service_healthy, restart: true}
      cache: {condition: service_started}
  cache:
    image: db
    networks: [back]
  db:
    image: db
    networks: [back]
    volumes: ["data:/data", "/scratch"]
    healthcheck: {test: [CMD, x]}
  sidecar:
    image: app
    network_mode: "service:db"
networks: {front: {}, back: {}}
volumes: {data: {}}
)");
  return project;
}

const Project& with_migration() {
  static const Project project = project_from(R"(
services:
  app:
    image: app
    depends_on:
      migrate: {condition: service_completed_successfully}
  migrate:
    image: job
    depends_on:
      db: {condition: service_healthy}
  db:
    image: db
    healthcheck: {test: [CMD, x]}
)");
  return project;
}

Project changed(const Project& project, SimWorld& world) {
  Project result = project;
  for (auto& [name, service] : result.services) {
    if (!world.chance(0.5)) continue;
    service.environment["CHANGED"] = "yes";
    // The hash is made from the canonical text, which the loader would have written.
    service.canonical_json.insert(service.canonical_json.find('{') + 1, "\"environment\":{\"CHANGED\":\"yes\"},");
  }
  return result;
}

Faults some_faults(SimWorld& world) {
  return {.create_fails = 0.05,
          .start_fails = 0.1,
          .stop_fails = 0.05,
          .remove_fails = 0.05,
          .observe_fails = 0.05,
          .pull_fails = 0.1,
          .dies_early = 0.1,
          .reply_delay_max = world.between(1ms, 3s)};
}

std::string trace(const SimDaemon& daemon) {
  std::string text = daemon.world.replay_command() + "\n" + daemon.engine.inventory();
  size_t begin = daemon.engine.history.size() > 60 ? daemon.engine.history.size() - 60 : 0;
  for (size_t i = begin; i < daemon.engine.history.size(); ++i) text += daemon.engine.history[i] + "\n";
  return text;
}

}  // namespace

TEST(ControllerSim, RespectsTheOrderOfDependencies) {
  for_each_seed([](uint64_t seed) {
    SimDaemon daemon(seed);
    prepare(daemon);
    daemon.engine.faults.reply_delay_max = daemon.world.between(1ms, 2s);
    ASSERT_TRUE(daemon.up(with_migration()).ok) << trace(daemon);
    const SimEngine& engine = daemon.engine;
    EXPECT_LT(engine.index_of("health_status: healthy shop-db-1"), engine.index_of("start shop-migrate-1"));
    EXPECT_LT(engine.index_of("die shop-migrate-1"), engine.index_of("start shop-app-1"));
    ASSERT_TRUE(daemon.down("shop", {.project = with_migration()}).ok);
    EXPECT_LT(engine.index_of("die shop-app-1"), engine.index_of("stopping shop-db-1")) << trace(daemon);
  });
}

TEST(ControllerSim, ConvergesOnceFaultsStop) {
  for_each_seed([](uint64_t seed) {
    SimDaemon daemon(seed);
    prepare(daemon);
    daemon.engine.faults = some_faults(daemon.world);
    (void)daemon.up(three_tiers());
    daemon.world.run_for(2min);
    daemon.engine.faults = {};
    Outcome outcome = daemon.up(three_tiers());
    ASSERT_TRUE(outcome.ok) << outcome.message << "\n" << trace(daemon);
    daemon.world.run_for(2min);
    EXPECT_EQ(daemon.plan(three_tiers()), "") << trace(daemon);
    EXPECT_EQ(daemon.engine.violations, std::vector<std::string>()) << trace(daemon);
    EXPECT_FALSE(daemon.controller->busy());
  });
}

TEST(ControllerSim, RepairsWhatItKeepsByItself) {
  for_each_seed([](uint64_t seed) {
    SimDaemon daemon(seed);
    prepare(daemon);
    ASSERT_TRUE(daemon.up(three_tiers()).ok);
    daemon.engine.faults = some_faults(daemon.world);
    for (int i = 0; i < 10; ++i) {
      auto names = daemon.engine.container_names();
      if (!names.empty()) {
        const std::string& name = names[daemon.world.random().below(names.size())];
        if (daemon.world.chance(0.5)) {
          daemon.engine.remove_behind_back(name);
        } else {
          daemon.engine.lose_supervisor(name);
        }
      }
      daemon.world.run_for(daemon.world.between(0s, 5s));
    }
    daemon.engine.faults = {};
    daemon.world.run_for(5min);
    EXPECT_EQ(daemon.plan(three_tiers()), "") << trace(daemon);
    EXPECT_EQ(daemon.engine.violations, std::vector<std::string>()) << trace(daemon);
  });
}

TEST(ControllerSim, GoesOnAfterCrashesOfTheDaemon) {
  for_each_seed([](uint64_t seed) {
    SimDaemon daemon(seed);
    prepare(daemon);
    daemon.engine.faults.reply_delay_max = daemon.world.between(1ms, 500ms);
    auto listener = std::make_shared<Listener>();
    daemon.controller->up(three_tiers(), {}, listener);
    for (int i = 0; i < 3; ++i) {
      daemon.world.run_for(daemon.world.between(0s, 4s));
      daemon.crash();
    }
    daemon.world.run_for(5min);
    // An `up` that had not yet come to its first action is as if it had never been asked for.
    if (daemon.store.projects.empty()) return;
    EXPECT_EQ(daemon.plan(three_tiers()), "") << trace(daemon);
    EXPECT_EQ(daemon.engine.violations, std::vector<std::string>()) << trace(daemon);
  });
}

TEST(ControllerSim, ReplacesWithoutEverRunningTwoOfOneReplica) {
  for_each_seed([](uint64_t seed) {
    SimDaemon daemon(seed);
    prepare(daemon);
    ASSERT_TRUE(daemon.up(three_tiers()).ok);
    Project next = changed(three_tiers(), daemon.world);
    daemon.engine.faults = some_faults(daemon.world);
    daemon.engine.faults.dies_early = 0;
    (void)daemon.up(next, {.scale = {{"app", static_cast<int>(daemon.world.random().below(5))}}});
    daemon.engine.faults = {};
    Outcome outcome = daemon.up(next);
    ASSERT_TRUE(outcome.ok) << outcome.message << "\n" << trace(daemon);
    EXPECT_EQ(daemon.plan(next), "") << trace(daemon);
    EXPECT_EQ(daemon.engine.violations, std::vector<std::string>()) << trace(daemon);
    for (const std::string& name : daemon.engine.container_names()) {
      EXPECT_TRUE(name.starts_with("shop-")) << name << " kept its temporary name\n" << trace(daemon);
    }
  });
}

TEST(ControllerSim, DownLeavesNothing) {
  for_each_seed([](uint64_t seed) {
    SimDaemon daemon(seed);
    prepare(daemon);
    daemon.engine.faults = some_faults(daemon.world);
    auto listener = std::make_shared<Listener>();
    daemon.controller->up(three_tiers(), {}, listener);
    daemon.world.run_for(daemon.world.between(0s, 20s));
    daemon.engine.faults = {.reply_delay_max = 1s};
    Outcome outcome = daemon.down("shop", {.volumes = true, .project = three_tiers()});
    ASSERT_TRUE(outcome.ok) << outcome.message << "\n" << trace(daemon);
    ASSERT_TRUE(listener->outcome.has_value()) << "the interrupted up did not end";
    daemon.world.run_for(5min);
    EXPECT_EQ(daemon.engine.inventory(), "") << trace(daemon);
    EXPECT_FALSE(daemon.controller->busy());
  });
}

TEST(ControllerSim, EveryOperationEndsExactlyOnce) {
  for_each_seed([](uint64_t seed) {
    SimDaemon daemon(seed);
    prepare(daemon);
    daemon.engine.faults = some_faults(daemon.world);
    std::vector<std::shared_ptr<Listener>> listeners;
    std::vector<OperationId> ids;
    for (int i = 0; i < 12; ++i) {
      auto listener = std::make_shared<Listener>();
      listeners.push_back(listener);
      ServiceOptions service;
      if (daemon.world.chance(0.5)) service.services = {"app"};
      switch (daemon.world.random().below(7)) {
        case 0: ids.push_back(daemon.controller->down("shop", {}, listener)); break;
        case 1: ids.push_back(daemon.controller->stop("shop", service, listener)); break;
        case 2: ids.push_back(daemon.controller->start("shop", service, listener)); break;
        case 3: ids.push_back(daemon.controller->restart("shop", service, listener)); break;
        case 4: ids.push_back(daemon.controller->kill("shop", service, listener)); break;
        case 5: ids.push_back(daemon.controller->remove("shop", service, listener)); break;
        default: ids.push_back(daemon.controller->up(three_tiers(), {}, listener)); break;
      }
      daemon.world.run_for(daemon.world.between(0s, 3s));
      if (daemon.world.chance(0.2)) daemon.controller->cancel(ids[daemon.world.random().below(ids.size())]);
    }
    daemon.world.run_for(10min);
    for (const auto& listener : listeners) EXPECT_EQ(listener->finishes, 1) << trace(daemon);
    EXPECT_EQ(daemon.engine.violations, std::vector<std::string>()) << trace(daemon);
  });
}
