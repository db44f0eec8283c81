// A stream of JSON lines that begins with its first line, so that a failure before that still gets an HTTP status.
#pragma once

#include <atomic>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "daemon/http_server.h"

namespace gantry::daemon::docker {

// Any thread may send lines; the exchange must not be used otherwise meanwhile.
class ProgressStream {
 public:
  explicit ProgressStream(Exchange& exchange) : exchange_(exchange) {}

  void send(const nlohmann::json& line);
  // The client has gone, as far as sending has shown.
  bool broken() const { return broken_; }
  // Ends the answer. An error goes out as HTTP status if nothing was sent yet, else as the last line.
  Result<> finish(const Result<>& outcome, int exit_code = 0);

 private:
  void write(const std::string& text);  // mutex_ is held

  Exchange& exchange_;
  std::mutex mutex_;
  bool begun_ = false;  // guarded by mutex_
  std::atomic<bool> broken_{false};
};

// "[====>      ]  1.2MB/10MB", as Docker draws it; "" if nothing is counted.
std::string progress_bar(uint64_t current, uint64_t total);

}  // namespace gantry::daemon::docker
