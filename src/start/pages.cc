#include "start/pages.h"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstdint>

// The linker's name for the first byte of the program.
extern "C" [[gnu::visibility("hidden")]] const ElfW(Ehdr) __ehdr_start;

namespace gantry::start {
namespace {

constexpr uintptr_t kPage = 4096;
constexpr uintptr_t kMostZeros = 64 << 10;
constexpr uintptr_t kLastZeros = 8 << 10;
constexpr uintptr_t kStack = 8 << 10;

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

bool touch(uintptr_t begin, uintptr_t end, long how) {
  begin &= ~(kPage - 1);
  return begin >= end || system_call(SYS_madvise, begin, end - begin, how) == 0;
}

// Some linkers begin the variables' segment with what may only be read once the C library has started.
void touch_variables(uintptr_t begin, uintptr_t end, uintptr_t read_only_end) {
  if (touch(begin, end, kMakeOwn) || read_only_end <= begin || read_only_end >= end) return;
  touch(read_only_end, end, kMakeOwn);
}

void touch_segments() {
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
    if ((segment.p_flags & PF_W) == 0) {
      touch(begin, begin + segment.p_memsz, kMap);
      continue;
    }
    const uintptr_t end = begin + segment.p_memsz;
    if (segment.p_memsz - segment.p_filesz <= kMostZeros) {
      touch_variables(begin, end, shift + read_only_end);
      continue;
    }
    touch_variables(begin, begin + segment.p_filesz, shift + read_only_end);
    touch(end - kLastZeros, end, kMakeOwn);
  }
}

void touch_stack() {
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  touch(here - kStack, here, kMakeOwn);
}

}  // namespace

void touch_program() {
  heap_begin = current_break();
  touch_segments();
  touch_stack();
}

void touch_copy() {
  touch_segments();
  touch_stack();
  if (heap_begin != 0) touch(heap_begin, current_break(), kMakeOwn);
}

}  // namespace gantry::start
