#include "base/short_heap.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/fd.h"
#include "base/strings.h"

namespace gantry {
namespace {

constexpr uintptr_t kHugePage = 2 << 20;
constexpr uintptr_t kLittle = 4 << 10;
constexpr uintptr_t kAtOnce = 48 << 10;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kHasOwnMalloc = true;  // the sanitizer's, which calls what is taken to lie untouched a leak
#else
constexpr bool kHasOwnMalloc = false;
#endif

}  // namespace

// /proc/buddyinfo has a line a zone: how many free blocks of 4 KB, 8 KB, … 2 MB, 4 MB it has.
bool has_huge_pages_at_hand() {
  constexpr uint64_t kPlenty = 32;
  const Fd file(::open("/proc/buddyinfo", O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t size = file ? ::read(file.get(), text, sizeof text) : -1;
  if (size <= 0) return false;
  uint64_t free = 0;
  for (std::string_view line : split(std::string_view(text, static_cast<size_t>(size)), '\n')) {
    for (int column = 0; column < 2; ++column) {
      line = trim(line);
      const size_t space = line.rfind(' ');
      if (space == std::string_view::npos) break;
      free += parse_unsigned(line.substr(space + 1)).value_or(0);
      line = line.substr(0, space);
    }
  }
  return free >= kPlenty;
}

void prepare_short_heap() {
  if (kHasOwnMalloc) return;
  // Giving pieces back to the kernel and fetching them again cost more page faults than the work itself.
  ::mallopt(M_MMAP_THRESHOLD, 64 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 256 << 20);
  ::mallopt(M_ARENA_MAX, 1);  // threads here wait more than they work
  ::mallopt(M_TOP_PAD, 1 << 20);
  void* const first = ::malloc(1);
  const uintptr_t begin = reinterpret_cast<uintptr_t>(first) & ~(kLittle - 1);
  ::free(first);
  ::madvise(reinterpret_cast<void*>(begin), kAtOnce, MADV_POPULATE_WRITE);  // where it is not mapped yet, nothing happens
}

void expect_large_heap() {
  static std::atomic<bool> is_done = false;
  if (kHasOwnMalloc || is_done.exchange(true) || !has_huge_pages_at_hand()) return;
  // What lies between what is in use and the next huge page is taken and never touched; what malloc takes after it is the page.
  ::mallopt(M_TOP_PAD, static_cast<int>(kHugePage + kLittle));
  const auto here = reinterpret_cast<uintptr_t>(::malloc(kLittle)) + kLittle;
  const uintptr_t free_end = std::max(here + 2 * kLittle, reinterpret_cast<uintptr_t>(::sbrk(0)));
  const uintptr_t page = (free_end + kHugePage - 1) & ~(kHugePage - 1);
  const auto gap = reinterpret_cast<uintptr_t>(::malloc(page - here - kLittle / 2));
  const auto end = reinterpret_cast<uintptr_t>(::sbrk(0));
  if (gap >= here && gap < page && end >= page + kHugePage) {
    ::madvise(reinterpret_cast<void*>(page), kHugePage, MADV_HUGEPAGE);
  }
  ::mallopt(M_TOP_PAD, 1 << 20);
}

}  // namespace gantry
