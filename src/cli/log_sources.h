// Whose logs `logs` prints: those of containers that are there, and those of runs before, which the daemon keeps until the
// project is taken down.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/api_types.h"
#include "cli/session.h"

namespace gantry::cli {

struct LogSource {
  std::string name;         // "web-1"; of an earlier run "web-1#2"
  std::string path;         // where the API has it, without a query
  std::optional<bool> tty;  // the container has a terminal; nothing: the daemon is to be asked
  std::string container;    // id
};

// --run: the runs of each replica are its containers one after the other since the last `down`, counted from 1.
struct RunWish {
  bool all = false;
  int number = 0;  // positive: that one; 0: the container that is there; negative: so many before it
  friend bool operator==(const RunWish&, const RunWish&) = default;
};
// "3", "-1", "all". Errors: invalid.
Result<RunWish> parse_run_wish(const std::string& text);

// One of an earlier run, as the daemon lists it.
struct PastRunRow {
  std::string service;
  int replica = 1;
  int run = 1;
  std::string container_id;
  bool tty = false;
};
Result<std::vector<PastRunRow>> parse_past_runs(std::string_view json);

// The logs of `present` and `past`, sorted by name, that are wished for; of one replica the past runs come first.
// Errors: not_found, when there is none, naming the runs that there are.
Result<std::vector<LogSource>> select_runs(const std::string& project, const std::vector<ContainerRow>& present,
                                           const std::vector<PastRunRow>& past, const RunWish& wish);

// Those of `present` alone.
std::vector<LogSource> sources_of(const std::string& project, const std::vector<ContainerRow>& present);

}  // namespace gantry::cli
