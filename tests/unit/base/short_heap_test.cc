#include "base/short_heap.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace gantry {
namespace {

long page_faults() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

// Page faults of a process that fills a megabyte and a half in small pieces, a quarter of them freed again; -1: a piece was not as it
// was written.
long faults_of_filling() {
  const long before = page_faults();
  std::vector<char*> pieces;
  for (int i = 0; i < 3000; ++i) {
    auto* piece = static_cast<char*>(::malloc(500));
    std::memset(piece, i & 127, 500);
    pieces.push_back(piece);
    if (i % 4 == 3) ::free(pieces[static_cast<size_t>(i - 2)]);
  }
  for (int i = 0; i < 3000; ++i) {
    if (i % 4 != 1 && (pieces[static_cast<size_t>(i)][0] != (i & 127) || pieces[static_cast<size_t>(i)][499] != (i & 127))) return -1;
  }
  return page_faults() - before;
}

// In a process of its own, since the heap is the process's.
int in_a_child(int (*work)()) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

// Page faults of touching a huge page's size where one was asked for.
long faults_of_a_huge_page() {
  constexpr uintptr_t kSize = 2 << 20;
  void* room = ::mmap(nullptr, 2 * kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  auto* page = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(room) + kSize - 1) & ~(kSize - 1));
  ::madvise(page, kSize, MADV_HUGEPAGE);
  const long before = page_faults();
  for (uintptr_t i = 0; i < kSize; i += 4096) page[i] = 1;
  const long faults = page_faults() - before;
  ::munmap(room, 2 * kSize);
  return faults;
}

TEST(ShortHeap, AHugePageTakesThePlaceOfManyWhereTheKernelHasThem) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer has a malloc of its own";
#endif
  if (!has_huge_pages_at_hand()) GTEST_SKIP() << "the kernel has no huge pages to spare";
  const int faults = in_a_child([] {
    prepare_short_heap();
    expect_large_heap();
    const long faults = faults_of_filling();
    return static_cast<int>(faults < 0 ? 255 : std::min(faults, 254L));
  });
  ASSERT_NE(faults, 255) << "a piece was not as it was written";
  if (faults_of_a_huge_page() > 8) GTEST_SKIP() << "the kernel has no huge page at hand";
  EXPECT_LT(faults, 100);
}

}  // namespace
}  // namespace gantry
