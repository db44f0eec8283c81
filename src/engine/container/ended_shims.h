// Shims whose containers have ended. The end of one costs the kernel a millisecond, for its memory and for the container's root
// filesystem that goes with it: a sixth of what a `down` takes. They are let go when no container has ended for a moment.
#pragma once

#include <deque>

#include "base/function.h"
#include "base/ids.h"
#include "base/scheduler.h"

namespace gantry::engine {

// One thread. When this ends, they all are let go.
class EndedShims {
 public:
  explicit EndedShims(Scheduler& scheduler) : scheduler_(scheduler) {}
  ~EndedShims();
  EndedShims(const EndedShims&) = delete;

  // `let_go` is called once, never inside this call.
  void add(const ContainerId& container, Function<void()> let_go);
  // At once: the container's filesystem is about to be mounted anew.
  void let_go(const ContainerId& container);

 private:
  struct Shim {
    ContainerId container;
    Function<void()> let_go;
    MonoTime since;
  };
  void look();
  void let_go_until(MonoTime since);

  Scheduler& scheduler_;
  std::deque<Shim> shims_;  // the oldest first
  Scheduler::TimerId timer_ = 0;
};

}  // namespace gantry::engine
