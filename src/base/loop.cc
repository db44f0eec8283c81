#include "base/loop.h"

#include <uv.h>

#include <deque>
#include <map>
#include <mutex>
#include <thread>

namespace gantry {
namespace {

// Rounded up: a timer must never fire before its time.
uint64_t to_milliseconds(std::chrono::nanoseconds delay) {
  if (delay.count() <= 0) return 0;
  return static_cast<uint64_t>((delay.count() + 999'999) / 1'000'000);
}

}  // namespace

struct EventLoop::State {
  uv_loop_t loop{};
  uv_async_t wake{};
  SystemClock clock;
  std::thread::id thread;

  std::mutex mutex;
  std::deque<Function<void()>> posted;  // guarded by mutex
  bool stop_asked = false;              // guarded by mutex

  struct Timer {
    uv_timer_t handle{};
    State* state = nullptr;
    TimerId id = 0;
    Function<void()> action;
  };
  TimerId next_timer = 1;
  std::map<TimerId, Timer*> timers;  // each freed by its close callback

  void run_posted() {
    for (;;) {
      std::deque<Function<void()>> batch;
      bool stop = false;
      {
        std::lock_guard lock(mutex);
        batch.swap(posted);
        stop = batch.empty() && stop_asked;
      }
      if (stop) uv_stop(&loop);
      if (batch.empty()) return;
      for (auto& action : batch) action();
    }
  }

  void close_timer(std::map<TimerId, Timer*>::iterator at) {
    Timer* timer = at->second;
    timers.erase(at);
    uv_close(reinterpret_cast<uv_handle_t*>(&timer->handle),
             [](uv_handle_t* handle) { delete static_cast<Timer*>(handle->data); });
  }
};

EventLoop::EventLoop() : state_(std::make_unique<State>()) {
  CHECK(uv_loop_init(&state_->loop) == 0);
  state_->wake.data = state_.get();
  CHECK(uv_async_init(&state_->loop, &state_->wake, [](uv_async_t* wake) {
          static_cast<State*>(wake->data)->run_posted();
        }) == 0);
}

EventLoop::~EventLoop() {
  while (!state_->timers.empty()) state_->close_timer(state_->timers.begin());
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->wake), nullptr);
  uv_run(&state_->loop, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&state_->loop) == 0);
}

void EventLoop::run() {
  state_->thread = std::this_thread::get_id();
  state_->run_posted();
  uv_run(&state_->loop, UV_RUN_DEFAULT);
}

void EventLoop::stop() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stop_asked = true;
  }
  uv_async_send(&state_->wake);
}

const Clock& EventLoop::clock() const { return state_->clock; }
bool EventLoop::is_loop_thread() const { return state_->thread == std::this_thread::get_id(); }
void* EventLoop::uv() const { return &state_->loop; }

Scheduler::TimerId EventLoop::after(std::chrono::nanoseconds delay, Function<void()> action) {
  auto* timer = new State::Timer;
  timer->state = state_.get();
  timer->id = state_->next_timer++;
  timer->action = std::move(action);
  timer->handle.data = timer;
  uv_timer_init(&state_->loop, &timer->handle);
  uv_update_time(&state_->loop);  // the loop's idea of now is as old as its last wake-up
  uv_timer_start(
      &timer->handle,
      [](uv_timer_t* handle) {
        auto* fired = static_cast<State::Timer*>(handle->data);
        auto action = std::move(fired->action);
        fired->state->close_timer(fired->state->timers.find(fired->id));
        action();
      },
      to_milliseconds(delay), 0);
  state_->timers.emplace(timer->id, timer);
  return timer->id;
}

void EventLoop::cancel(TimerId timer) {
  auto at = state_->timers.find(timer);
  if (at != state_->timers.end()) state_->close_timer(at);
}

void EventLoop::post(Function<void()> action) {
  {
    std::lock_guard lock(state_->mutex);
    state_->posted.push_back(std::move(action));
  }
  uv_async_send(&state_->wake);
}

struct FdWatcher::Handle {
  uv_poll_t poll{};
  Function<void(int)> ready;
  bool closed = false;

  static void on_ready(uv_poll_t* poll, int status, int events) {
    auto* handle = static_cast<Handle*>(poll->data);
    int interest = 0;
    if (status < 0 || (events & (UV_READABLE | UV_DISCONNECT)) != 0) interest |= readable;
    if (status >= 0 && (events & UV_WRITABLE) != 0) interest |= writable;
    handle->ready(interest);
  }
};

FdWatcher::FdWatcher(EventLoop& loop, int fd, int interest, Function<void(int)> ready) : handle_(new Handle) {
  handle_->ready = std::move(ready);
  handle_->poll.data = handle_;
  CHECK(uv_poll_init(static_cast<uv_loop_t*>(loop.uv()), &handle_->poll, fd) == 0);
  set_interest(interest);
}

void FdWatcher::set_interest(int interest) {
  if (interest == 0) {
    uv_poll_stop(&handle_->poll);
    return;
  }
  int events = 0;
  if ((interest & readable) != 0) events |= UV_READABLE | UV_DISCONNECT;
  if ((interest & writable) != 0) events |= UV_WRITABLE;
  uv_poll_start(&handle_->poll, events, &Handle::on_ready);
}

FdWatcher::~FdWatcher() {
  uv_poll_stop(&handle_->poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->poll),
           [](uv_handle_t* handle) { delete static_cast<Handle*>(handle->data); });
}

struct SignalWatcher::Handle {
  uv_signal_t signal{};
  Function<void()> arrived;
};

SignalWatcher::SignalWatcher(EventLoop& loop, int signal, Function<void()> arrived) : handle_(new Handle) {
  handle_->arrived = std::move(arrived);
  handle_->signal.data = handle_;
  CHECK(uv_signal_init(static_cast<uv_loop_t*>(loop.uv()), &handle_->signal) == 0);
  CHECK(uv_signal_start(
            &handle_->signal, [](uv_signal_t* fired, int) { static_cast<Handle*>(fired->data)->arrived(); },
            signal) == 0);
}

SignalWatcher::~SignalWatcher() {
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->signal),
           [](uv_handle_t* handle) { delete static_cast<Handle*>(handle->data); });
}

}  // namespace gantry
