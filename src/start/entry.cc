// Where the kernel enters the program, in place of the C library's _start: by then most of what a short command touches has
// been touched, relocations of a program at an address of the kernel's choice included.
#include "start/pages.h"

extern "C" [[gnu::visibility("hidden"), gnu::used]] void gantry_before_start() { gantry::start::touch_program(); }

// The C library asks where the program's file lies, to load libraries from beside it, and reads a link for that. A static program
// loads none: "unknown", as its own function of that name says when it cannot tell.
extern "C" [[gnu::visibility("hidden")]] const char* _dl_get_origin() { return reinterpret_cast<const char*>(-1); }

// _start wants the registers and the stack as the kernel made them.
#if defined(__x86_64__)
asm(R"(
  .text
  .globl gantry_entry
  .type gantry_entry, @function
gantry_entry:
  push %rdx
  sub $8, %rsp
  call gantry_before_start
  add $8, %rsp
  pop %rdx
  jmp _start
  .size gantry_entry, . - gantry_entry
)");
#elif defined(__aarch64__)
asm(R"(
  .text
  .globl gantry_entry
  .type gantry_entry, %function
gantry_entry:
  stp x0, x30, [sp, #-16]!
  bl gantry_before_start
  ldp x0, x30, [sp], #16
  b _start
  .size gantry_entry, . - gantry_entry
)");
#endif
