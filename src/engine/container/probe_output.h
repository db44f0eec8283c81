// Collects the beginning of what a health probe prints, and lets the rest pass. Loop thread only.
#pragma once

#include <memory>
#include <string>

#include "base/fd.h"
#include "base/loop.h"
#include "engine/container/runtime.h"

namespace gantry::engine {

class ProbeOutput {
 public:
  ProbeOutput(EventLoop& loop, ExecStreams streams);
  ~ProbeOutput();
  ProbeOutput(const ProbeOutput&) = delete;

  // What has come so far, with what lies in the pipes; at most a little more than HealthTracker keeps.
  std::string take();

 private:
  struct Stream {
    Fd fd;
    std::unique_ptr<FdWatcher> watcher;  // ends before the descriptor
  };
  void watch(EventLoop& loop, Stream& stream, Fd fd);
  void drain(Stream& stream);

  Stream out_;
  Stream err_;
  std::string text_;
};

}  // namespace gantry::engine
