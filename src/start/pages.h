// The memory of a program that lives for milliseconds, or forks one that does, brought in by a few calls. Touched page by page
// it costs a fault each: in a virtual machine ten to twenty microseconds, of which a start takes a hundred.
//
// Called before the C library has begun, and between fork and exec: needs nothing of it, allocates nothing, sets no errno.
#pragma once

struct clone_args;  // of <linux/sched.h>

namespace gantry::start {

// What the program's file holds: code and constants are mapped, its variables made this process's own, with 8 KB of stack
// below the caller. Of variables that begin as zero up to 64 KB; where there are more, large buffers lie before the others,
// and the last 8 KB are touched. Where the kernel cannot (before Linux 5.14), nothing happens.
void touch_program();

// As above for a forked copy, and the first 256 KB of what malloc has of the break too, where a shim's all is.
void touch_copy();

// clone3(2) of a process with a copy of this memory, which does the same before it runs anything else. Not behind a seccomp filter that
// refuses clone3, as containers' do. → the child's id, 0 in the copy, or an errno's negative.
long clone_and_touch(clone_args& arguments);

}  // namespace gantry::start
