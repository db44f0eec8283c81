// Called with every plan just before it is run. The daemon's does nothing; the simulation is linked with one of its own
// (tests/sim), which looks at every plan, and spoils those of controllers that must be caught. Loop thread only.
#pragma once

#include "compose/controller.h"
#include "compose/plan.h"

namespace gantry::compose {

// `asked_by`: the sink of the command; nullptr: a repair, or what goes on after the daemon's end.
void before_run(Plan& plan, const ProgressSink* asked_by);

}  // namespace gantry::compose
