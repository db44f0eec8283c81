// Signals as readable events. Handlers write to a pipe (nothing is blocked, so that a daemon started by this process
// does not inherit a mask); destroying the object puts the old handlers back. One object at a time per signal.
#pragma once

#include <signal.h>

#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "base/fd.h"

namespace gantry::cli {

class SignalPipe {
 public:
  explicit SignalPipe(const std::vector<int>& signals);
  ~SignalPipe();
  SignalPipe(const SignalPipe&) = delete;
  int fd() const { return pipe_.read.get(); }  // readable when a signal waits
  std::optional<int> take();                   // the oldest that waits; does not block

 private:
  Pipe pipe_;
  std::vector<std::pair<int, struct sigaction>> previous_;
};

// Each of the signals ends the program at once with kExitInterrupted.
class ExitOnSignals {
 public:
  explicit ExitOnSignals(const std::vector<int>& signals);
  ~ExitOnSignals();
  ExitOnSignals(const ExitOnSignals&) = delete;

 private:
  std::vector<std::pair<int, struct sigaction>> previous_;
};

// Calls `arrived` on a thread of its own for each of the signals.
class SignalThread {
 public:
  SignalThread(const std::vector<int>& signals, std::function<void(int)> arrived);
  ~SignalThread();  // waits for a running `arrived`

 private:
  SignalPipe pipe_;
  Pipe stop_;
  std::thread thread_;
};

}  // namespace gantry::cli
