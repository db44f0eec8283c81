// Memory for a program that lives for milliseconds and grows to a megabyte or two: where its time goes is page faults, which in a
// virtual machine cost ten microseconds and more each.
#pragma once

namespace gantry {

// Makes malloc keep what it has, and go on in a page of 2 MB where the kernel has one at hand: one fault in place of a hundred.
// For main(), before there are threads. Does nothing where that is not to be had.
void prepare_short_heap();

}  // namespace gantry
