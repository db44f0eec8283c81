#include "base/tasks.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace gantry {

struct ThreadPool::State {
  explicit State(Scheduler& loop) : loop(loop) {}

  Scheduler& loop;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Function<Function<void()>()>> queue;
  std::vector<std::thread> threads;
  unsigned long_running = 0;
  bool stopping = false;
};

ThreadPool::ThreadPool(Scheduler& loop, unsigned threads) : state_(std::make_unique<State>(loop)) {
  State& state = *state_;
  for (unsigned i = 0; i < threads; ++i) {
    state.threads.emplace_back([&state] {
      std::unique_lock lock(state.mutex);
      for (;;) {
        state.changed.wait(lock, [&] { return state.stopping || !state.queue.empty(); });
        if (state.queue.empty()) return;
        auto work = std::move(state.queue.front());
        state.queue.pop_front();
        lock.unlock();
        state.loop.post(work());
        lock.lock();
      }
    });
  }
}

ThreadPool::~ThreadPool() {
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->changed.notify_all();
  state_->changed.wait(lock, [&] { return state_->long_running == 0; });
  lock.unlock();
  for (std::thread& thread : state_->threads) thread.join();
}

void ThreadPool::start(Kind kind, Function<Function<void()>()> work) {
  State& state = *state_;
  std::lock_guard lock(state.mutex);
  if (kind == Kind::short_work) {
    state.queue.push_back(std::move(work));
    state.changed.notify_one();
    return;
  }
  ++state.long_running;
  std::thread([&state, work = std::move(work)]() mutable {
    state.loop.post(work());
    std::lock_guard done(state.mutex);
    --state.long_running;
    state.changed.notify_all();
  }).detach();
}

}  // namespace gantry
