#include "start/pages.h"

#include <gtest/gtest.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

namespace gantry::start {
namespace {

constexpr size_t kPage = 4096;

std::array<char, 12 * kPage> variables = {1};

long faults() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

long faults_of(void (*work)()) {
  const long before = faults();
  work();
  return faults() - before;
}

struct Span {
  const char* begin = nullptr;
  const char* end = nullptr;
};
std::vector<Span> read_only;  // code and constants of this program, without the tables for unwinding behind these

int find_read_only(dl_phdr_info* program, size_t, void*) {
  const std::span segments(program->dlpi_phdr, program->dlpi_phnum);
  const auto* base = reinterpret_cast<const char*>(program->dlpi_addr);
  const char* tables = nullptr;
  for (const auto& segment : segments) {
    if (segment.p_type == PT_GNU_EH_FRAME) tables = base + segment.p_vaddr;
  }
  for (const auto& segment : segments) {
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    Span span{.begin = base + segment.p_vaddr, .end = base + segment.p_vaddr + segment.p_memsz};
    if (tables > span.begin && tables < span.end) span.end = tables;
    read_only.push_back(span);
  }
  return 1;  // the first is the program itself
}

void read_all_code() {
  for (const Span& span : read_only) {
    for (const char* at = span.begin; at < span.end; at += kPage) (void)*static_cast<const volatile char*>(at);
  }
}

void write_variables() {
  for (size_t at = 0; at < variables.size(); at += kPage) *static_cast<volatile char*>(&variables[at]) = 2;
}

// The exit code of a child; -1: it has none.
int end_of(pid_t child) {
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

// A copy of this process's own, in which nothing has been touched yet. What it returns is told.
int in_copy(int (*question)()) {
  const pid_t copy = ::fork();
  if (copy == 0) ::_exit(question());
  return end_of(copy);
}

bool can_be_seen() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return false;
#endif
  void* page = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const bool can = ::madvise(page, kPage, MADV_POPULATE_WRITE) == 0;
  ::munmap(page, kPage);
  return can;
}

TEST(Pages, OfAProgramsFileAreThereOnceTouched) {
  if (!can_be_seen()) GTEST_SKIP() << "the kernel is older than 5.14, or a sanitizer touches memory of its own";
  write_variables();
  ::dl_iterate_phdr(find_read_only, nullptr);
  ASSERT_GE(read_only.size(), 2U);
  const int few = 2;
  EXPECT_GT(in_copy([] { return static_cast<int>(faults_of(write_variables)); }), 8) << "or the test shows nothing";
  const int touched = in_copy([] {
    touch_program();
    return static_cast<int>(faults_of(read_all_code) + faults_of(write_variables));
  });
  EXPECT_GE(touched, 0);
  EXPECT_LE(touched, few);
}

}  // namespace
}  // namespace gantry::start
