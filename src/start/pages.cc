#include "start/pages.h"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstdint>

// The linker's name for the first byte of the program.
extern "C" [[gnu::visibility("hidden")]] const ElfW(Ehdr) __ehdr_start;

#ifdef GANTRY_FUNCTIONS_IN_ORDER
// Where the functions end that a start runs: what lies behind is not brought in. Its place is in the program's .order file.
extern "C" [[gnu::visibility("hidden"), gnu::used, gnu::section(".text.gantry_start_ends")]] void gantry_start_ends() {}
#endif
#ifdef GANTRY_OWN_HEAP
extern "C" [[gnu::visibility("hidden")]] char gantry_heap[];  // see heap.cc: behind all variables
#endif

namespace gantry::start {
namespace {

constexpr uintptr_t kPage = 4096;
constexpr uintptr_t kMostZeros = 64 << 10;
constexpr uintptr_t kLastZeros = 8 << 10;
constexpr uintptr_t kStack = 16 << 10;
#ifdef GANTRY_OWN_HEAP
constexpr uintptr_t kFirstHeap = 8 << 10;  // the C library's start takes that; then comes C++'s reserve for exceptions, untouched
#endif

// Of Linux 5.14; Debian 12's <sys/mman.h> has them for x86 and ARM alike.
constexpr long kMap = MADV_POPULATE_READ;
constexpr long kMakeOwn = MADV_POPULATE_WRITE;

#if defined(__x86_64__)
long system_call(long number, uintptr_t first, uintptr_t second, long third) {
  long result = number;
  asm volatile("syscall" : "+a"(result) : "D"(first), "S"(second), "d"(third) : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
long system_call(long number, uintptr_t first, uintptr_t second, long third) {
  register long x8 asm("x8") = number;
  register uintptr_t x0 asm("x0") = first;
  register uintptr_t x1 asm("x1") = second;
  register long x2 asm("x2") = third;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return static_cast<long>(x0);
}
#endif

// `read_only_end`: of variables, whose begin may only be read once the C library has started. Nothing here may become a call of
// memset or the like, which the C library has yet to choose.
void touch(uintptr_t begin, uintptr_t end, long how, uintptr_t read_only_end = 0) {
  begin &= ~(kPage - 1);
  if (begin >= end || system_call(SYS_madvise, begin, end - begin, how) == 0) return;
  if (read_only_end <= begin || read_only_end >= end) return;
  begin = read_only_end & ~(kPage - 1);
  system_call(SYS_madvise, begin, end - begin, how);
}

// Of the code from `begin` to `end`.
uintptr_t end_of_start([[maybe_unused]] uintptr_t begin, uintptr_t end) {
#ifdef GANTRY_FUNCTIONS_IN_ORDER
  const auto last = reinterpret_cast<uintptr_t>(&gantry_start_ends);
  if (last > begin && last < end) return last;
#endif
  return end;
}

// Of the variables from `begin` to `end`: with the first of the heap behind them, if there is one.
uintptr_t end_of_variables([[maybe_unused]] uintptr_t begin, uintptr_t end) {
#ifdef GANTRY_OWN_HEAP
  const auto heap = reinterpret_cast<uintptr_t>(&gantry_heap);
  if (heap > begin && heap + kFirstHeap < end) return heap + kFirstHeap;
#endif
  return end;
}

void touch_segments() {
  const auto base = reinterpret_cast<uintptr_t>(&__ehdr_start);
  const auto* segments = reinterpret_cast<const ElfW(Phdr)*>(base + __ehdr_start.e_phoff);
  const auto* segments_end = segments + __ehdr_start.e_phnum;
  uintptr_t first = 0;  // the address that the file means for its first byte
  uintptr_t read_only_end = 0;
  uintptr_t unwinding = 0;  // tables that nobody reads who throws nothing: the end of the constants
  for (const auto* segment = segments_end; segment-- != segments;) {
    if (segment->p_type == PT_LOAD) first = segment->p_vaddr;
    if (segment->p_type == PT_GNU_RELRO) read_only_end = segment->p_vaddr + segment->p_memsz;
    if (segment->p_type == PT_GNU_EH_FRAME) unwinding = segment->p_vaddr;
  }
  const uintptr_t shift = base - first;
  unwinding += shift;
  for (const auto* at = segments; at != segments_end; ++at) {
    const ElfW(Phdr)& segment = *at;
    if (segment.p_type != PT_LOAD) continue;
    const uintptr_t begin = shift + segment.p_vaddr;
    const uintptr_t end = begin + segment.p_memsz;
    const bool is_written = (segment.p_flags & PF_W) != 0;
    if ((segment.p_flags & PF_X) != 0) {
      touch(begin, end_of_start(begin, end), kMap);
      touch(end - 1, end, kMap);  // the jumps to those functions of the C library that are chosen for the processor
    } else if (!is_written) {
      touch(begin, unwinding > begin && unwinding < end ? unwinding : end, kMap);
    } else if (const uintptr_t last = end_of_variables(begin, end); last - begin - segment.p_filesz <= kMostZeros) {
      touch(begin, last, kMakeOwn, shift + read_only_end);
    } else {
      touch(begin, begin + segment.p_filesz, kMakeOwn, shift + read_only_end);
      touch(last - kLastZeros, last, kMakeOwn);
    }
  }
}

void touch_stack() {
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  touch(here - kStack, here, kMakeOwn);
}

}  // namespace

void touch_program() {
  touch_segments();
  touch_stack();
}

}  // namespace gantry::start
