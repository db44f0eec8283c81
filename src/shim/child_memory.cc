#include "shim/child_memory.h"

#include <elf.h>
#include <link.h>
#include <linux/sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>

// The system call's result. In the child `run` is called.
extern "C" [[gnu::visibility("hidden")]] long gantry_clone3(const clone_args* arguments, size_t size, void (*run)(void*),
                                                            void* argument);

namespace gantry::shim {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kAlignment = 16;
// From the lowest address on: what nothing may be written to, the stack, the thread's part, the heap.
constexpr size_t kGuard = kPage;
constexpr size_t kStack = 128 << 10;
constexpr size_t kThread = 2 * kPage;
constexpr size_t kHeap = 64 << 10;
constexpr size_t kWhole = kGuard + kStack + kThread + kHeap;
// What every child touches, on both sides of the stack's upper end: brought in at once.
constexpr size_t kTouchedStack = 2 * kPage;
constexpr size_t kTouchedHeap = 2 * kPage;
constexpr size_t kPiece = 1 << 20;

// The block of thread-local variables that the program's file describes.
struct ThreadLocals {
  size_t size = 0;
  size_t alignment = 1;
};

ThreadLocals thread_locals() {
  const auto* segment = reinterpret_cast<const ElfW(Phdr)*>(::getauxval(AT_PHDR));
  for (size_t left = ::getauxval(AT_PHNUM); left > 0; --left, ++segment) {
    if (segment->p_type == PT_TLS) return {segment->p_memsz, segment->p_align};
  }
  return {};
}

size_t round_up(size_t size, size_t alignment) { return (size + alignment - 1) / alignment * alignment; }

// A thread's part as the ABI lays it out ("ELF Handling For Thread-Local Storage"), for a program without dynamic libraries. Of the
// C library's own descriptor there is what the compiler's code and single-threaded callers read; the rest is zero.
#if defined(__x86_64__)

// Below the thread pointer the variables, from it on the descriptor: its address at 0 and 16, the stack's canary at 40, the key of
// mangled pointers at 48.
constexpr size_t kDescriptorHead = 64;

uintptr_t place_thread(char* room) {
  const ThreadLocals locals = thread_locals();
  const size_t below = round_up(locals.size, std::max(locals.alignment, kDescriptorHead));
  if (below > kThread / 2) abort();
  char* pointer = room + kThread / 2;
  const char* own;
  asm("mov %%fs:0, %0" : "=r"(own));
  memcpy(pointer - below, own - below, below + kDescriptorHead);
  memcpy(pointer, &pointer, sizeof pointer);
  memcpy(pointer + 16, &pointer, sizeof pointer);
  return reinterpret_cast<uintptr_t>(pointer);
}

// The child begins behind the call, with an empty stack: its registers are as ours.
asm(R"(
  .text
  .globl gantry_clone3
  .hidden gantry_clone3
  .type gantry_clone3, @function
gantry_clone3:
  mov %rcx, %r8
  mov $435, %eax
  syscall
  test %rax, %rax
  jz 1f
  ret
1:
  xor %ebp, %ebp
  mov %r8, %rdi
  call *%rdx
  hlt
  .size gantry_clone3, . - gantry_clone3
)");

#elif defined(__aarch64__)

// Below the thread pointer the descriptor, from it on two words and the variables.
uintptr_t place_thread(char* room) {
  const ThreadLocals locals = thread_locals();
  const size_t above = round_up(2 * sizeof(void*), locals.alignment) + locals.size;
  if (above > kThread / 2) abort();
  char* pointer = room + kThread / 2;
  const char* own;
  asm("mrs %0, tpidr_el0" : "=r"(own));
  memcpy(pointer, own, above);
  return reinterpret_cast<uintptr_t>(pointer);
}

asm(R"(
  .text
  .globl gantry_clone3
  .hidden gantry_clone3
  .type gantry_clone3, %function
gantry_clone3:
  mov x8, #435
  svc #0
  cbz x0, 1f
  ret
1:
  mov x29, #0
  mov x0, x3
  blr x2
  brk #0
  .size gantry_clone3, . - gantry_clone3
)");

#endif

}  // namespace

thread_local ChildMemory* child_heap = nullptr;

struct ChildMemory::Piece {
  Piece* next;
  size_t size;
};

std::unique_ptr<ChildMemory> ChildMemory::make() {
  void* begin = ::mmap(nullptr, kWhole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (begin == MAP_FAILED) return nullptr;
  char* first = static_cast<char*>(begin);
  ::mprotect(first, kGuard, PROT_NONE);
  ::madvise(first + kGuard + kStack - kTouchedStack, kTouchedStack + kThread + kTouchedHeap, MADV_POPULATE_WRITE);
  return std::unique_ptr<ChildMemory>(new ChildMemory(first));
}

ChildMemory::~ChildMemory() {
  drop_pieces();
  ::munmap(begin_, kWhole);
}

void ChildMemory::clear() {
  drop_pieces();
  memset(begin_ + kGuard + kStack, 0, kThread);
  place();
}

void ChildMemory::place() {
  next_ = begin_ + kGuard + kStack + kThread;
  end_ = begin_ + kWhole;
  thread_pointer_ = place_thread(begin_ + kGuard + kStack);
}

void ChildMemory::drop_pieces() {
  while (Piece* piece = pieces_) {
    pieces_ = piece->next;
    ::munmap(piece, piece->size);
  }
}

void* ChildMemory::take(size_t size) {
  const size_t needed = round_up(size, kAlignment);
  if (needed < size) abort();
  if (needed > static_cast<size_t>(end_ - next_)) {
    const size_t whole = std::max(kPiece, round_up(needed + round_up(sizeof(Piece), kAlignment), kPage));
    void* begin = ::mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (begin == MAP_FAILED || whole < needed) abort();
    pieces_ = new (begin) Piece{pieces_, whole};
    next_ = static_cast<char*>(begin) + round_up(sizeof(Piece), kAlignment);
    end_ = static_cast<char*>(begin) + whole;
  }
  char* taken = next_;
  next_ += needed;
  return taken;
}

namespace {

struct Begin {
  ChildMemory* memory;
  void (*run)(void*);
  void* argument;
};

void enter(void* argument) {
  const Begin begin = *static_cast<const Begin*>(argument);
  child_heap = begin.memory;
  begin.run(begin.argument);
  ::_exit(128);
}

}  // namespace

pid_t clone_child(uint64_t flags, int cgroup, ChildMemory& memory, void (*run)(void*), void* argument) {
  auto* begin = new (memory.take(sizeof(Begin))) Begin{&memory, run, argument};
  clone_args arguments{};
  arguments.flags = flags | CLONE_SETTLS;
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<uintptr_t>(memory.begin_) + kGuard;
  arguments.stack_size = kStack;
  arguments.tls = memory.thread_pointer_;
  if (cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<uint64_t>(cgroup);
  }
  const long result = gantry_clone3(&arguments, sizeof arguments, enter, begin);
  if (result >= 0) return static_cast<pid_t>(result);
  errno = static_cast<int>(-result);
  return -1;
}

}  // namespace gantry::shim
