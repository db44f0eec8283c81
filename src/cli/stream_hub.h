// Reads many streams of the daemon at once (logs of containers, events, an operation's progress), a thread and a
// connection each, and turns what they tell into messages for one thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "base/function.h"
#include "cli/api_types.h"
#include "cli/frames.h"
#include "cli/mailbox.h"
#include "client/api_client.h"
#include "compose/progress.h"

namespace gantry::cli {

struct LogLine {
  std::string container;  // id
  StreamKind kind = StreamKind::stdout_stream;
  std::string text;
};
struct LogEnded {
  std::string container;
  std::string problem;  // "" unless the log could not be read
};
struct EventsEnded {
  std::string problem;
};
struct OperationEnded {
  uint64_t number = 0;
  compose::Outcome outcome;  // a broken connection is told as a failure
};
struct SignalArrived {
  int signal = 0;
};
struct KeyTyped {
  char key = 0;
};
struct Notice {  // a line for the user
  std::string text;
};
using HubMessage = std::variant<LogLine, LogEnded, EngineEvent, EventsEnded, compose::Progress, OperationEnded,
                                SignalArrived, KeyTyped, Notice>;

// Which part of a log is wanted. Times are in the API's form (cli/text.h: api_time), "" = not limited.
struct LogRequest {
  bool follow = false;
  bool timestamps = false;
  std::string tail;  // "" = all
  std::string since;
  std::string until;
  bool details = false;
};
// Where the log is asked for.
std::string log_path(const std::string& container, const LogRequest& request);

// The query alone.
std::string log_query(const LogRequest& request);

// Reads a log to its end on this thread, in lines. `path`: without its query. `tty`: the container has a terminal.
Result<> read_log_at(client::ApiClient& api, const std::string& path, bool tty, const LogRequest& request,
                     const LineSplitter::Receiver& receive);
// That of a container that is there.
Result<> read_log(client::ApiClient& api, const std::string& container, bool tty, const LogRequest& request,
                  const LineSplitter::Receiver& receive);

// Made and used by one thread; the mailbox is filled by the others. The destructor hangs up and joins.
class StreamHub {
 public:
  explicit StreamHub(client::ApiClient& api) : api_(api) {}
  ~StreamHub();
  StreamHub(const StreamHub&) = delete;

  Mailbox<HubMessage>& messages() { return messages_; }
  // LogLine …, then LogEnded.
  Result<> follow_log(const std::string& container, bool tty, const LogRequest& request);
  // EngineEvent …, then EventsEnded. `filters` as of cli/api_types.h. Returns when the daemon has begun to tell: of what a list
  // does not show that is asked for after that, the events come.
  Result<> watch_events(const std::string& filters);
  using OperationNumber = uint64_t;
  // Progress …, then OperationEnded with the number.
  Result<OperationNumber> run_operation(const std::string& method, const std::string& path, const std::string& body);
  // Hangs up: the daemon starts nothing further of that operation. Its OperationEnded still comes.
  void cancel(OperationNumber operation);

 private:
  struct Stream {
    uint64_t number = 0;
    std::unique_ptr<client::ApiClient> api;
    std::thread thread;
    std::atomic<bool> ended = false;
  };
  // Runs `read` on a thread with a connection of its own.
  Result<uint64_t> open(std::function<void(client::ApiClient&, uint64_t number)> read);
  void join_ended();

  client::ApiClient& api_;
  Mailbox<HubMessage> messages_;
  std::vector<std::unique_ptr<Stream>> streams_;
  uint64_t last_number_ = 0;
};

}  // namespace gantry::cli
