// What a command works with: the global options, the environment, the terminal, the daemon and the project's files.
// One per program run; made by command_line.cc, in tests by hand. One thread, unless said otherwise.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/api_types.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/progress_view.h"
#include "client/api_client.h"
#include "compose/load.h"

namespace gantry::cli {

// Options in front of the sub-command, with what the environment says where none was given.
struct Globals {
  std::vector<std::string> files;
  std::string project_name;
  std::string project_directory;
  std::vector<std::string> env_files;
  std::vector<std::string> profiles;
  bool all_resources = false;
  std::string ansi = "auto";      // never, always, auto
  std::string progress = "auto";  // auto, tty, plain, json, quiet
  int parallel = -1;              // pulls and builds at once; -1: no limit
  bool dry_run = false;
  bool compatibility = false;  // names with underscores
  std::string host;
  std::string data_root;
  std::string run_root;
  client::Endpoint::Flags connection;
};

using Environment = std::map<std::string, std::string>;

class Session {
 public:
  Session(Globals globals, Environment environment);
  // With a daemon of the caller's (tests).
  Session(Globals globals, Environment environment, std::unique_ptr<client::ApiClient> api);

  const Globals& globals() const { return globals_; }
  Globals& globals() { return globals_; }
  const Environment& environment() const { return environment_; }
  std::string variable(const std::string& name) const;     // "" when not set
  bool environment_switch(const std::string& name) const;  // "1", "true", "yes", …
  const Clock& clock() const { return clock_; }

  Output out{1};
  Output err{2};
  int in = 0;
  std::string program = "compose";  // as the user called it, for messages and help

  // The daemon: connected to, and started if need be, at the first call.
  Result<client::ApiClient*> api();

  // --- the project's files ---
  compose::LoadOptions load_options() const;
  // Warnings go to standard error. The error is the rendered diagnostics.
  Result<compose::Project> load_project(const std::vector<std::string>& services = {}, bool with_dependencies = true);
  Result<compose::LoadResult> load(const compose::LoadOptions& options);
  // The name alone, for commands that look at the engine's containers.
  Result<std::string> project_name() const;
  // True where the files are not looked at: -p was given without -f.
  bool by_name_only() const { return !globals_.project_name.empty() && globals_.files.empty(); }
  // The project of commands that work without files, too: nothing when by_name_only().
  struct NamedProject {
    std::string name;
    std::optional<compose::Project> project;
  };
  Result<NamedProject> find_project(const std::vector<std::string>& services = {});

  // --- what is drawn ---
  bool colour_on(const Output& output) const;
  // Errors: an unknown --progress, or one that contradicts --ansi.
  Result<ProgressStyle> progress_style(std::string_view operation) const;
  void warn(std::string_view text) const;
  // A message of the session ("No container to kill") to standard error, or with COMPOSE_STATUS_STDOUT to output.
  void status(std::string_view text) const;
  // Asks on the terminal: y, yes, t, true and 1 mean yes; anything else and the end of input mean no.
  bool confirm(std::string_view question) const;
  // What went wrong, to standard error, as --progress json wants it or as it is; an empty text prints nothing.
  void fail(std::string_view message) const;

  // Containers of the project, by name; `all`: stopped ones too. One-offs included. `labels`: which ones to ask for. `service`:
  // only of that one, unless it is empty.
  enum class Labels { all, service };  // service: what service() and one_off() need
  Result<std::vector<ContainerRow>> containers(const std::string& project, bool all, Labels labels = Labels::all,
                                               const std::string& service = {});

 private:
  Globals globals_;
  Environment environment_;
  SystemClock clock_;
  std::unique_ptr<client::ApiClient> api_;
};

}  // namespace gantry::cli
