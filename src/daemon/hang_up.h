// Tells when a client goes away while its connection's thread blocks in something else (a build, a log that is
// followed). One thread with epoll for all of them. Any thread may use it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace gantry::daemon {

class HangUpWatcher {
 public:
  HangUpWatcher();
  ~HangUpWatcher();  // no Watch may be left

  // Calls `gone` once, on the watcher's thread, when the client of `socket` has closed its sending side or the whole
  // connection. After the Watch has been destroyed it is not called any more, and does not run.
  class Watch {
   public:
    Watch(HangUpWatcher& watcher, int socket, std::function<void()> gone);
    ~Watch();
    Watch(const Watch&) = delete;

   private:
    HangUpWatcher& watcher_;
    int socket_;
    uint64_t number_ = 0;
  };

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gantry::daemon
