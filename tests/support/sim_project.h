// The real controller on a simulated engine, with a store that survives the controller's end: what tests of whole
// operations start from.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compose/controller.h"
#include "support/sim_engine.h"
#include "support/sim_world.h"

namespace gantry::test {

// A project from compose text, as the client would load it; fails the test if it has errors. Its file is called
// compose.yaml, its name is "shop" unless the text gives one.
compose::Project project_from(const std::string& yaml);

class MemoryStore final : public compose::ProjectStore {
 public:
  Result<> save(const std::string& name, const std::string& json) override;
  Result<> remove(const std::string& name) override;
  Result<std::map<std::string, std::string>> load_all() override { return projects; }
  std::map<std::string, std::string> projects;
  int writes = 0;
};

// Keeps what an operation told.
class Listener final : public compose::ProgressSink {
 public:
  void progress(const compose::Progress& progress) override { told.push_back(progress); }
  void finished(const compose::Outcome& outcome) override;
  // "container shop-web-1 Started" a line; warnings and errors with their details.
  std::string text() const;
  std::vector<compose::Progress> told;
  std::optional<compose::Outcome> outcome;
  int finishes = 0;
};

// World, engine, store and controller.
class SimDaemon {
 public:
  explicit SimDaemon(uint64_t seed = 1);
  ~SimDaemon();

  // Start an operation and run the world until it has finished (at most ten virtual minutes).
  compose::Outcome up(const compose::Project& project, compose::UpOptions options = {});
  compose::Outcome down(const std::string& project, compose::DownOptions options = {});
  compose::Outcome stop(const std::string& project, compose::ServiceOptions options = {});
  compose::Outcome start(const std::string& project, compose::ServiceOptions options = {});
  std::string plan(const compose::Project& project, compose::UpOptions options = {});
  // Runs until `listener` has its outcome.
  compose::Outcome finish(const std::shared_ptr<Listener>& listener);
  // The daemon dies: its controller goes without a word, a new one resumes from the store.
  void crash();
  void die();

  SimWorld world;
  SimEngine engine;
  MemoryStore store;
  std::unique_ptr<compose::Controller> controller;
  std::shared_ptr<Listener> last;  // of the last operation
};

}  // namespace gantry::test
