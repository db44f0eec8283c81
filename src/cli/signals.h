// Signals while a command runs. Nothing is blocked, so that a daemon started by this process does not inherit a mask.
#pragma once

#include <signal.h>

#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "base/fd.h"

namespace gantry::cli {

// `handler` for each of the signals; destroying the object puts the old ones back. Of one signal the last object goes first.
class SignalHandlers {
 public:
  SignalHandlers(const std::vector<int>& signals, void (*handler)(int));
  ~SignalHandlers();
  SignalHandlers(const SignalHandlers&) = delete;

 private:
  std::vector<std::pair<int, struct sigaction>> previous_;
};

// As readable events: handlers write to a pipe. One object at a time per signal.
class SignalPipe {
 public:
  explicit SignalPipe(const std::vector<int>& signals);
  ~SignalPipe();
  SignalPipe(const SignalPipe&) = delete;
  int fd() const { return pipe_.read.get(); }  // readable when a signal waits
  std::optional<int> take();                   // the oldest that waits; does not block

 private:
  const std::vector<int> signals_;
  Pipe pipe_;
  std::optional<SignalHandlers> handlers_;
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
