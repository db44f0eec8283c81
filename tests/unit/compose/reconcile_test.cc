#include "compose/reconcile.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "compose/labels.h"
#include "compose/observed_project.h"
#include "support/sim_project.h"

using namespace gantry;
using namespace gantry::compose;
using gantry::test::project_from;

namespace {

// What is there, told in the same words as what is wanted.
class World {
 public:
  explicit World(const std::string& yaml) : desired_(desire(project_from(yaml)).value()) {
    for (const auto& [name, service] : desired_.services) image(service.image);
  }

  // Everything that `up` makes, running.
  World& all_up() {
    for (const auto& [key, network] : desired_.networks) {
      snapshot_.networks.push_back(
          {.id = NetworkId("net-" + network.spec.name), .name = network.spec.name, .labels = network.spec.labels});
      snapshot_.named_networks[network.spec.name] = snapshot_.networks.back();
    }
    for (const auto& [key, volume] : desired_.volumes) {
      snapshot_.volumes.push_back({.name = volume.spec.name, .labels = volume.spec.labels});
    }
    for (const auto& [name, service] : desired_.services) {
      for (int number = 1; number <= service.replicas; ++number) add(name, number);
    }
    return *this;
  }
  engine::ObservedContainer& add(const std::string& name, int number,
                                 engine::ContainerState state = engine::ContainerState::running) {
    const DesiredService& service = desired_.services.at(name);
    engine::ObservedContainer container;
    container.name = container_name("shop", service, number);
    container.id = ContainerId(sha256_hex(container.name));
    container.labels = service.spec.labels;
    container.labels[label::kContainerNumber] = std::to_string(number);
    container.image = service.image;
    container.image_id = ImageId("sha256:" + service.image);
    container.state = state;
    if (state != engine::ContainerState::created) container.started_at = WallTime(std::chrono::seconds(1));
    for (const std::string& network : service.networks) {
      container.networks.emplace_back("net-" + network);
      for (auto& seen : snapshot_.networks) {
        if (seen.name == network) seen.containers.push_back(container.id);
      }
    }
    container.volumes = service.volumes;
    snapshot_.containers.push_back(std::move(container));
    return snapshot_.containers.back();
  }
  World& image(const std::string& reference, const std::string& id = "") {
    snapshot_.images[reference] = {.id = ImageId("sha256:" + (id.empty() ? reference : id))};
    return *this;
  }
  engine::ObservedContainer& container(const std::string& name) {
    for (auto& container : snapshot_.containers) {
      if (container.name == name) return container;
    }
    ADD_FAILURE() << "no container " << name;
    return snapshot_.containers.front();
  }
  engine::Snapshot& snapshot() { return snapshot_; }
  // The same world, seen by a project that has changed.
  World& now(const std::string& yaml, const std::map<std::string, int>& scale = {}) {
    desired_ = desire(project_from(yaml), scale).value();
    return *this;
  }

  std::string plan(const Intent& intent) {
    Result<Plan> plan = reconcile(desired_, snapshot_, intent);
    return plan.ok() ? "\n" + plan->text() : "error: " + plan.error().message();
  }
  std::string up(UpOptions options = {}) { return plan(UpIntent{.options = std::move(options)}); }
  std::string warnings() {
    Result<Plan> plan = reconcile(desired_, snapshot_, UpIntent{});
    return plan.ok() ? join(plan->warnings, "\n") : plan.error().message();
  }

 private:
  Desired desired_;
  engine::Snapshot snapshot_;
};

constexpr char kThree[] = R"(
services:
  web:
    image: web
    depends_on: {app: {condition: service_healthy}}
  app:
    image: app
    depends_on: [db]
    networks: [default, back]
  db:
    image: db
    networks: [back]
    volumes: ["data:/data"]
networks: {back: {}}
volumes: {data: {}}
)";

}  // namespace

TEST(Reconcile, MakesEverythingAndThenStartsItInOrder) {
  EXPECT_EQ(World(kThree).up(), R"(
#1 create network shop_back
#2 create network shop_default
#3 create volume shop_data
[1,3] -> #4 create shop-db-1
[1,2] -> #5 create shop-app-1
[2] -> #6 create shop-web-1
then
#7 start shop-db-1
[7] -> #8 start shop-app-1
[8] -> #9 wait for shop-app-1: service_healthy
[9] -> #10 start shop-web-1
)");
}

TEST(Reconcile, WhatIsAsItShouldBeNeedsNothing) { EXPECT_EQ(World(kThree).all_up().up(), "\n"); }

TEST(Reconcile, PullsOnlyWhatIsMissing) {
  World world("services: {web: {image: web}, app: {image: app}}");
  world.snapshot().images.erase("app");
  EXPECT_EQ(world.up({.no_start = true}), R"(
#1 pull app
#2 create network shop_default
[1,2] -> #3 create shop-app-1
[2] -> #4 create shop-web-1
)");
}

TEST(Reconcile, PullPolicies) {
  struct Row {
    const char* service;
    bool present;
    const char* expected;
  };
  const Row rows[] = {
      {"image: x, pull_policy: always", true, "\n#1 pull x: pull_policy is always\n"},
      {"image: x, pull_policy: missing", true, "\n"},
      {"image: x", false, "\n#1 pull x\n"},
      {"image: x, pull_policy: never", false,
       "error: image x of service web is not here, and pull_policy is never: run compose pull web"},
      {"image: x, build: .", false, "error: image x is not built: run compose build web or compose up --build"},
      {"build: .", false, "error: image shop-web is not built: run compose build web or compose up --build"},
  };
  for (const Row& row : rows) {
    World world("services: {web: {" + std::string(row.service) + "}}");
    if (!row.present) world.snapshot().images.clear();
    std::string plan = world.up({.no_start = true});
    std::string first_line = plan.substr(0, plan.find('\n', 1) + 1);
    if (plan.starts_with("error")) first_line = plan;
    if (first_line.find("pull") == std::string::npos && !plan.starts_with("error")) first_line = "\n";
    EXPECT_EQ(first_line, row.expected) << row.service;
  }
}

TEST(Reconcile, AChangedServiceIsMadeUnderATemporaryNameFirst) {
  World world(kThree);
  world.all_up();
  world.container("shop-web-1").labels[label::kConfigHash] = "old";
  world.container("shop-web-1").id = ContainerId("0123456789abcdef");
  EXPECT_EQ(world.up(), R"(
#1 create shop-web-1 as 0123456789ab_shop-web-1: configuration changed
[1] -> #2 stop shop-web-1
[1,2] -> #3 remove shop-web-1
[3] -> #4 rename shop-web-1 to shop-web-1
then
#5 wait for shop-app-1: service_healthy
[5] -> #6 start shop-web-1
)");
}

TEST(Reconcile, CausesOfRecreation) {
  struct Row {
    const char* cause;
    std::function<void(World&)> change;
  };
  const Row rows[] = {
      {"image changed: db was db, now newer", [](World& w) { w.image("db", "newer"); }},
      {"not attached to network shop_back", [](World& w) { w.container("shop-db-1").networks.clear(); }},
      {"volume shop_data is not mounted on /data", [](World& w) { w.container("shop-db-1").volumes.clear(); }},
      {"it is dead", [](World& w) { w.container("shop-db-1").state = engine::ContainerState::dead; }},
  };
  for (const Row& row : rows) {
    World world(kThree);
    row.change(world.all_up());
    std::string plan = world.up();
    EXPECT_NE(plan.find(std::string("_shop-db-1: ") + row.cause + "\n"), std::string::npos) << plan;
  }
}

TEST(Reconcile, PoliciesOfRecreation) {
  auto causes = [](const UpOptions& options) {
    World world(kThree);
    world.all_up();
    for (const char* name : {"shop-web-1", "shop-app-1"}) world.container(name).labels[label::kConfigHash] = "old";
    std::string plan = world.up(options);
    std::string text;
    for (const std::string& line : split(plan, '\n')) {
      if (line.find(" create ") != std::string::npos) text += line.substr(line.find("shop-")) + "\n";
    }
    std::string short_text;
    for (const std::string& line : split(text, '\n')) {
      if (line.empty()) continue;
      short_text += line.substr(0, line.find(' ')) + line.substr(line.rfind(':')) + "\n";
    }
    return short_text;
  };
  EXPECT_EQ(causes({}), "shop-app-1: configuration changed\nshop-web-1: configuration changed\n");
  EXPECT_EQ(causes({.recreate = RecreatePolicy::never}), "");
  EXPECT_EQ(causes({.recreate = RecreatePolicy::force}),
            "shop-db-1: recreation was asked for\nshop-app-1: configuration changed\n"
            "shop-web-1: configuration changed\n");
  EXPECT_EQ(causes({.services = {"web"}, .recreate = RecreatePolicy::force}),
            "shop-app-1: configuration changed\nshop-web-1: configuration changed\n");
  EXPECT_EQ(causes({.services = {"web"}, .no_dependencies = true}), "shop-web-1: configuration changed\n");
  EXPECT_EQ(causes({.services = {"web"}, .recreate_dependencies = RecreatePolicy::force}),
            "shop-db-1: recreation was asked for\nshop-app-1: configuration changed\n"
            "shop-web-1: configuration changed\n");
}

TEST(Reconcile, WhoSharesANamespaceIsMadeAnewToo) {
  World world("services: {vpn: {image: vpn}, app: {image: app, network_mode: 'service:vpn'}}");
  world.all_up();
  world.container("shop-vpn-1").labels[label::kConfigHash] = "old";
  world.container("shop-vpn-1").id = ContainerId("aaaaaaaaaaaaaaaa");
  world.container("shop-app-1").id = ContainerId("bbbbbbbbbbbbbbbb");
  EXPECT_EQ(world.up(), R"(
#1 create shop-vpn-1 as aaaaaaaaaaaa_shop-vpn-1: configuration changed
#2 stop shop-app-1: depends on vpn, which is made anew
[1,2] -> #3 stop shop-vpn-1
[1,3] -> #4 remove shop-vpn-1
[4] -> #5 rename shop-vpn-1 to shop-vpn-1
[5] -> #6 create shop-app-1 as bbbbbbbbbbbb_shop-app-1: shares with vpn, which is made anew
[2,6] -> #7 remove shop-app-1
[7] -> #8 rename shop-app-1 to shop-app-1
then
#9 start shop-vpn-1
[9] -> #10 start shop-app-1
)");
}

TEST(Reconcile, DependantsThatAskForItAreRestarted) {
  World world("services: {db: {image: db}, app: {image: app, depends_on: {db: {condition: service_started, restart: true}}}}");
  world.all_up();
  world.container("shop-db-1").labels[label::kConfigHash] = "old";
  world.container("shop-db-1").id = ContainerId("dddddddddddddddd");
  EXPECT_EQ(world.up(), R"(
#1 create shop-db-1 as dddddddddddd_shop-db-1: configuration changed
#2 stop shop-app-1: depends on db, which is made anew
[1,2] -> #3 stop shop-db-1
[1,3] -> #4 remove shop-db-1
[4] -> #5 rename shop-db-1 to shop-db-1
then
#6 start shop-db-1
[6] -> #7 start shop-app-1
)");
}

TEST(Reconcile, ChangedNetworkReconnectsItsContainersWithoutRecreatingThem) {
  World world("services: {web: {image: web}}");
  world.all_up();
  world.snapshot().networks[0].labels[label::kConfigHash] = "old";
  EXPECT_EQ(world.up(), R"(
#1 stop shop-web-1
[1] -> #2 disconnect shop-web-1 from network shop_default
[2] -> #3 remove network shop_default: configuration changed
[3] -> #4 create network shop_default: configuration changed
[4] -> #5 connect shop-web-1 to network shop_default: network configuration changed
then
#6 start shop-web-1
)");
}

TEST(Reconcile, ScalesUpFromTheHighestNumberAndOneAfterTheOther) {
  World world("services: {web: {image: web}}");
  world.all_up();
  world.now("services: {web: {image: web}}", {{"web", 3}});
  EXPECT_EQ(world.up(), R"(
#1 create shop-web-2
#2 create shop-web-3
then
#3 start shop-web-2
[3] -> #4 start shop-web-3
)");
}

TEST(Reconcile, ScalesDownOutdatedOnesFirst) {
  World world("services: {web: {image: web, scale: 3}}");
  world.all_up();
  world.container("shop-web-1").labels[label::kConfigHash] = "old";
  world.now("services: {web: {image: web, scale: 3}}", {{"web", 1}});
  EXPECT_EQ(world.up(), R"(
#1 stop shop-web-1
[1] -> #2 remove shop-web-1: scaled to 1
#3 stop shop-web-3
[3] -> #4 remove shop-web-3: scaled to 1
)");
}

TEST(Reconcile, OrphansAreNamedAndRemovedOnlyOnRequest) {
  World world(kThree);
  world.all_up();
  world.now("services: {app: {image: app, networks: [default, back]}}\nnetworks: {back: {}}");
  EXPECT_EQ(world.warnings(),
            "Found orphan containers (shop-db-1, shop-web-1) for this project. If you removed or renamed this service in "
            "your compose file, you can run this command with the --remove-orphans flag to clean it up.");
  std::string plan = world.up({.recreate = RecreatePolicy::never, .remove_orphans = true});
  EXPECT_EQ(plan, R"(
#1 stop shop-db-1
[1] -> #2 remove shop-db-1: orphan
#3 stop shop-web-1
[3] -> #4 remove shop-web-1: orphan
)");
}

TEST(Reconcile, AnInterruptedReplacementIsCleanedUp) {
  World world("services: {web: {image: web}}");
  world.all_up();
  engine::ObservedContainer left = world.container("shop-web-1");
  left.id = ContainerId("ffffffffffffffff");
  left.name = temporary_name(world.container("shop-web-1").id, "shop-web-1");
  left.state = engine::ContainerState::created;
  world.snapshot().containers.push_back(left);
  EXPECT_EQ(world.up(), "\n#1 remove " + left.name + ": left over from an interrupted replacement\n");
  std::erase_if(world.snapshot().containers, [](const auto& c) { return c.name == "shop-web-1"; });
  EXPECT_EQ(world.up(), "\n#1 rename " + left.name +
                            " to shop-web-1: left over from an interrupted replacement\nthen\n#2 start shop-web-1\n");
}

TEST(Reconcile, ExternalThingsMustExist) {
  EXPECT_EQ(World("services: {web: {image: web, networks: [n]}}\nnetworks: {n: {external: true, name: lan}}").up(),
            "error: network lan declared as external, but could not be found\n  <stdin>:2:12 (networks.n)");
  EXPECT_EQ(World("services: {web: {image: web, volumes: ['vol:/v']}}\nvolumes: {vol: {external: true}}").up(),
            "error: external volume \"vol\" not found\n  <stdin>:2:11 (volumes.vol)");
}

TEST(Reconcile, ServicesWithoutANameAreNoSuchService) {
  EXPECT_EQ(World(kThree).up({.services = {"wbe"}}), "error: no such service: wbe");
  EXPECT_EQ(World(kThree).plan(StopIntent{.services = {"wbe"}}), "error: no such service: wbe");
}

TEST(Reconcile, WaitWaitsForEveryService) {
  World world(kThree);
  world.all_up();
  world.container("shop-app-1").has_health_check = true;
  world.container("shop-app-1").health = engine::HealthState::starting;
  EXPECT_EQ(world.up({.wait = true}), "\n#1 wait for shop-app-1: running and healthy\n");
}

TEST(Reconcile, KeepingRemakesWhatIsMissingAndLeavesWhatEnded) {
  World world(kThree);
  world.all_up();
  std::erase_if(world.snapshot().containers, [](const auto& c) { return c.name == "shop-app-1"; });
  world.container("shop-db-1").state = engine::ContainerState::exited;
  world.container("shop-web-1").labels[label::kConfigHash] = "old";
  EXPECT_EQ(world.plan(KeepIntent{.services = {"web", "app", "db"}}), R"(
#1 create shop-app-1
then
#2 start shop-app-1
)");
}

TEST(Reconcile, KeepingFillsGaps) {
  World world("services: {web: {image: web, scale: 3}}");
  world.all_up();
  std::erase_if(world.snapshot().containers, [](const auto& c) { return c.name == "shop-web-2"; });
  EXPECT_EQ(world.plan(KeepIntent{.services = {"web"}}), R"(
#1 create shop-web-2
then
#2 start shop-web-2
)");
}

TEST(Reconcile, DownGoesBackwards) {
  World world(kThree);
  world.all_up();
  EXPECT_EQ(world.plan(DownIntent{.volumes = true}), R"(
#1 stop shop-web-1
[1] -> #2 remove shop-web-1
[1] -> #3 stop shop-app-1
[3] -> #4 remove shop-app-1
[3] -> #5 stop shop-db-1
[5] -> #6 remove shop-db-1
then
#7 remove network shop_back
#8 remove network shop_default
#9 remove volume shop_data
)");
}

TEST(Reconcile, DownOfOneServiceLeavesNetworksThatOthersUse) {
  World world(kThree);
  world.all_up();
  EXPECT_EQ(world.plan(DownIntent{.services = {"web"}}), R"(
#1 stop shop-web-1
[1] -> #2 remove shop-web-1
)");
}

TEST(Reconcile, StopGoesBackwardsAndStartForwards) {
  World world("services: {web: {image: web, depends_on: [db]}, db: {image: db}}");
  world.all_up();
  EXPECT_EQ(world.plan(StopIntent{}), R"(
#1 stop shop-web-1
[1] -> #2 stop shop-db-1
)");
  for (auto& container : world.snapshot().containers) container.state = engine::ContainerState::exited;
  EXPECT_EQ(world.plan(StartIntent{.services = {"web"}}), R"(
#1 start shop-db-1
[1] -> #2 start shop-web-1
)");
}

TEST(Reconcile, StartNeedsAContainer) {
  World world("services: {web: {image: web}, db: {image: db}}");
  world.add("web", 1, engine::ContainerState::exited);
  EXPECT_EQ(world.plan(StartIntent{.services = {"db"}}), "error: service \"db\" has no container to start");
}

TEST(Reconcile, RestartTakesAlongWhoAsksForIt) {
  World world("services: {db: {image: db}, app: {image: app, depends_on: {db: {condition: service_started, restart: true}}}, web: {image: web, depends_on: [db]}}");
  world.all_up();
  EXPECT_EQ(world.plan(RestartIntent{.services = {"db"}}), R"(
#1 restart shop-db-1
[1] -> #2 restart shop-app-1
)");
}

TEST(Reconcile, RemoveTakesStoppedOnesOnly) {
  World world("services: {web: {image: web}, db: {image: db}}");
  world.all_up();
  world.container("shop-web-1").state = engine::ContainerState::exited;
  EXPECT_EQ(world.plan(RemoveIntent{}), "\n#1 remove shop-web-1\n");
  EXPECT_EQ(world.plan(RemoveIntent{.services = {"db"}, .stop_first = true}),
            "\n#1 stop shop-db-1\n[1] -> #2 remove shop-db-1\n");
}

TEST(Reconcile, KillSignalsWhatRuns) {
  World world("services: {web: {image: web}, db: {image: db}}");
  world.all_up();
  world.container("shop-web-1").state = engine::ContainerState::exited;
  EXPECT_EQ(world.plan(KillIntent{.signal = "SIGHUP"}), "\n#1 kill shop-db-1 with SIGHUP\n");
}

TEST(Reconcile, ReferencesBecomeTheContainersOfTheServices) {
  Desired desired = desire(project_from(R"(
services:
  vpn: {image: vpn, container_name: tunnel}
  app: {image: app, network_mode: "service:vpn", ipc: "service:vpn", volumes_from: ["vpn:ro"]}
)")).value();
  engine::Snapshot snapshot{.images = {{"vpn", {}}, {"app", {}}}};
  Plan plan = reconcile(desired, snapshot, UpIntent{}).value();
  for (const Step& step : plan.steps) {
    const auto* create = std::get_if<CreateContainer>(&step.action);
    if (create == nullptr || create->final_name != "shop-app-1") continue;
    EXPECT_EQ(create->spec.network_mode.container, "tunnel");
    EXPECT_EQ(create->spec.ipc_mode, "container:tunnel");
    EXPECT_EQ(create->spec.volumes_from, std::vector<std::string>{"tunnel:ro"});
  }
}
