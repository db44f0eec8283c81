// Blocking work off the loop: a value goes in, a value comes back.
#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/function.h"
#include "base/scheduler.h"

namespace gantry {

class Tasks {
 public:
  virtual ~Tasks() = default;

  // Runs `work` on a worker thread, then hands its result to `done` on the loop thread.
  // `work` must not touch loop-owned state. A thread that calls setns or unshare must not be one of these.
  template <class Work, class Done>
  void run(Work work, Done done) {
    start(Kind::short_work, package(std::move(work), std::move(done)));
  }
  // As `run`, for work that may take seconds (transfers, builds): gets a thread of its own,
  // so that it never keeps short work waiting.
  template <class Work, class Done>
  void run_long(Work work, Done done) {
    start(Kind::long_work, package(std::move(work), std::move(done)));
  }

 protected:
  enum class Kind { short_work, long_work };
  // Calls `work` on a worker; what it returns is run on the loop thread.
  virtual void start(Kind kind, Function<Function<void()>()> work) = 0;

 private:
  template <class Work, class Done>
  static Function<Function<void()>()> package(Work work, Done done) {
    using Value = std::invoke_result_t<Work&>;
    return [work = std::move(work), done = std::move(done)]() mutable -> Function<void()> {
      if constexpr (std::is_void_v<Value>) {
        work();
        return std::move(done);
      } else {
        return [done = std::move(done), value = work()]() mutable { done(std::move(value)); };
      }
    };
  }
};

// `threads` workers for short work, started at once; long work gets threads of its own.
// The destructor waits for running work; results that arrive later than the loop's end are dropped.
class ThreadPool final : public Tasks {
 public:
  ThreadPool(Scheduler& loop, unsigned threads);
  ~ThreadPool() override;

 protected:
  void start(Kind kind, Function<Function<void()>()> work) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gantry
