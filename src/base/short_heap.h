// Memory for a program that lives for milliseconds and grows to a megabyte or two: where its time goes is page faults, which in a
// virtual machine cost ten microseconds and more each.
#pragma once

namespace gantry {

// Makes malloc keep what it has, and has the next 48 KB of it brought in at once, which short commands do with. For main(), before
// there are threads.
void prepare_short_heap();

// Before work that takes a megabyte: malloc goes on in a page of 2 MB, where the kernel has one at hand, which is one fault in place of
// a hundred. Any thread; the second time, and where that is not to be had, nothing happens.
void expect_large_heap();

// Whether the kernel has huge pages to spare. Where they are rare it would move others' pages to make one, and that takes longer than
// all the small faults.
bool has_huge_pages_at_hand();

}  // namespace gantry
