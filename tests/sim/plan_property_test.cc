// Random projects, edited at random: what `plan` announces is what `up` does, and afterwards there is nothing to do.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "compose/plan_changes.h"
#include "support/sim_project.h"

using namespace gantry;
using namespace gantry::compose;
using namespace gantry::test;
using namespace std::chrono_literals;

namespace {

constexpr int kServices = 6;
constexpr const char* kImages[] = {"web", "app", "db", "job"};

// Edits a project the way people do: attributes, dependencies, networks, volumes, services that come and go.
class Editor {
 public:
  explicit Editor(SimWorld& world) : world_(world) {}

  Project start() {
    Project project{.name = "shop", .working_dir = "/work", .config_files = {"/work/compose.yaml"}};
    const size_t count = pick(kServices) + 1;
    for (size_t i = 0; i < count; ++i) add_service(project);
    return project;
  }

  void edit(Project& project) {
    switch (pick(10)) {
      case 0: add_service(project); break;
      case 1: if (project.services.size() > 1) remove_service(project); break;
      case 2: random_service(project).scale = static_cast<int>(pick(4)); break;
      case 3: random_service(project).image = kImages[pick(4)]; break;
      case 4: toggle_network(project, random_service(project)); break;
      case 5: toggle_volume(project, random_service(project)); break;
      case 6: toggle_dependency(project, random_service(project)); break;
      case 7: toggle_health(random_service(project)); break;
      case 8: edit_network(project); break;
      default: random_service(project).environment["V"] = std::to_string(++version_); break;
    }
    finish(project);
  }

  UpOptions options(const Project& project) {
    UpOptions options{.remove_orphans = world_.chance(0.5)};
    if (world_.chance(0.1)) options.recreate = RecreatePolicy::force;
    if (world_.chance(0.1)) options.renew_anonymous_volumes = true;
    if (world_.chance(0.15)) options.no_start = true;
    if (world_.chance(0.15)) options.scale[project.services.begin()->first] = static_cast<int>(pick(4));
    if (world_.chance(0.2)) options.services = {project.services.begin()->first};
    return options;
  }

 private:
  size_t pick(size_t count) { return static_cast<size_t>(world_.between(0ns, std::chrono::nanoseconds(count)).count()); }

  Service& random_service(Project& project) {
    auto at = project.services.begin();
    std::advance(at, static_cast<ptrdiff_t>(pick(project.services.size())));
    return at->second;
  }

  void add_service(Project& project) {
    const std::string name = "s" + std::to_string(pick(kServices));
    if (project.services.contains(name)) return;
    Service service{.name = name, .image = kImages[pick(4)]};
    service.environment["V"] = std::to_string(++version_);
    service.networks["default"] = std::nullopt;
    project.services[name] = service;
    finish(project);
  }

  void remove_service(Project& project) {
    const std::string name = random_service(project).name;
    project.services.erase(name);
    for (auto& [other, service] : project.services) service.depends_on.erase(name);
  }

  // Only on services with a smaller name: no circles.
  void toggle_dependency(Project& project, Service& service) {
    for (const auto& [name, other] : project.services) {
      if (name >= service.name || !world_.chance(0.5)) continue;
      if (service.depends_on.erase(name) != 0) continue;
      const bool healthy = other.healthcheck.has_value() && world_.chance(0.5);
      service.depends_on[name] = {.condition = healthy ? DependencyCondition::healthy : DependencyCondition::started,
                                  .restart = world_.chance(0.5)};
    }
  }

  void toggle_health(Service& service) {
    if (service.healthcheck) service.healthcheck.reset();
    else service.healthcheck = ServiceHealthCheck{.test = {"CMD", "x"}};
  }

  void toggle_network(Project&, Service& service) {
    const std::string key = world_.chance(0.5) ? "front" : "back";
    if (service.networks.contains(key)) service.networks.erase(key);
    else service.networks[key] = std::nullopt;
    if (service.networks.empty()) service.networks["default"] = std::nullopt;
  }

  void toggle_volume(Project&, Service& service) {
    const std::string source = world_.chance(0.3) ? "" : world_.chance(0.5) ? "data" : "cache";
    const auto at = std::find_if(service.volumes.begin(), service.volumes.end(),
                                 [&](const VolumeMount& mount) { return mount.source == source; });
    if (at != service.volumes.end()) service.volumes.erase(at);
    else service.volumes.push_back({.type = "volume", .source = source, .target = "/" + (source.empty() ? "anon" : source)});
  }

  void edit_network(Project& project) {
    if (project.networks.empty()) return;
    project.networks.begin()->second.driver_opts["v"] = std::to_string(++version_);
  }

  // What the loader does: resources that are used exist, conditions can be met, canonical text says what counts.
  void finish(Project& project) {
    std::map<std::string, Network> networks;
    std::map<std::string, Volume> volumes;
    for (auto& [name, service] : project.services) {
      for (const auto& [key, how] : service.networks) {
        Network network{.key = key, .name = "shop_" + key};
        if (const auto known = project.networks.find(key); known != project.networks.end()) network = known->second;
        network.canonical_json = "{\"name\":\"" + network.name + "\"";
        for (const auto& [option, value] : network.driver_opts) network.canonical_json += ",\"" + option + "\":\"" + value + "\"";
        network.canonical_json += "}";
        networks[key] = network;
      }
      for (const VolumeMount& mount : service.volumes) {
        if (!mount.source.empty()) volumes[mount.source] = {.key = mount.source, .name = "shop_" + mount.source, .canonical_json = "{}"};
      }
      for (auto& [needed, dependency] : service.depends_on) {
        const auto other = project.services.find(needed);
        const bool checked = other != project.services.end() && other->second.healthcheck.has_value();
        if (!checked) dependency.condition = DependencyCondition::started;
      }
      service.canonical_json = canonical(service);
    }
    project.networks = std::move(networks);
    project.volumes = std::move(volumes);
  }

  static std::string canonical(const Service& service) {
    std::string json = "{\"environment\":{\"V\":\"" + service.environment.at("V").value_or("") + "\"},\"image\":\"" +
                       service.image + "\",\"networks\":[";
    for (const auto& [key, how] : service.networks) json += (json.back() == '[' ? "\"" : ",\"") + key + "\"";
    json += "],\"volumes\":[";
    for (const VolumeMount& mount : service.volumes) json += (json.back() == '[' ? "\"" : ",\"") + mount.target + "\"";
    return json + "],\"healthcheck\":" + (service.healthcheck ? "true" : "false") + "}";
  }

  SimWorld& world_;
  int version_ = 0;
};

// The engine's calls that a plan announces, sorted.
std::vector<std::string> announced(const Plan& plan) {
  std::vector<std::string> calls;
  for (const Step& step : plan.steps) {
    std::visit(Overloaded{[&](const CreateContainer& a) { calls.push_back("create " + a.spec.name); },
                          [&](const RenameContainer& a) { calls.push_back("rename to " + a.name); },
                          [&](const ConnectNetwork& a) { calls.push_back("connect " + a.container.name + " to " + a.network.name); },
                          [&](const DisconnectNetwork& a) {
                            calls.push_back("disconnect " + a.container.name + " from " + a.network.name);
                          },
                          [](const WaitFor&) {},
                          [&](const auto& a) { calls.push_back(describe(a)); }},
               step.action);
  }
  std::sort(calls.begin(), calls.end());
  return calls;
}

Plan planned(SimDaemon& daemon, const Project& project, const UpOptions& options) {
  std::optional<Plan> plan;
  daemon.controller->plan(project, options, [&plan](Result<Plan> made) {
    plan = made.ok() ? *std::move(made) : Plan{.warnings = {"error: " + made.error().message()}};
  });
  daemon.world.run_until([&plan] { return plan.has_value(); }, 1min);
  return plan.value_or(Plan{});
}

int edits_per_seed() {
#ifdef NDEBUG
  constexpr uint64_t kEdits = 10'000;
#else
  constexpr uint64_t kEdits = 1'000;  // unoptimised code takes its time
#endif
  const char* text = std::getenv("GANTRY_PLAN_EDITS");
  const uint64_t all = text == nullptr ? kEdits : parse_unsigned(text).value_or(kEdits);
  const char* seeds = std::getenv("GANTRY_SIM_SEEDS");
  return static_cast<int>(all / std::max<uint64_t>(seeds == nullptr ? 300 : parse_unsigned(seeds).value_or(300), 1)) + 1;
}

}  // namespace

TEST(PlanProperty, UpDoesWhatPlanAnnouncesAndThenThereIsNothingToDo) {
  for_each_seed([](uint64_t seed) {
    SimDaemon daemon(seed);
    for (const char* image : kImages) daemon.engine.add_image(image);
    Editor editor(daemon.world);
    Project project = editor.start();
    for (int i = 0, edits = edits_per_seed(); i < edits; ++i) {
      editor.edit(project);
      const UpOptions options = editor.options(project);
      const Plan plan = planned(daemon, project, options);
      const size_t before = daemon.engine.calls.size();
      const Outcome outcome = daemon.up(project, options);
      ASSERT_TRUE(outcome.ok) << outcome.message << "\nedit " << i << "\n" << plan.text();
      std::vector<std::string> done(daemon.engine.calls.begin() + static_cast<ptrdiff_t>(before), daemon.engine.calls.end());
      std::sort(done.begin(), done.end());
      ASSERT_EQ(done, announced(plan)) << "edit " << i << "\n" << plan.text();
      // Forced recreation is asked for each time; without it there is nothing left to do.
      UpOptions again = options;
      again.recreate = RecreatePolicy::diverged;
      again.renew_anonymous_volumes = false;
      ASSERT_EQ(planned(daemon, project, again).text(), "") << "edit " << i << "\n" << plan.text();
    }
  });
}
