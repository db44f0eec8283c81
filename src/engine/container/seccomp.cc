#include "engine/container/seccomp.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string_view>

#include "base/fd.h"
#include "base/strings.h"
#include "engine/container/privileges.h"
#include "engine/container/seccomp_calls.h"
#include "engine/container/seccomp_profile.h"
#include "engine/container/seccomp_tree.h"

namespace gantry::engine {
namespace {

constexpr uint64_t kNewNamespaces = 0x7e020000;  // CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
constexpr uint64_t kPersonalities[] = {0, 8, 0x20000, 0x20008, 0xffffffff};  // linux, linux32, uname26, both, query
constexpr uint64_t kAlgorithmFamily = 38;  // AF_ALG
constexpr uint64_t kVsockFamily = 40;      // AF_VSOCK

#if defined(__x86_64__)
constexpr uint32_t kNativeArchitecture = AUDIT_ARCH_X86_64;
constexpr uint32_t kOtherArchitectures[] = {SCMP_ARCH_X86, SCMP_ARCH_X32};
#elif defined(__aarch64__)
constexpr uint32_t kNativeArchitecture = AUDIT_ARCH_AARCH64;
constexpr uint32_t kOtherArchitectures[] = {SCMP_ARCH_ARM};
#elif defined(__riscv)
constexpr uint32_t kNativeArchitecture = AUDIT_ARCH_RISCV64;
constexpr uint32_t kOtherArchitectures[] = {SCMP_ARCH_RISCV64};
#else
#error "the default seccomp profile has no architecture list for this machine"
#endif

bool has_capability(uint64_t mask, int capability) { return (mask >> capability & 1) != 0; }

std::set<std::string> allowed_names(uint64_t capabilities) {
  std::set<std::string> names;
  const auto add = [&](const char* list) {
    for (std::string& name : split(list, ' ')) {
      if (!name.empty()) names.insert(std::move(name));
    }
  };
  add(kAlwaysAllowed);
  add(kArchitectureAllowed);
  for (const CallsOfCapability& entry : kCapabilityAllowed) {
    if (has_capability(capabilities, entry.capability)) add(entry.names);
  }
  return names;
}

class Profile {
 public:
  Result<std::string> compile(uint64_t capabilities) {
    filter_.reset(::seccomp_init(SCMP_ACT_ERRNO(EPERM)));
    if (filter_ == nullptr) return internal_error("seccomp_init: out of memory");
    for (const uint32_t architecture : kOtherArchitectures) {
      const int error = ::seccomp_arch_add(filter_.get(), architecture);
      if (error != 0 && error != -EEXIST) return failed(error, "seccomp_arch_add", "");
    }
    // A binary tree instead of a list of 400 comparisons.
    note(::seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimise");
    const std::set<std::string> names = allowed_names(capabilities);
    for (const std::string& name : names) rule(SCMP_ACT_ALLOW, name.c_str(), {});
    add_argument_rules(!has_capability(capabilities, CAP_SYS_ADMIN));
    if (error_ != 0) return failed(error_, "seccomp_rule_add", failed_name_);
    return young_calls(names) + TRY(exported());
  }

 private:
  static Error failed(int error, std::string_view call, std::string_view object) {
    return Error::from_errno(-error, call, object).within("making the default seccomp profile");
  }
  void note(int error, const char* name) {
    if (error == 0 || error_ != 0) return;
    error_ = error;
    failed_name_ = name;
  }

  void rule(uint32_t action, const char* name, std::vector<scmp_arg_cmp> arguments) {
    const int number = ::seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return;  // younger than the library, or of another architecture
    const int error = ::seccomp_rule_add_array(filter_.get(), action, number, static_cast<unsigned>(arguments.size()),
                                               arguments.data());
    if (error != -EDOM) note(error, name);  // EDOM: none of our architectures has it
  }

  void add_argument_rules(bool without_admin) {
    rule(SCMP_ACT_ALLOW, "socket", {SCMP_A0_64(SCMP_CMP_LT, kAlgorithmFamily)});
    rule(SCMP_ACT_ALLOW, "socket", {SCMP_A0_64(SCMP_CMP_EQ, kAlgorithmFamily + 1)});
    rule(SCMP_ACT_ALLOW, "socket", {SCMP_A0_64(SCMP_CMP_GT, kVsockFamily)});
    for (const uint64_t value : kPersonalities) rule(SCMP_ACT_ALLOW, "personality", {SCMP_A0_64(SCMP_CMP_EQ, value)});
    if (!without_admin) return;
    rule(SCMP_ACT_ALLOW, "clone", {SCMP_A0_64(SCMP_CMP_MASKED_EQ, kNewNamespaces, 0)});
    // Its flags lie in memory, where no filter can look; C libraries then take clone().
    rule(SCMP_ACT_ERRNO(ENOSYS), "clone3", {});
  }

  Result<std::string> exported() {
    const Fd memory(::memfd_create("seccomp", MFD_CLOEXEC));
    if (!memory) return Error::from_errno(errno, "memfd_create");
    const int error = ::seccomp_export_bpf(filter_.get(), memory.get());
    if (error != 0) return failed(error, "seccomp_export_bpf", "");
    if (::lseek(memory.get(), 0, SEEK_SET) != 0) return Error::from_errno(errno, "lseek", "memfd");
    return read_all(memory.get());
  }

  // Put before the library's program: our architecture's calls that the library has no name for.
  static std::string young_calls(const std::set<std::string>& names) {
    std::vector<sock_filter> calls;
    const auto length = [&](size_t rest) { return static_cast<uint8_t>(rest); };
    for (const NumberedCall& call : kYoungCalls) {
      if (!names.contains(call.name)) continue;
      calls.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call.number, 0, 1));
      calls.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    }
    // x32 numbers begin at bit 30.
    calls.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 2, 0));
    calls.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kFirstUnknownCall, 0, 1));
    calls.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    const sock_filter head[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kNativeArchitecture, 0, length(calls.size() + 1)),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
    };
    std::string bytes(reinterpret_cast<const char*>(head), sizeof head);
    bytes.append(reinterpret_cast<const char*>(calls.data()), calls.size() * sizeof(sock_filter));
    return bytes;
  }

  std::unique_ptr<void, ReleaseFilter> filter_;
  int error_ = 0;
  std::string failed_name_;
};

Result<std::string> default_program(uint64_t capabilities) {
  // Compiling takes milliseconds, and containers mostly have the same capabilities.
  static std::mutex mutex;
  static std::map<uint64_t, std::string> programs;
  const std::lock_guard lock(mutex);
  const auto known = programs.find(capabilities);
  if (known != programs.end()) return known->second;
  std::string program = as_search_tree(TRY(Profile().compile(capabilities)));
  programs[capabilities] = program;
  return program;
}

}  // namespace

Result<std::string> seccomp_program(const std::optional<std::string>& profile, uint64_t capabilities,
                                    bool privileged) {
  if (!profile) return privileged ? Result<std::string>(std::string()) : default_program(capabilities);
  if (*profile == "unconfined") return std::string();
  return compile_seccomp_profile(*profile, capabilities);
}

Result<> check_seccomp_profile(const std::string& profile) {
  TRY(compile_seccomp_profile(profile, kDefaultCapabilities));
  return {};
}

}  // namespace gantry::engine
