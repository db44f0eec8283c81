// What a child has for itself while it runs in the supervisor's memory (clone(2), CLONE_VM): a stack, thread-local variables, and a
// heap. To copy the supervisor instead costs both a page fault for every page that either touches afterwards.
//
// Unlike vfork(2) the supervisor goes on meanwhile. What keeps the two apart:
// - operator new takes from the child's heap in the child, and delete does nothing there; malloc() itself is not the child's.
// - errno and what is thread_local are the child's own. Of what else the supervisor has, the child reads only what is given to it
//   and stays as it is until the child's program runs.
// - Nobody in the container can trace the child: the memory is not dumpable (main.cc), and where somebody may trace all the same
//   the child gets a copy.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace gantry::shim {

class ChildMemory {
 public:
  // None with errno set.
  static std::unique_ptr<ChildMemory> make();
  // Also for clear(): once no child runs in it, which is so when its descriptors that close at exec are closed.
  ~ChildMemory();
  ChildMemory(const ChildMemory&) = delete;

  // As new, for the next child.
  void clear();
  // Of the child's heap, for 16 bytes' alignment; it lives as long as this, or to clear(). Ends the process if there is none.
  void* take(size_t size);

 private:
  friend pid_t clone_child(uint64_t, int, ChildMemory&, void (*)(void*), void*);
  struct Piece;

  explicit ChildMemory(char* begin) : begin_(begin) { place(); }
  void place();
  void drop_pieces();

  char* const begin_;
  char* next_ = nullptr;
  char* end_ = nullptr;
  Piece* pieces_ = nullptr;  // beyond the first
  uintptr_t thread_pointer_ = 0;
};

// clone3 with `flags`, the v2 cgroup directory `cgroup` unless it is negative, and SIGCHLD at its end. With CLONE_VM the child runs
// in our memory; without it in a copy, as after fork. It calls `run`, which never returns, on the stack of `memory`; signals are
// blocked as they are here. -1 with errno set on failure.
pid_t clone_child(uint64_t flags, int cgroup, ChildMemory& memory, void (*run)(void*), void* argument);

// Where operator new takes from in this thread: a child's heap, or null for malloc().
extern thread_local ChildMemory* child_heap;

}  // namespace gantry::shim
