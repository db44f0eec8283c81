#include "engine/container/seccomp_tree.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>

#include <cstring>
#include <random>
#include <set>

#include "base/fd.h"
#include "engine/container/privileges.h"
#include "engine/container/seccomp.h"

namespace gantry::engine {
namespace {

using Program = std::vector<sock_filter>;

// What the kernel does with it (bpf_prog_run), for the instructions that filters of system calls are made of.
uint32_t decide(const Program& program, const seccomp_data& data) {
  uint32_t a = 0;
  for (size_t at = 0; at < program.size(); ++at) {
    const sock_filter& now = program[at];
    const auto branch = [&](bool holds) { at += holds ? now.jt : now.jf; };
    switch (now.code) {
      case BPF_LD | BPF_W | BPF_ABS: std::memcpy(&a, reinterpret_cast<const char*>(&data) + now.k, sizeof a); break;
      case BPF_ALU | BPF_AND | BPF_K: a &= now.k; break;
      case BPF_JMP | BPF_JA: at += now.k; break;
      case BPF_JMP | BPF_JEQ | BPF_K: branch(a == now.k); break;
      case BPF_JMP | BPF_JGT | BPF_K: branch(a > now.k); break;
      case BPF_JMP | BPF_JGE | BPF_K: branch(a >= now.k); break;
      case BPF_JMP | BPF_JSET | BPF_K: branch((a & now.k) != 0); break;
      case BPF_RET | BPF_K: return now.k;
      default: ADD_FAILURE() << "instruction " << now.code; return 0;
    }
  }
  ADD_FAILURE() << "ran over its end";
  return 0;
}

constexpr uint32_t kArchitectures[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, 0};

// Every number that either program compares anything with, and its neighbours; arguments likewise.
void expect_the_same(const Program& one, const Program& other) {
  std::set<uint32_t> values = {0, 1, UINT32_MAX};
  for (const Program* program : {&one, &other}) {
    for (const sock_filter& instruction : *program) {
      for (const uint32_t delta : {0u, 1u, UINT32_MAX}) values.insert(instruction.k + delta);
    }
  }
  std::mt19937 random(7);
  const std::vector<uint32_t> list(values.begin(), values.end());
  const auto any = [&] { return uint64_t{list[random() % list.size()]} | uint64_t{list[random() % list.size()]} << 32; };
  for (const uint32_t architecture : kArchitectures) {
    for (const uint32_t number : list) {
      for (int round = 0; round < 6; ++round) {
        seccomp_data data{.nr = static_cast<int>(number), .arch = architecture, .instruction_pointer = any(), .args = {}};
        for (auto& argument : data.args) argument = round % 2 == 0 ? any() : any() & 0xffff;
        ASSERT_EQ(decide(one, data), decide(other, data)) << std::hex << architecture << " call " << number;
      }
    }
  }
}

struct ReleaseFilter {
  void operator()(void* filter) const { ::seccomp_release(filter); }
};

Program exported(void* filter) {
  const Fd memory(::memfd_create("seccomp", MFD_CLOEXEC));
  EXPECT_EQ(::seccomp_export_bpf(filter, memory.get()), 0);
  ::lseek(memory.get(), 0, SEEK_SET);
  const std::string bytes = *read_all(memory.get());
  Program program(bytes.size() / sizeof(sock_filter));
  std::memcpy(program.data(), bytes.data(), bytes.size());
  return program;
}

// A profile by chance, with and without a look at arguments, as a list or a tree.
Program by_chance(unsigned seed) {
  std::mt19937 random(seed);
  const uint32_t actions[] = {SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(1), SCMP_ACT_ERRNO(38), SCMP_ACT_KILL_PROCESS, SCMP_ACT_LOG};
  const scmp_compare comparisons[] = {SCMP_CMP_NE, SCMP_CMP_LT, SCMP_CMP_LE, SCMP_CMP_EQ, SCMP_CMP_GE, SCMP_CMP_GT,
                                      SCMP_CMP_MASKED_EQ};
  const uint32_t fallback = actions[random() % 5];
  const std::unique_ptr<void, ReleaseFilter> filter(::seccomp_init(fallback));
  for (const uint32_t architecture : std::initializer_list<uint32_t>{SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32, SCMP_ARCH_ARM})
    if (random() % 2 == 0) (void)::seccomp_arch_add(filter.get(), architecture);
  (void)::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 1 + random() % 2);
  uint32_t action = fallback;
  for (int number = 0; number < 450; ++number) {
    if (random() % 6 == 0) action = actions[random() % 5];  // neighbours often have the same
    if (action == fallback) continue;
    std::vector<scmp_arg_cmp> arguments;
    if (random() % 16 == 0) {
      for (unsigned i = 0; i <= random() % 3; ++i)
        arguments.push_back({.arg = i, .op = comparisons[random() % 7], .datum_a = random() % 64, .datum_b = random() % 64});
    }
    (void)::seccomp_rule_add_array(filter.get(), action, number, static_cast<unsigned>(arguments.size()), arguments.data());
  }
  return exported(filter.get());
}

TEST(SeccompTree, DecidesAsTheProgramThatItCameFrom) {
  size_t shortened = 0;
  for (unsigned seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    const Program program = by_chance(seed);
    const Program tree = as_search_tree(program);
    ASSERT_LE(tree.size(), program.size());
    shortened += tree.size() < program.size();
    ASSERT_NO_FATAL_FAILURE(expect_the_same(program, tree));
  }
  EXPECT_GE(shortened, 35u);
}

TEST(SeccompTree, FarLeavesAreReached) {
  // Every second call refused: no range is longer than one, and the tree longer than a comparison can jump.
  Program program = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
                     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0), BPF_STMT(BPF_RET | BPF_K, 0),
                     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (uint32_t number = 0; number < 1200; number += 2) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (number % 3)));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));  // never: only makes it longer
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const Program tree = as_search_tree(program);
  EXPECT_LT(tree.size(), program.size());
  expect_the_same(program, tree);
}

TEST(SeccompTree, WhatItDoesNotUnderstandStaysAsItIs) {
  const Program masks = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                         BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 1),
                         BPF_STMT(BPF_RET | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  EXPECT_EQ(as_search_tree(masks).size(), masks.size());
  EXPECT_TRUE(as_search_tree(Program()).empty());
  const Program runs_out = {BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 9), BPF_STMT(BPF_RET | BPF_K, 0)};
  EXPECT_EQ(as_search_tree(runs_out).size(), runs_out.size());
}

// libseccomp's program for the default profile has some 1,300 instructions.
TEST(SeccompTree, TheDefaultProfileIsShort) {
  const std::string program = *seccomp_program(std::nullopt, kDefaultCapabilities, false);
  EXPECT_LT(program.size() / sizeof(sock_filter), 450u);
}

}  // namespace
}  // namespace gantry::engine
