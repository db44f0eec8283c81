#include "compose/plan_hook.h"

namespace gantry::compose {

void before_run(Plan&, const ProgressSink*) {}

}  // namespace gantry::compose
