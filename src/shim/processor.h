// On which processor a thread runs, where two of ours must not share one: the kernel sees only that all are in use, and leaves
// threads that wait for each other where they are for longer than most bursts last.
#pragma once

namespace gantry::shim {

// Of the calling thread, at this moment.
int current_processor();

// The calling thread goes on on another one, if it may use more than this; which it may use stays as it is. Takes as long as ten
// small system calls.
void leave_processor();

// Whether somebody else wants the processor of a thread that seldom waits. Asked once for each piece of its work, by that thread.
class Crowding {
 public:
  // Preempted kMany times in kSpan pieces: not by chance. Says it once for those.
  static constexpr int kSpan = 16;
  static constexpr long kMany = 2;

  bool is_crowded() { return note(preemptions()); }
  // `preemptions`: of the thread since its begin.
  bool note(long preemptions);

 private:
  static long preemptions();

  long before_ = 0;
  int pieces_ = 0;  // of this span
};

}  // namespace gantry::shim
