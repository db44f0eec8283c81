// Follows the logs of a project's containers while they come and go: what `up` shows while it is attached, and
// `logs -f`. Decides from messages alone (stream_hub.h), on the calling thread:
//
//   event start → follow the log · event die → remember the code · log ended → "web-1 exited with code 0"
//
// A run of a container is told by its StartedAt, so that what the list says and what the events say agree.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/background_watch.h"
#include "cli/keyboard.h"
#include "cli/log_filter.h"
#include "cli/log_printer.h"
#include "cli/operation.h"
#include "cli/session.h"
#include "cli/stream_hub.h"
#include "compose/controller.h"

namespace gantry::cli {

struct WatchOptions {
  std::string project;
  std::set<std::string> services;   // whose logs are shown; empty: all
  std::set<std::string> monitored;  // that keep the command alive, and may abort it; empty: those of `services`
  bool timestamps = false;
  LogRequest existing;            // what is shown of containers that run already
  bool show_stopped = false;      // logs of stopped ones, too (logs -f)
  bool stderr_to_stdout = false;  // `logs` prints both to standard output
  LogStyle style;
  LogFilter filter;
  // Attached `up`:
  std::optional<compose::ServiceOptions> graceful_stop;  // SIGINT stops these; nothing: it ends the command
  bool abort_on_exit = false;
  bool abort_on_failure = false;
  std::string exit_code_from;  // a service
  bool menu = false;           // keys are taken, and shown in the last line
  bool watch = false;          // develop.watch from the begin; its rules are those of `watched`
  const compose::Project* watched = nullptr;
  std::vector<std::string> watched_services;
};

class ContainerWatch {
 public:
  ContainerWatch(Session& session, WatchOptions options);
  ~ContainerWatch();

  // Subscribes to what happens from now on and takes in what is there. Prints "Attaching to …" when `announce`.
  Result<> attach(bool announce);
  // Starts an operation whose end is awaited; its failure ends the watch.
  Result<> start_operation(const std::string& method, const std::string& path, const std::string& body);
  // Until nothing that is watched runs any more. → exit status
  Result<int> run();

 private:
  struct Container {
    std::string name;
    std::string service;
    std::string display;
    bool watched = false;    // its log is shown
    bool monitored = false;  // the command goes on while it runs
    bool alive = false;  // runs, or will by its restart policy
    bool following = false;
    std::string run;               // StartedAt of the last run whose log is or was followed, or that had ended before attach()
    std::string since;             // where the log of the next run begins
    std::optional<WallTime> died;  // the last end that an event told of
    std::optional<int> exit_code;  // of the last run; told when its log has ended
    bool told = true;
    std::vector<EngineEvent> later;  // of the runs after the one whose log is being read to its end
  };
  enum class Phase { watching, stopping, killing, stopped, over };

  void handle(LogLine line);
  void handle(LogEnded ended);
  void handle(EngineEvent event);
  void handle(EventsEnded ended);
  void handle(compose::Progress progress);
  void handle(OperationEnded ended);
  void handle(SignalArrived signal);
  void handle(KeyTyped typed);
  void handle(Notice notice);
  void toggle_watch();
  void draw_menu();
  void erase_menu();

  Container& known(const std::string& id, const std::string& name, const StringMap& labels);
  void take_in(const EngineEvent& event, Container& container);
  void take_in(const ContainerRow& row);
  Result<> list_containers();
  Result<std::optional<ContainerDetails>> look_at(const std::string& id);  // nothing: it is gone
  // The log of what runs or ran just now, unless that run is followed already.
  Result<> follow(const std::string& id, Container& container, const std::string& tail);
  void tell_exit(const std::string& id, Container& container);
  void abort_for(int exit_code);
  Result<> stop();
  Result<> kill();
  Result<> take_in_stopped();
  bool in_stop_scope(const Container& container) const;
  bool finished() const;
  int final_status() const;
  void print(const std::function<void()>& what);
  void keep_error(Result<> result);

  Session& session_;
  WatchOptions options_;
  LogPrinter printer_;
  std::map<std::string, Container> containers_;  // by id
  Phase phase_ = Phase::watching;
  std::optional<StreamHub::OperationNumber> operation_;  // under way
  std::optional<int> exit_status_;
  std::optional<Error> error_;
  bool detaching_ = false;
  bool menu_drawn_ = false;
  std::unique_ptr<ProgressView> view_;  // while stopping
  std::unique_ptr<SignalThread> signals_;
  std::unique_ptr<StreamHub> hub_;  // its threads end before what is above goes
  std::unique_ptr<BackgroundWatch> watch_;
  std::unique_ptr<Keyboard> keyboard_;
};

}  // namespace gantry::cli
