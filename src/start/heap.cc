// The heap of a program that lives for milliseconds: it begins right behind the program's variables. Where the kernel puts the
// heap of a static program at an address of its choice, half the address space away, three more pages of page tables are made,
// touched and given back in each process, a quarter of a millisecond on a virtual machine.
#include <cerrno>
#include <cstddef>

namespace {

// Beyond it malloc maps its memory.
constexpr size_t kHeap = 16 << 20;

}  // namespace

extern "C" {

// A section of its own, which the linker puts behind all variables (heap.ld): start/pages.cc brings in what lies before it.
[[gnu::visibility("hidden")]] extern char gantry_heap[];
asm(R"(
  .section .gantry_heap,"aw",%nobits
  .globl gantry_heap
  .hidden gantry_heap
  .balign 16
gantry_heap:
  .zero 16777216
  .previous
)");
static_assert(kHeap == 16777216, "as in the section above");

// The C library's own name for where the heap ends.
[[gnu::visibility("hidden")]] void* __curbrk = gantry_heap;

// In place of the C library's, which malloc and the C library's start ask for more heap. What was given stays: malloc takes new
// heap for zeros.
[[gnu::visibility("hidden")]] int __brk(void* end) {
  if (end < __curbrk || end > static_cast<void*>(gantry_heap + kHeap)) {
    errno = ENOMEM;
    return -1;
  }
  __curbrk = end;
  return 0;
}
}
