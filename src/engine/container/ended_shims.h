// Shims whose containers have ended. The end of one costs the kernel a millisecond, for its memory and for the container's root
// filesystem that goes with it: a sixth of what a `down` takes. They are let go when nothing is under way and no container has
// ended, started or been removed for a moment, a few at a time, so that whoever comes then finds the processors free.
#pragma once

#include <deque>
#include <utility>

#include "base/function.h"
#include "base/ids.h"
#include "base/scheduler.h"

namespace gantry::engine {

// One thread. When this ends, they all are let go.
class EndedShims {
 public:
  // `is_busy`: whether something is under way.
  EndedShims(Scheduler& scheduler, Function<bool()> is_busy) : scheduler_(scheduler), is_busy_(std::move(is_busy)) {}
  ~EndedShims();
  EndedShims(const EndedShims&) = delete;

  // `let_go` is called once, never inside this call.
  void add(const ContainerId& container, Function<void()> let_go);
  // A container has started or been removed.
  void note_activity() { busy_at_ = scheduler_.clock().mono(); }
  // At once: the container's filesystem is about to be mounted anew.
  void let_go(const ContainerId& container);

 private:
  struct Shim {
    ContainerId container;
    Function<void()> let_go;
    MonoTime since;
  };
  void look();
  void let_go_of(size_t count);

  Scheduler& scheduler_;
  Function<bool()> is_busy_;
  std::deque<Shim> shims_;  // the oldest first
  MonoTime busy_at_{};      // when something happened last
  Scheduler::TimerId timer_ = 0;
};

}  // namespace gantry::engine
