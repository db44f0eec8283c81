// The libuv event loop. One thread runs it and owns all mutable state; other threads only post.
#pragma once

#include <chrono>
#include <future>
#include <memory>

#include "base/fd.h"
#include "base/scheduler.h"

namespace gantry {

class EventLoop final : public Scheduler {
 public:
  EventLoop();
  ~EventLoop() override;  // no watcher may be left; posted actions that did not run are dropped

  // Runs until stop(). The calling thread becomes the loop thread.
  void run();
  // Any thread. run() returns when what was posted before has run.
  void stop();

  const Clock& clock() const override;
  TimerId after(std::chrono::nanoseconds delay, Function<void()> action) override;
  void cancel(TimerId timer) override;
  void post(Function<void()> action) override;
  bool is_loop_thread() const;

  // Runs `question` on the loop thread and waits for its answer. Any thread but the loop's.
  // If the loop ends first, throws nothing and returns a default-made answer: only at shutdown.
  template <class F>
  auto ask(F question) -> std::invoke_result_t<F&> {
    using Answer = std::invoke_result_t<F&>;
    auto promise = std::make_shared<std::promise<Answer>>();
    auto answer = promise->get_future();
    post([promise, question = std::move(question)]() mutable {
      if constexpr (std::is_void_v<Answer>) {
        question();
        promise->set_value();
      } else {
        promise->set_value(question());
      }
    });
    return answer.get();
  }

  // The uv_loop_t*, for base/poll and other watchers only.
  void* uv() const;

 private:
  friend class FdWatcher;
  friend class SignalWatcher;
  struct State;
  std::unique_ptr<State> state_;
};

// Calls back on the loop thread whenever `fd` is readable and/or writable (level-triggered), until destroyed.
// Does not own the descriptor, which must outlive it. Loop thread only.
class FdWatcher {
 public:
  enum Interest { readable = 1, writable = 2 };
  // The argument of `ready` is a set of Interest bits; 0 or a hang-up reads as readable.
  FdWatcher(EventLoop& loop, int fd, int interest, Function<void(int)> ready);
  ~FdWatcher();
  FdWatcher(const FdWatcher&) = delete;
  void set_interest(int interest);  // 0 pauses

 private:
  struct Handle;
  Handle* handle_;  // freed by its close callback
};

// Calls back on the loop thread when the process gets `signal`. Loop thread only.
class SignalWatcher {
 public:
  SignalWatcher(EventLoop& loop, int signal, Function<void()> arrived);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;

 private:
  struct Handle;
  Handle* handle_;
};

}  // namespace gantry
