// Health probes that the engine makes itself, for images without a shell or client:
//
//   {"HTTP", "http://127.0.0.1:8080/healthz", "200-399"}  GET inside the container's network namespace; the last word
//                                                         (which may be missing) is the range of good status codes
//   {"TCP", "127.0.0.1:5432"}                             a connection can be made
//   {"LOG", "regular expression"}                         a line of the log since the start matches (log_probe.h)
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/function.h"
#include "base/loop.h"
#include "base/result.h"

namespace gantry::engine {

struct NetworkTarget {
  bool http = false;
  std::string address;  // IPv4, or IPv6 without brackets
  uint16_t port = 0;
  std::string path;     // http
  std::string host;     // http: the Host header
  int least_status = 200;
  int most_status = 399;
  friend bool operator==(const NetworkTarget&, const NetworkTarget&) = default;
};

bool is_own_probe(const std::vector<std::string>& test);  // HTTP, TCP or LOG
// Of an HTTP or TCP test. Errors: Code::invalid, what is wrong with it.
Result<NetworkTarget> parse_network_target(const std::vector<std::string>& test);

// One probe under way. Loop thread only. Destroying it ends it without an answer.
class NetworkProbe {
 public:
  // exit code 0: good, 1: not; the text is what there is to say about it, as a probe's output.
  using Done = Function<void(int exit_code, std::string text)>;
  // `netns`: the container's. `done` is called once, never inside this call.
  static Result<std::unique_ptr<NetworkProbe>> start(EventLoop& loop, const Fd& netns, NetworkTarget target, Done done);

 private:
  NetworkProbe(EventLoop& loop, Fd socket, NetworkTarget target, Done done);
  void ready();
  void connected();
  void read_answer();
  void judge_status();
  void finish(int exit_code, std::string text);

  NetworkTarget target_;
  Done done_;
  Fd socket_;
  std::unique_ptr<FdWatcher> watcher_;  // ends before the descriptor
  bool connected_ = false;
  std::string request_;
  std::string answer_;
};

}  // namespace gantry::engine
