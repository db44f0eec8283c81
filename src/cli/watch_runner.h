// Carries out the rules of develop.watch: batches of changed files become builds, copies, restarts and commands.
// A connection of its own; one thread, which may be another than the session's.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "cli/session.h"
#include "cli/watch_rules.h"

namespace gantry::cli {

struct WatchSettings {
  bool prune = true;   // remove images that a rebuild left without a name
  bool quiet = false;  // no output of builds
  std::function<void(const std::string&)> say;  // a line for the user
};

class WatchRunner {
 public:
  static Result<std::unique_ptr<WatchRunner>> create(Session& session, const compose::Project& project,
                                                     std::vector<WatchRule> rules, WatchSettings settings);

  // Watches until `stop` becomes readable. Failed actions are told, and watching goes on.
  // Errors: what keeps the watch itself from working.
  Result<> run(int stop);

 private:
  WatchRunner(Session& session, const compose::Project& project, std::vector<WatchRule> rules, WatchSettings settings)
      : session_(session), project_(project), rules_(std::move(rules)), settings_(std::move(settings)) {}

  using Files = std::set<std::filesystem::path>;
  struct Batch {
    std::set<std::string> rebuilds;
    std::map<const WatchRule*, Files> syncs;
    std::set<std::string> restarts;
    std::vector<const WatchRule*> execs;
    size_t changes = 0;
  };
  Batch sorted(const Files& changed) const;
  void apply(const Files& changed);
  Result<> rebuild(const std::set<std::string>& services);
  Result<> sync(const WatchRule& rule, const Files& files);
  Result<> restart(const std::set<std::string>& services);
  Result<> exec(const WatchRule& rule);
  Result<> prune();
  void initial_sync();
  Result<std::vector<ContainerRow>> running(const std::string& service);
  void report(const Result<>& result);

  Session& session_;
  const compose::Project& project_;
  std::vector<WatchRule> rules_;
  WatchSettings settings_;
  std::unique_ptr<client::ApiClient> api_;
};

// Takes the lock that keeps two watches from working on one project; held while the descriptor is open.
// Errors (conflict): "cannot take exclusive lock for project "x": process with PID N is still running".
Result<Fd> lock_watch(const Session& session, const std::string& project);

// Runs a command in a container to its end. → exit code and what it wrote
struct ExecOutcome {
  int exit_code = 0;
  std::string output;
};
Result<ExecOutcome> exec_to_end(client::ApiClient& api, const std::string& container, const compose::Hook& command);

}  // namespace gantry::cli
