#include "shim/processor.h"

#include <sched.h>
#include <sys/resource.h>

namespace gantry::shim {

int current_processor() { return ::sched_getcpu(); }

void leave_processor() {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  cpu_set_t others = allowed;
  CPU_CLR(static_cast<size_t>(::sched_getcpu()), &others);
  if (CPU_COUNT(&others) == 0 || ::sched_setaffinity(0, sizeof others, &others) != 0) return;
  ::sched_setaffinity(0, sizeof allowed, &allowed);
}

bool Crowding::note(long preemptions) {
  const bool is_crowded = pieces_ > 0 && preemptions - before_ >= kMany;
  if (is_crowded || pieces_ == kSpan) pieces_ = 0;
  if (pieces_++ == 0) before_ = preemptions;
  return is_crowded;
}

long Crowding::preemptions() {
  rusage used{};
  ::getrusage(RUSAGE_THREAD, &used);
  return used.ru_nivcsw;
}

}  // namespace gantry::shim
