#include "support/sim_project.h"

#include <gtest/gtest.h>

#include "compose/load.h"

namespace gantry::test {

using namespace compose;

Project project_from(const std::string& yaml) {
  LoadOptions options{.files = {"-"}, .working_dir = "/project", .standard_input = yaml};
  if (yaml.find("\nname:") == std::string::npos && !yaml.starts_with("name:")) options.project_name = "shop";
  LoadResult loaded = load(options);
  std::string errors;
  for (const Diagnostic& diagnostic : loaded.diagnostics) errors += render(diagnostic, loaded.texts) + "\n";
  EXPECT_TRUE(loaded.ok()) << errors;
  return loaded.project.value_or(Project{});
}

Result<> MemoryStore::save(const std::string& name, const std::string& json) {
  ++writes;
  projects[name] = json;
  return {};
}

Result<> MemoryStore::remove(const std::string& name) {
  ++writes;
  projects.erase(name);
  return {};
}

void Listener::finished(const Outcome& result) {
  outcome = result;
  ++finishes;
}

std::string Listener::text() const {
  static const char* const kResources[] = {"project", "network", "volume", "image", "container", "service"};
  std::string text;
  for (const Progress& progress : told) {
    text += std::string(kResources[static_cast<int>(progress.resource)]) + " " + progress.name + " " + progress.text;
    if (progress.status == Progress::Status::warning) text += " (warning)";
    if (progress.status == Progress::Status::error) text += " (error)";
    if (!progress.details.empty()) text += ": " + progress.details;
    if (!progress.cause.empty()) text += " [" + progress.cause + "]";
    text += "\n";
  }
  return text;
}

SimDaemon::SimDaemon(uint64_t seed) : world(seed), engine(world) {
  controller = std::make_unique<Controller>(engine, world, world.random(), store);
  controller->run_commands_by(engine.command_runner());
}

SimDaemon::~SimDaemon() {
  controller.reset();
  // Replies under way hold their operations: let them arrive.
  world.run_for(std::chrono::seconds(30));
}

Outcome SimDaemon::finish(const std::shared_ptr<Listener>& listener) {
  last = listener;
  bool finished = world.run_until([&] { return listener->outcome.has_value(); }, std::chrono::minutes(10));
  EXPECT_TRUE(finished) << "an operation did not end; " << world.replay_command() << "\n" << engine.inventory();
  return listener->outcome.value_or(Outcome{.ok = false, .message = "did not end"});
}

Outcome SimDaemon::up(const Project& project, UpOptions options) {
  auto listener = std::make_shared<Listener>();
  controller->up(project, std::move(options), listener);
  return finish(listener);
}

Outcome SimDaemon::down(const std::string& project, DownOptions options) {
  auto listener = std::make_shared<Listener>();
  controller->down(project, std::move(options), listener);
  return finish(listener);
}

Outcome SimDaemon::stop(const std::string& project, ServiceOptions options) {
  auto listener = std::make_shared<Listener>();
  controller->stop(project, std::move(options), listener);
  return finish(listener);
}

Outcome SimDaemon::start(const std::string& project, ServiceOptions options) {
  auto listener = std::make_shared<Listener>();
  controller->start(project, std::move(options), listener);
  return finish(listener);
}

std::string SimDaemon::plan(const Project& project, UpOptions options) {
  std::optional<std::string> text;
  controller->plan(project, std::move(options), [&text](Result<compose::Plan> plan) {
    text = plan.ok() ? plan->text() : "error: " + plan.error().message();
  });
  world.run_until([&text] { return text.has_value(); }, std::chrono::minutes(1));
  return text.value_or("no answer");
}

void SimDaemon::die() {
  engine.die();
  controller.reset();
}

void SimDaemon::crash() {
  die();
  controller = std::make_unique<Controller>(engine, world, world.random(), store);
  controller->run_commands_by(engine.command_runner());
  EXPECT_TRUE(controller->resume().ok());
}

}  // namespace gantry::test
