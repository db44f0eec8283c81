#include "start/pages.h"

#include <elf.h>
#include <link.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstdint>

// The linker's name for the first byte of the program.
extern "C" [[gnu::visibility("hidden")]] const ElfW(Ehdr) __ehdr_start;

#ifdef GANTRY_FUNCTIONS_IN_ORDER
// Where the functions end that a start runs: what lies behind is not brought in. Its place is in the program's .order file.
extern "C" [[gnu::visibility("hidden"), gnu::used, gnu::section(".text.gantry_start_ends")]] void gantry_start_ends() {}
#endif

namespace gantry::start {
namespace {

constexpr uintptr_t kPage = 4096;
constexpr uintptr_t kMostZeros = 64 << 10;
constexpr uintptr_t kLastZeros = 8 << 10;
constexpr uintptr_t kStack = 8 << 10;
constexpr uintptr_t kMostHeap = 256 << 10;

// Of Linux 5.14; Debian 12's <sys/mman.h> has them for x86 and ARM alike.
constexpr long kMap = MADV_POPULATE_READ;
constexpr long kMakeOwn = MADV_POPULATE_WRITE;

uintptr_t heap_begin = 0;  // the break before malloc moved it

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

uintptr_t current_break() { return static_cast<uintptr_t>(system_call(SYS_brk, 0, 0, 0)); }

// What is to be touched by one call.
struct Range {
  uintptr_t begin;
  uintptr_t end;
  uintptr_t read_only_end;  // of variables: their begin may only be read once the C library has started
  long how;
};

// Nothing here may become a call of memset or the like, which the C library has yet to choose.
struct Plan {
  Range ranges[12];
  unsigned count;

  void add(uintptr_t begin, uintptr_t end, long how, uintptr_t read_only_end = 0) {
    begin &= ~(kPage - 1);
    if (begin >= end || count == sizeof ranges / sizeof ranges[0]) return;
    Range& range = ranges[count++];
    range.begin = begin;
    range.end = end;
    range.read_only_end = read_only_end;
    range.how = how;
  }
};

[[gnu::always_inline]] inline long touch(uintptr_t begin, uintptr_t end, long how) {
  return system_call(SYS_madvise, begin, end - begin, how);
}

// Inlined, and without a call: a copy that has nothing yet is to need one page of code for it.
[[gnu::always_inline]] inline void carry_out(const Plan& plan) {
  for (unsigned i = 0; i < plan.count; ++i) {
    const Range& range = plan.ranges[i];
    if (touch(range.begin, range.end, range.how) == 0) continue;
    if (range.read_only_end > range.begin && range.read_only_end < range.end) {
      touch(range.read_only_end & ~(kPage - 1), range.end, range.how);
    }
  }
}

// Of the code from `begin` to `end`.
uintptr_t end_of_start([[maybe_unused]] uintptr_t begin, uintptr_t end) {
#ifdef GANTRY_FUNCTIONS_IN_ORDER
  const auto last = reinterpret_cast<uintptr_t>(&gantry_start_ends);
  if (last > begin && last < end) return last;
#endif
  return end;
}

void add_segments(Plan& plan) {
  const auto base = reinterpret_cast<uintptr_t>(&__ehdr_start);
  const auto* segments = reinterpret_cast<const ElfW(Phdr)*>(base + __ehdr_start.e_phoff);
  const auto* segments_end = segments + __ehdr_start.e_phnum;
  uintptr_t first = 0;  // the address that the file means for its first byte
  uintptr_t read_only_end = 0;
  for (const auto* segment = segments_end; segment-- != segments;) {
    if (segment->p_type == PT_LOAD) first = segment->p_vaddr;
    if (segment->p_type == PT_GNU_RELRO) read_only_end = segment->p_vaddr + segment->p_memsz;
  }
  const uintptr_t shift = base - first;
  for (const auto* at = segments; at != segments_end; ++at) {
    const ElfW(Phdr)& segment = *at;
    if (segment.p_type != PT_LOAD) continue;
    const uintptr_t begin = shift + segment.p_vaddr;
    const uintptr_t end = begin + segment.p_memsz;
    const bool is_written = (segment.p_flags & PF_W) != 0;
    if ((segment.p_flags & PF_X) != 0) {
      plan.add(begin, end_of_start(begin, end), kMap);
    } else if (!is_written) {
      plan.add(begin, end, kMap);
    } else if (segment.p_memsz - segment.p_filesz <= kMostZeros) {
      plan.add(begin, end, kMakeOwn, shift + read_only_end);
    } else {
      plan.add(begin, begin + segment.p_filesz, kMakeOwn, shift + read_only_end);
      plan.add(end - kLastZeros, end, kMakeOwn);
    }
  }
}

void add_stack(Plan& plan) {
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  plan.add(here - kStack, here, kMakeOwn);
}

void add_heap(Plan& plan) {
  if (heap_begin == 0) return;
  const uintptr_t end = current_break();
  plan.add(heap_begin, end - heap_begin < kMostHeap ? end : heap_begin + kMostHeap, kMakeOwn);
}

[[gnu::always_inline]] inline void plan_copy(Plan& plan) {
  plan.count = 0;
  add_stack(plan);
  add_segments(plan);
  add_heap(plan);
}

}  // namespace

void touch_program() {
  heap_begin = current_break();
  Plan plan;
  plan.count = 0;
  add_segments(plan);
  add_stack(plan);
  carry_out(plan);
}

void touch_copy() {
  Plan plan;
  plan_copy(plan);
  carry_out(plan);
}

long clone_and_touch(clone_args& arguments) {
  Plan plan;
  plan_copy(plan);
  const long child = system_call(SYS_clone3, reinterpret_cast<uintptr_t>(&arguments), sizeof arguments, 0);
  if (child == 0) carry_out(plan);
  return child;
}

}  // namespace gantry::start
