// The logs of containers that are gone: a replica that was replaced leaves its log here, until the project is taken
// down.
//
//   ROOT/PROJECT/SERVICE-NUMBER/RUN/  the files that were the container's, and run.json, which tells about it
//
// Blocking file work; any thread, but for one replica from one thread at a time. A run that the daemon's death cut short
// is no number yet and is not seen.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace gantry::engine {

struct PastRun {
  std::string project;
  std::string service;
  int replica = 1;
  int run = 0;  // counted for each replica from 1; keep() gives it
  std::string container_id;
  std::string container_name;
  WallTime started_at{};  // of its last start
  WallTime finished_at{};
  int exit_code = 0;
  bool tty = false;
  std::string log_name;  // of the current log file; rotated ones lie beside it
};

class LogArchive {
 public:
  explicit LogArchive(std::filesystem::path root) : root_(std::move(root)) {}

  // Moves `log` and what was rotated out of it here. Of each replica the last ten runs are kept, and of these, newest first,
  // as many as have 64 MiB together; the last one always. Nothing happens for names that are no plain file names.
  Result<> keep(PastRun about, const std::filesystem::path& log) const;
  // By service, replica and run.
  std::vector<PastRun> list(const std::string& project) const;
  std::filesystem::path log_of(const PastRun& run) const;
  // Moves the project's runs to `away`, which is then the caller's to remove: removing may take long. False: there are none.
  bool forget(const std::string& project, const std::filesystem::path& away) const;
  std::vector<std::string> projects() const;

 private:
  std::filesystem::path directory_of(const PastRun& run) const;

  std::filesystem::path root_;
};

}  // namespace gantry::engine
