// What a client wants to see of a log, and how entries go out. Pure.
#pragma once

#include <string>
#include <string_view>

#include "daemon/router.h"
#include "engine/container/log_reader.h"

namespace gantry::daemon::docker {

struct LogRequest {
  bool out = false;
  bool err = false;
  bool timestamps = false;
  bool details = false;
  engine::LogReadOptions options;

  // stdout, stderr, timestamps, details, follow, tail, since, until. Code::invalid as Docker words it.
  static Result<LogRequest> parse(const Query& query);
  // An entry as it goes out, in Docker's frames unless there is a terminal: nothing if its stream is not wanted.
  void append(const engine::LogEntry& entry, bool tty, std::string& text) const;
  engine::LogRendering rendering(bool tty) const;
};

std::string_view log_content_type(bool tty);

// Gives way to short requests while it lives: hundreds of followers of a busy log would take every processor.
class LowPriority {
 public:
  LowPriority();
  ~LowPriority();
  LowPriority(const LowPriority&) = delete;

 private:
  int before_;
};

}  // namespace gantry::daemon::docker
