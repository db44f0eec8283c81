// Makes what is there equal to what is desired, and keeps it so. One for the whole daemon; loop thread only.
//
// Every command on a project is an operation: it sets the desired state, then steps: observe → plan (pure,
// reconcile.h) → start every action whose prerequisites are met → each end asks for the next step. An event of the
// engine (a container died, was removed) asks for a step, too. Operations on one project run one after another.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/result.h"
#include "base/scheduler.h"
#include "compose/plan.h"
#include "compose/progress.h"
#include "compose/project.h"
#include "compose/timings.h"
#include "engine/iface/engine.h"

namespace gantry::compose {

enum class RecreatePolicy { diverged, force, never };

struct UpOptions {
  std::vector<std::string> services;            // empty: all
  RecreatePolicy recreate = RecreatePolicy::diverged;
  RecreatePolicy recreate_dependencies = RecreatePolicy::diverged;
  std::map<std::string, int> scale;
  bool remove_orphans = false;
  bool no_start = false;
  bool no_dependencies = false;
  bool renew_anonymous_volumes = false;
  bool wait = false;                            // until running and healthy
  std::optional<std::chrono::seconds> wait_timeout;
  std::optional<std::chrono::seconds> stop_timeout;  // when replacing containers
  std::string pull;                             // "", "always", "missing", "never"
  bool ignore_orphans = false;                  // no warning about them
  // Volumes (names in the engine) whose definition changed and which the user lets go, data and all.
  std::vector<std::string> recreate_volumes;
  std::vector<std::string> to_build;            // with dry_run: services whose image the client would build first
  bool dry_run = false;
  friend bool operator==(const UpOptions&, const UpOptions&) = default;
};

struct DownOptions {
  std::vector<std::string> services;
  bool volumes = false;
  bool remove_orphans = false;
  std::string remove_images;                    // "", "local", "all"
  std::optional<std::chrono::seconds> timeout;
  bool dry_run = false;
  // The file's model, when the client has one; else labels alone say what belongs to the project.
  std::optional<Project> project;
};

struct ServiceOptions {                         // stop, start, restart, kill, pause, unpause, rm
  std::vector<std::string> services;
  std::optional<std::chrono::seconds> timeout;
  std::string signal;
  bool no_dependencies = false;
  bool wait = false;
  std::optional<std::chrono::seconds> wait_timeout;
  bool anonymous_volumes = false;               // rm -v
  bool stop_first = false;                      // rm -s
  bool orphans = false;                         // kill: those of services that are not in the file, too
  bool dry_run = false;
  std::optional<Project> project;
};

struct RunOptions {                             // compose run: one one-off container
  std::string service;
  std::string container_name;                   // "" = generated
  std::optional<std::vector<std::string>> command;
  std::optional<std::vector<std::string>> entrypoint;
  std::vector<std::string> environment;
  std::vector<std::string> labels;
  std::vector<std::string> volumes;             // as in short syntax
  std::vector<std::string> publish;
  std::string user;
  std::string working_dir;
  bool tty = false;
  bool stdin_open = false;
  bool auto_remove = false;
  bool service_ports = false;
  bool use_aliases = false;
  bool no_dependencies = false;
  std::vector<std::string> cap_add;
  std::vector<std::string> cap_drop;
  std::string pull;                             // as of UpOptions, for the target and its dependencies
  bool remove_orphans = false;
  bool ignore_orphans = false;
  bool dry_run = false;
};

// What the daemon keeps of the projects, so that a new daemon goes on. Implemented over the store.
class ProjectStore {
 public:
  virtual ~ProjectStore() = default;
  virtual Result<> save(const std::string& name, const std::string& json) = 0;
  virtual Result<> remove(const std::string& name) = 0;
  virtual Result<std::map<std::string, std::string>> load_all() = 0;
};

// Where an operation tells what it does. Called on the loop thread; `finished` exactly once, last.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  virtual void progress(const Progress& progress) = 0;
  virtual void finished(const Outcome& outcome) = 0;
};

using OperationId = uint64_t;

class Controller {
 public:
  Controller(engine::Engine& engine, Scheduler& scheduler, Random& random, ProjectStore& store);
  ~Controller();

  // What runs the hooks of the files; before resume(). Without it a project with hooks cannot be brought up.
  void run_commands_by(CommandRunner runner);
  // Loads the kept projects and goes on with them. Once, at start.
  Result<> resume();

  OperationId up(std::shared_ptr<const Project> project, UpOptions options, std::shared_ptr<ProgressSink> sink);
  OperationId up(Project project, UpOptions options, std::shared_ptr<ProgressSink> sink) {
    return up(std::make_shared<const Project>(std::move(project)), std::move(options), std::move(sink));
  }
  OperationId down(std::string project, DownOptions options, std::shared_ptr<ProgressSink> sink);
  OperationId stop(std::string project, ServiceOptions options, std::shared_ptr<ProgressSink> sink);
  OperationId start(std::string project, ServiceOptions options, std::shared_ptr<ProgressSink> sink);
  OperationId restart(std::string project, ServiceOptions options, std::shared_ptr<ProgressSink> sink);
  OperationId kill(std::string project, ServiceOptions options, std::shared_ptr<ProgressSink> sink);
  OperationId remove(std::string project, ServiceOptions options, std::shared_ptr<ProgressSink> sink);
  // Brings up the dependencies and creates the one-off container, not started: the last progress names it (its id in
  // `details`), so that the client can attach first.
  OperationId run(Project project, RunOptions options, std::shared_ptr<ProgressSink> sink);
  // The client went or asked to stop: no further action is started, running ones end, `finished` follows.
  void cancel(OperationId operation);

  // What `up` would do now.
  void plan(Project project, UpOptions options, Function<void(Result<Plan>)> reply);

  // How long the steps of the last operation on the project took; nullptr: none since the daemon's start.
  const Timings* timings(const std::string& project) const;

  // The kept project of that name, if any.
  const Project* find(const std::string& name) const;
  std::vector<std::string> names() const;
  // True while an operation or a repair is under way.
  bool busy() const;
  // Stops starting new actions; `done` when none is under way.
  void shut_down(Function<void()> done);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gantry::compose
