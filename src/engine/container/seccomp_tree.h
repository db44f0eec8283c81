// The same seccomp filter with fewer instructions. The kernel turns the whole program into machine code each time that it is
// loaded, for every container and every exec: with libseccomp's 1,300 instructions that takes half as long as all else that
// a process does before it runs the container's program. Pure.
#pragma once

#include <linux/filter.h>
#include <seccomp.h>

#include <span>
#include <string>
#include <vector>

namespace gantry::engine {

// Of a filter of libseccomp.
struct ReleaseFilter {
  void operator()(void* filter) const { ::seccomp_release(filter); }
};

// Decides as `program` does, for every architecture, call and argument: an architecture at a time by a binary search over
// ranges of call numbers, and behind it those of the program's own instructions that look at arguments. Comparisons of
// constants and nothing else come before these, so that the kernel can tell beforehand which calls are always allowed
// (seccomp_is_const_allow in kernel/seccomp.c). As it came, if it does more with a call's number than to compare it, or
// would not become shorter.
std::vector<sock_filter> as_search_tree(std::span<const sock_filter> program);
// The same for a program as bytes.
std::string as_search_tree(const std::string& program);

}  // namespace gantry::engine
