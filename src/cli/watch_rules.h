// What the file says under develop.watch: which changes on this machine lead to what in the containers. Pure, but for
// ignore files, which are read.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/ignore_patterns.h"
#include "base/result.h"
#include "compose/project.h"

namespace gantry::cli {

struct WatchRule {
  enum class Action { rebuild, sync, restart, sync_restart, sync_exec };
  std::string service;
  std::filesystem::path path;  // absolute
  Action action = Action::sync;
  std::string target;  // in the container; "" for rebuild and restart
  IgnorePatterns ignored;
  std::optional<IgnorePatterns> included;  // nothing: everything
  bool initial_sync = false;
  std::optional<compose::Hook> exec;

  bool syncs() const { return action != Action::rebuild && action != Action::restart; }
  bool restarts() const { return action == Action::restart || action == Action::sync_restart; }
  // Whether a change of this file is one of the rule's: below `path`, included, not ignored.
  bool matches(const std::filesystem::path& file) const;
  // Nothing below this directory can match.
  bool can_skip(const std::filesystem::path& directory) const;
  // Where the file goes: target/relative path.
  std::string container_path(const std::filesystem::path& file) const;
};

// The rules of those services (all if none are named), in the order of the file. Warnings: a path that is bind-mounted
// into the container anyway is not watched.
// Errors: a named service without rules, no rule at all, an ignore file that cannot be parsed.
Result<std::vector<WatchRule>> watch_rules(const compose::Project& project, const std::vector<std::string>& services,
                                           std::vector<std::string>& warnings);
// Whether any service of the project has rules.
bool has_watch_rules(const compose::Project& project);

}  // namespace gantry::cli
