#include "engine/container/seccomp_profile.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/strings.h"
#include "engine/container/privileges.h"
#include "engine/container/seccomp_tree.h"
#include "engine/json_members.h"

namespace gantry::engine {
namespace {

using nlohmann::json;

constexpr size_t kMaxProfile = 4 << 20;
constexpr size_t kMaxRules = 20'000;

#if defined(__x86_64__)
constexpr std::string_view kArchitecture = "amd64";
constexpr std::string_view kNative = "SCMP_ARCH_X86_64";
#elif defined(__aarch64__)
constexpr std::string_view kArchitecture = "arm64";
constexpr std::string_view kNative = "SCMP_ARCH_AARCH64";
#else
constexpr std::string_view kArchitecture = "riscv64";
constexpr std::string_view kNative = "SCMP_ARCH_RISCV64";
#endif

struct NamedValue {
  std::string_view name;
  uint32_t value;
};
constexpr NamedValue kArchitectures[] = {
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},           {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},           {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},   {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},     {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},     {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32}, {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},       {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390},         {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64}};
constexpr NamedValue kComparisons[] = {{"SCMP_CMP_NE", SCMP_CMP_NE},   {"SCMP_CMP_LT", SCMP_CMP_LT},
                                       {"SCMP_CMP_LE", SCMP_CMP_LE},   {"SCMP_CMP_EQ", SCMP_CMP_EQ},
                                       {"SCMP_CMP_GE", SCMP_CMP_GE},   {"SCMP_CMP_GT", SCMP_CMP_GT},
                                       {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};

template <size_t N>
Result<uint32_t> value_named(const NamedValue (&table)[N], const std::string& name, const char* what) {
  for (const NamedValue& entry : table) {
    if (entry.name == name) return entry.value;
  }
  return invalid(std::string("seccomp profile: unknown ") + what + " " + gantry::quoted(name));
}

Error bad_profile(const std::string& what) { return invalid("seccomp profile: " + what); }

Result<uint32_t> action_of(const std::string& name, uint16_t errno_value) {
  if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL_THREAD;
  if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(errno_value);
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(errno_value);
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  if (name == "SCMP_ACT_NOTIFY") return bad_profile("SCMP_ACT_NOTIFY is not supported: nobody would listen");
  return bad_profile("unknown action " + gantry::quoted(name));
}

Result<std::vector<std::string>> string_list(const json& list, const std::string& what) {
  std::vector<std::string> found;
  if (list.is_null()) return found;
  if (!list.is_array()) return bad_profile(what + " must be a list of strings");
  for (const json& item : list) {
    if (!item.is_string()) return bad_profile(what + " must be a list of strings");
    found.push_back(item.get<std::string>());
  }
  return found;
}

Result<std::string> string_value(const json& value, const std::string& what) {
  if (!value.is_string()) return bad_profile(what + " must be a string");
  return value.get<std::string>();
}

Result<uint64_t> number_or(const json& value, const std::string& what, uint64_t fallback) {
  if (value.is_null()) return fallback;
  if (!value.is_number_unsigned()) return bad_profile(what + " must be a number");
  return value.get<uint64_t>();
}

// "4.8" ≤ the running kernel.
bool kernel_is_at_least(const std::string& wanted) {
  utsname names{};
  int major = 0, minor = 0, wanted_major = 0, wanted_minor = 0;
  if (::uname(&names) != 0 || std::sscanf(names.release, "%d.%d", &major, &minor) != 2) return false;
  if (std::sscanf(wanted.c_str(), "%d.%d", &wanted_major, &wanted_minor) != 2) return false;
  return std::pair(major, minor) >= std::pair(wanted_major, wanted_minor);
}

class Compiler {
 public:
  Compiler(const json& profile, uint64_t capabilities) : profile_(profile), capabilities_(capabilities) {}

  Result<std::string> compile() {
    if (!profile_.is_object()) return bad_profile("expected an object");
    const auto errno_value = static_cast<uint16_t>(TRY(number_or(member(profile_, "defaultErrnoRet"), "defaultErrnoRet", EPERM)));
    default_ = TRY(action_of(TRY(string_value(member(profile_, "defaultAction"), "defaultAction")), errno_value));
    filter_.reset(::seccomp_init(default_));
    if (filter_ == nullptr) return internal_error("seccomp_init: out of memory");
    TRY(architectures());
    (void)::seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
    const json& rules = member(profile_, "syscalls");
    if (!rules.is_null() && !rules.is_array()) return bad_profile("syscalls must be a list");
    for (const json& entry : rules) TRY(rule(entry));
    return exported();
  }

 private:
  Result<> architectures() {
    std::vector<std::string> names = TRY(string_list(member(profile_, "architectures"), "architectures"));
    const json& map = member(profile_, "archMap");
    if (!map.is_null() && !map.is_array()) return bad_profile("archMap must be a list");
    if (!map.is_null() && !names.empty()) return bad_profile("'architectures' and 'archMap' were specified, use either one");
    for (const json& entry : map) {
      if (!entry.is_object()) return bad_profile("archMap must be a list of objects");
      if (TRY(string_value(member(entry, "architecture"), "archMap.architecture")) != kNative) continue;
      names = TRY(string_list(member(entry, "subArchitectures"), "archMap.subArchitectures"));
    }
    for (const std::string& name : names) {
      const uint32_t architecture = TRY(value_named(kArchitectures, name, "architecture"));
      const int error = ::seccomp_arch_add(filter_.get(), architecture);
      // A foreign family of machines is no error in a profile that is made for many.
      if (error != 0 && error != -EEXIST && error != -EDOM && error != -EINVAL) {
        return Error::from_errno(-error, "seccomp_arch_add", name);
      }
    }
    return {};
  }

  Result<bool> has_all_capabilities(const json& list) const {
    for (const std::string& name : TRY(string_list(list, "caps"))) {
      // A capability that this program does not know cannot be held.
      const Result<uint64_t> bit = capability_mask_within(~uint64_t{0}, {name}, {"ALL"}, false);
      if (!bit.ok() || (capabilities_ & *bit) == 0) return false;
    }
    return true;
  }

  Result<bool> applies(const json& entry) const {
    const json& includes = member(entry, "includes");
    const json& excludes = member(entry, "excludes");
    if (includes.is_object()) {
      const std::vector<std::string> arches = TRY(string_list(member(includes, "arches"), "arches"));
      if (!arches.empty() && std::ranges::find(arches, kArchitecture) == arches.end()) return false;
      if (!TRY(has_all_capabilities(member(includes, "caps")))) return false;
      const json& kernel = member(includes, "minKernel");
      if (!kernel.is_null() && !kernel_is_at_least(TRY(string_value(kernel, "minKernel")))) return false;
    }
    if (excludes.is_object()) {
      const std::vector<std::string> arches = TRY(string_list(member(excludes, "arches"), "arches"));
      if (std::ranges::find(arches, kArchitecture) != arches.end()) return false;
      for (const std::string& name : TRY(string_list(member(excludes, "caps"), "caps"))) {
        if (TRY(has_all_capabilities(json::array({name})))) return false;
      }
      const json& kernel = member(excludes, "minKernel");
      if (!kernel.is_null() && kernel_is_at_least(TRY(string_value(kernel, "minKernel")))) return false;
    }
    return true;
  }

  Result<> rule(const json& entry) {
    if (!entry.is_object()) return bad_profile("syscalls must be a list of objects");
    if (!TRY(applies(entry))) return {};
    std::vector<std::string> names = TRY(string_list(member(entry, "names"), "syscalls.names"));
    if (const json& single = member(entry, "name"); !single.is_null()) {
      if (!names.empty()) return bad_profile("'name' and 'names' were specified in the same rule, use either one");
      names.push_back(TRY(string_value(single, "syscalls.name")));
    }
    const auto errno_value = static_cast<uint16_t>(TRY(number_or(member(entry, "errnoRet"), "errnoRet", EPERM)));
    const uint32_t action = TRY(action_of(TRY(string_value(member(entry, "action"), "syscalls.action")), errno_value));
    if (action == default_) return {};  // libseccomp refuses rules that say nothing
    const std::vector<scmp_arg_cmp> arguments = TRY(comparisons(member(entry, "args")));
    for (const std::string& name : names) TRY(add(action, name, arguments));
    return {};
  }

  Result<std::vector<scmp_arg_cmp>> comparisons(const json& list) const {
    std::vector<scmp_arg_cmp> found;
    if (list.is_null()) return found;
    if (!list.is_array() || list.size() > 6) return bad_profile("args must be a list of at most six objects");
    for (const json& entry : list) {
      if (!entry.is_object()) return bad_profile("args must be a list of objects");
      const uint64_t index = TRY(number_or(member(entry, "index"), "args.index", 0));
      if (index > 5) return bad_profile("args.index must be 0 to 5");
      const std::string op = TRY(string_value(member(entry, "op"), "args.op"));
      const auto comparison = static_cast<scmp_compare>(TRY(value_named(kComparisons, op, "comparison")));
      const uint64_t first = TRY(number_or(member(entry, "value"), "args.value", 0));
      const uint64_t second = TRY(number_or(member(entry, "valueTwo"), "args.valueTwo", 0));
      found.push_back({.arg = static_cast<unsigned>(index), .op = comparison, .datum_a = first, .datum_b = second});
    }
    return found;
  }

  Result<> add(uint32_t action, const std::string& name, const std::vector<scmp_arg_cmp>& arguments) {
    if (++rules_ > kMaxRules) return bad_profile("more than " + std::to_string(kMaxRules) + " rules");
    const int call = ::seccomp_syscall_resolve_name(name.c_str());
    if (call == __NR_SCMP_ERROR) return {};
    // libseccomp takes one comparison of an argument per rule; more of the same argument mean "any of them", as in runc.
    bool repeated = false;
    for (size_t i = 0; i < arguments.size(); ++i) {
      for (size_t j = i + 1; j < arguments.size(); ++j) repeated = repeated || arguments[i].arg == arguments[j].arg;
    }
    if (!repeated) return add_one(action, call, name, arguments);
    for (const scmp_arg_cmp& argument : arguments) TRY(add_one(action, call, name, {argument}));
    return {};
  }

  Result<> add_one(uint32_t action, int call, const std::string& name, const std::vector<scmp_arg_cmp>& arguments) {
    const int error = ::seccomp_rule_add_array(filter_.get(), action, call, static_cast<unsigned>(arguments.size()),
                                               arguments.data());
    if (error == 0 || error == -EDOM || error == -EEXIST) return {};
    return Error::from_errno(-error, "seccomp_rule_add", name).within("seccomp profile");
  }

  Result<std::string> exported() {
    const Fd memory(::memfd_create("seccomp", MFD_CLOEXEC));
    if (!memory) return Error::from_errno(errno, "memfd_create");
    const int error = ::seccomp_export_bpf(filter_.get(), memory.get());
    if (error != 0) return Error::from_errno(-error, "seccomp_export_bpf").within("seccomp profile");
    if (::lseek(memory.get(), 0, SEEK_SET) != 0) return Error::from_errno(errno, "lseek", "memfd");
    return as_search_tree(TRY(read_all(memory.get())));
  }

  const json& profile_;
  uint64_t capabilities_;
  uint32_t default_ = SCMP_ACT_KILL_THREAD;
  std::unique_ptr<void, ReleaseFilter> filter_;
  size_t rules_ = 0;
};

}  // namespace

Result<std::string> compile_seccomp_profile(std::string_view text, uint64_t capabilities) {
  if (text.size() > kMaxProfile) return bad_profile("longer than 4 MiB");
  const json profile = json::parse(text, nullptr, false);
  if (profile.is_discarded()) return invalid("Decoding seccomp profile failed: it is no valid JSON");
  return Compiler(profile, capabilities).compile();
}

}  // namespace gantry::engine
