// The memory of a program that lives for milliseconds, brought in by a few calls. Touched page by page it costs a fault each: in a
// virtual machine ten to twenty microseconds, of which a start takes a hundred.
//
// Called before the C library has begun: needs nothing of it, allocates nothing, sets no errno.
#pragma once

namespace gantry::start {

// What the program's file holds: code and constants are mapped (not the tables for unwinding), its variables made this
// process's own, with 16 KB of stack below the caller. Variables that begin as zero as well, with the first 8 KB of the heap
// behind them (heap.cc); where there are very many, large buffers lie before the others, and the last 8 KB are touched. Where
// the kernel cannot (before Linux 5.14), nothing happens.
void touch_program();

}  // namespace gantry::start
