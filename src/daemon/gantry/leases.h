// Projects that may live only as long as a process does, or for a time: then the daemon takes them down. What is held is
// kept in a file, so that a new daemon goes on with it. Loop thread only.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/loop.h"
#include "base/result.h"

namespace gantry::daemon::api {

struct Lease {
  int pid = 0;               // of this machine; 0: no process
  uint64_t pid_started = 0;  // base/process_start.h: a later process of that number is not meant
  WallTime until{};          // zero: no time
  bool volumes = false;      // the project's named volumes go, too
  friend bool operator==(const Lease&, const Lease&) = default;
};

// {"pid": …, "pid_started": …, "seconds": …, "volumes": …}, each optional; seconds count from `now` on.
// Errors: Code::invalid.
Result<Lease> lease_from_json(const std::string& text, WallTime now);

class LeaseKeeper {
 public:
  // Tells when it is done, and whether it went well. A lease is kept until then: if the daemon dies in between, the next
  // one begins anew.
  using TakeDown = Function<void(const std::string& project, bool volumes, Function<void(bool done)> then)>;
  // Goes on with what `file` says.
  LeaseKeeper(EventLoop& loop, std::filesystem::path file, TakeDown take_down);
  ~LeaseKeeper();

  // In place of the one that is held. Without process and time: none any more.
  Result<> hold(const std::string& project, const Lease& lease);
  Result<> drop(const std::string& project);
  // Nothing if none is held.
  std::optional<Lease> find(const std::string& project) const;

 private:
  struct Held;
  void watch(const std::string& project);
  void ended(const std::string& project);
  Result<> save() const;

  EventLoop& loop_;
  const std::filesystem::path file_;
  TakeDown take_down_;
  std::map<std::string, std::unique_ptr<Held>> held_;
};

}  // namespace gantry::daemon::api
