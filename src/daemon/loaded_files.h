// What the dynamic loader read of the program and its libraries: tables of symbols and relocations, two megabytes of them,
// which nobody needs once the program runs.
#pragma once

namespace gantry::daemon {

// Gives the read-only data of all loaded files back to the kernel. What is needed again comes back from its cache, at the cost
// of a page fault. Any thread.
void give_back_loaded_tables();

}  // namespace gantry::daemon
