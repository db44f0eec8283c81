#include "engine/container/seccomp.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "engine/container/privileges.h"

namespace gantry::engine {
namespace {

constexpr uint64_t kSysAdmin = uint64_t{1} << 21;

// Runs `call` in a child under the program. What errno it got; 0: it worked; -1: the filter could not be set.
template <class Call>
int errno_under(const std::string& program, Call call) {
  const pid_t child = ::fork();
  if (child == 0) {
    sock_fprog filter{static_cast<unsigned short>(program.size() / sizeof(sock_filter)),
                      reinterpret_cast<sock_filter*>(const_cast<char*>(program.data()))};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::prctl(PR_SET_SECCOMP, 2, &filter) != 0) ::_exit(255);
    ::_exit(call() < 0 ? errno : 0);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -2;
  return WEXITSTATUS(status) == 255 ? -1 : WEXITSTATUS(status);
}

std::string program_for(uint64_t capabilities) {
  Result<std::string> program = seccomp_program(std::nullopt, capabilities, false);
  return program ? *program : program.error().message();
}

TEST(Seccomp, UnconfinedAndPrivilegedHaveNoFilter) {
  EXPECT_EQ(*seccomp_program("unconfined", kDefaultCapabilities, false), "");
  EXPECT_EQ(*seccomp_program(std::nullopt, ~uint64_t{0}, true), "");
}

TEST(SeccompProfile, NamesArgumentsAndErrnoDecide) {
  const auto program = seccomp_program(R"({
    "defaultAction": "SCMP_ACT_ALLOW",
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [
      {"names": ["getppid", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
      {"names": ["socket"], "action": "SCMP_ACT_ERRNO",
       "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
      {"names": ["sched_yield"], "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
      {"names": ["setpriority"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
      {"names": ["sync"], "action": "SCMP_ACT_ERRNO", "includes": {"minKernel": "99.0"}}
    ]})", kDefaultCapabilities, false);
  ASSERT_TRUE(program.ok()) << program.error().message();
  EXPECT_EQ(errno_under(*program, [] { return ::syscall(SYS_getppid); }), ENOSYS);
  EXPECT_EQ(errno_under(*program, [] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }), EPERM);
  EXPECT_EQ(errno_under(*program, [] { return ::socket(AF_INET, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(errno_under(*program, [] { return ::syscall(SYS_sched_yield); }), 0);
  EXPECT_EQ(errno_under(*program, [] { return ::syscall(SYS_setpriority, 99, 0, 0); }), EPERM);
  EXPECT_EQ(errno_under(*program, [] { return ::syscall(SYS_sync), 0; }), 0);
}

TEST(SeccompProfile, OneArgumentComparedTwiceMeansEither) {
  const auto program = seccomp_program(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
      {"name": "socket", "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
                                                              {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}]})",
                                       kDefaultCapabilities, false);
  ASSERT_TRUE(program.ok()) << program.error().message();
  EXPECT_EQ(errno_under(*program, [] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }), EPERM);
  EXPECT_EQ(errno_under(*program, [] { return ::socket(AF_INET, SOCK_STREAM, 0); }), EPERM);
  EXPECT_EQ(errno_under(*program, [] { return ::socket(AF_INET6, SOCK_STREAM, 0); }), 0);
}

TEST(SeccompProfile, WhatIsNoProfileIsNamed) {
  const std::pair<const char*, const char*> rows[] = {
      {"{", "Decoding seccomp profile failed"},
      {"{}", "seccomp profile: defaultAction must be a string"},
      {R"({"defaultAction": "SCMP_ACT_MAYBE"})", "unknown action \"SCMP_ACT_MAYBE\""},
      {R"({"defaultAction": "SCMP_ACT_NOTIFY"})", "SCMP_ACT_NOTIFY is not supported"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": {}})", "syscalls must be a list"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": 1, "action": "SCMP_ACT_ERRNO"}]})",
       "syscalls.names must be a list of strings"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO",
           "args": [{"index": 9, "op": "SCMP_CMP_EQ"}]}]})", "args.index must be 0 to 5"},
  };
  for (const auto& [text, message] : rows) {
    const auto program = seccomp_program(text, kDefaultCapabilities, false);
    ASSERT_FALSE(program.ok()) << text;
    EXPECT_EQ(program.error().code(), Code::invalid) << text;
    EXPECT_NE(program.error().message().find(message), std::string::npos) << program.error().message();
  }
}

TEST(Seccomp, TheDefaultProfileDecidesCallsByNameAndArgument) {
  const std::string program = program_for(kDefaultCapabilities);
  ASSERT_EQ(program.size() % sizeof(sock_filter), 0u);
  ASSERT_LE(program.size() / sizeof(sock_filter), 4096u);  // BPF_MAXINSNS
  EXPECT_EQ(errno_under(program, [] { return ::getppid(); }), 0);
  EXPECT_EQ(errno_under(program, [] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(errno_under(program, [] { return ::socket(40 /* AF_VSOCK */, SOCK_STREAM, 0); }), EPERM);
  EXPECT_EQ(errno_under(program, [] { return ::socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0); }), EPERM);
  EXPECT_EQ(errno_under(program, [] { return ::syscall(SYS_unshare, 0); }), EPERM);
  EXPECT_EQ(errno_under(program, [] { return ::syscall(SYS_clone3, nullptr, 0); }), ENOSYS);
  EXPECT_EQ(errno_under(program, [] { return ::syscall(SYS_clone, CLONE_NEWUSER, 0, 0, 0, 0); }), EPERM);
  EXPECT_EQ(errno_under(program, [] { return ::syscall(SYS_keyctl, 0, 0, 0, 0, 0); }), EPERM);
  EXPECT_EQ(errno_under(program, [] { return ::syscall(SYS_personality, 0xffffffff); }), 0);
  EXPECT_EQ(errno_under(program, [] { return ::syscall(SYS_personality, 0x40000 /* ADDR_NO_RANDOMIZE */); }), EPERM);
}

TEST(Seccomp, CallsYoungerThanTheLibraryAreDecidedByNumber) {
  const std::string program = program_for(kDefaultCapabilities);
  // The kernel's own answer: EBADF, or ENOSYS before Linux 6.6.
  EXPECT_NE(errno_under(program, [] { return ::syscall(452 /* fchmodat2 */, -1, "x", 0600, 0); }), EPERM);
  EXPECT_EQ(errno_under(program, [] { return ::syscall(9999); }), ENOSYS);
}

TEST(Seccomp, ACapabilityOpensItsCalls) {
  const std::string program = program_for(kDefaultCapabilities | kSysAdmin);
  EXPECT_EQ(errno_under(program, [] { return ::syscall(SYS_unshare, 0); }), 0);
  EXPECT_EQ(errno_under(program, [] { return ::syscall(SYS_clone3, nullptr, 0); }), EINVAL);
}

TEST(Privileges, CapabilityRules) {
  constexpr uint64_t kAll = (uint64_t{1} << 41) - 1;
  constexpr uint64_t kChown = 1;
  constexpr uint64_t kNetAdmin = uint64_t{1} << 12;
  const auto mask = [&](std::vector<std::string> add, std::vector<std::string> drop, bool privileged = false) {
    return *capability_mask_within(kAll, add, drop, privileged);
  };
  EXPECT_EQ(mask({}, {}), kDefaultCapabilities);
  EXPECT_EQ(mask({"net_admin"}, {"CAP_CHOWN"}), (kDefaultCapabilities | kNetAdmin) & ~kChown);
  EXPECT_EQ(mask({"NET_ADMIN"}, {"ALL"}), kNetAdmin);
  EXPECT_EQ(mask({"all"}, {"chown"}), kAll & ~kChown);
  EXPECT_EQ(mask({}, {"ALL"}, true), kAll);
  EXPECT_EQ(*capability_mask_within(kChown, {}, {}, true), kChown);
  EXPECT_EQ(capability_mask_within(kAll, {"foo"}, {}, false).error().message(), "unknown capability: \"CAP_FOO\"");
}

TEST(Privileges, Ulimits) {
  const auto limits = rlimits_of({{.name = "nofile", .soft = 10, .hard = -1}});
  ASSERT_TRUE(limits.ok());
  EXPECT_EQ(limits->front().soft, 10u);
  EXPECT_EQ(limits->front().hard, ~uint64_t{0});
  EXPECT_EQ(rlimits_of({{.name = "foo"}}).error().message(), "invalid ulimit type: foo");
  EXPECT_FALSE(rlimits_of({{.name = "core", .soft = 2, .hard = 1}}).ok());
}

}  // namespace
}  // namespace gantry::engine
