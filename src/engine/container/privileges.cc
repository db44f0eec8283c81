#include "engine/container/privileges.h"

#include <sys/resource.h>

#include <algorithm>

#include "base/fd.h"
#include "base/strings.h"

namespace gantry::engine {
namespace {

// By number, capabilities(7).
constexpr std::string_view kCapabilities[] = {
    "CHOWN",           "DAC_OVERRIDE",   "DAC_READ_SEARCH", "FOWNER",        "FSETID",
    "KILL",            "SETGID",         "SETUID",          "SETPCAP",       "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN",       "NET_RAW",       "IPC_LOCK",
    "IPC_OWNER",       "SYS_MODULE",     "SYS_RAWIO",       "SYS_CHROOT",    "SYS_PTRACE",
    "SYS_PACCT",       "SYS_ADMIN",      "SYS_BOOT",        "SYS_NICE",      "SYS_RESOURCE",
    "SYS_TIME",        "SYS_TTY_CONFIG", "MKNOD",           "LEASE",         "AUDIT_WRITE",
    "AUDIT_CONTROL",   "SETFCAP",        "MAC_OVERRIDE",    "MAC_ADMIN",     "SYSLOG",
    "WAKE_ALARM",      "BLOCK_SUSPEND",  "AUDIT_READ",      "PERFMON",       "BPF",
    "CHECKPOINT_RESTORE"};
constexpr uint64_t kAllCapabilities = (uint64_t{1} << std::size(kCapabilities)) - 1;

struct NamedLimit {
  std::string_view name;
  uint32_t resource;
};
constexpr NamedLimit kLimits[] = {
    {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},           {"data", RLIMIT_DATA},
    {"fsize", RLIMIT_FSIZE},       {"locks", RLIMIT_LOCKS},       {"memlock", RLIMIT_MEMLOCK},
    {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},         {"nofile", RLIMIT_NOFILE},
    {"nproc", RLIMIT_NPROC},       {"rss", RLIMIT_RSS},           {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING}, {"stack", RLIMIT_STACK},
    {"as", RLIMIT_AS}};

// The bits of one name; "ALL" is all of them.
Result<uint64_t> bits_of(const std::string& name) {
  std::string upper = name;
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  if (upper == "ALL") return kAllCapabilities;
  std::string_view bare = upper;
  if (bare.starts_with("CAP_")) bare.remove_prefix(4);
  const auto* found = std::find(std::begin(kCapabilities), std::end(kCapabilities), bare);
  if (found == std::end(kCapabilities)) {
    return invalid("unknown capability: " + gantry::quoted("CAP_" + std::string(bare)));
  }
  return uint64_t{1} << (found - std::begin(kCapabilities));
}

struct CapabilitySet {
  uint64_t bits = 0;
  bool all = false;
};

Result<CapabilitySet> set_of(const std::vector<std::string>& names) {
  CapabilitySet set;
  for (const std::string& name : names) {
    const uint64_t bits = TRY(bits_of(name));
    if (bits == kAllCapabilities) {
      set.all = true;
    } else {
      set.bits |= bits;
    }
  }
  return set;
}

Result<uint64_t> own_bounding_set() {
  const std::string status = TRY(read_file("/proc/self/status"));
  const size_t at = status.find("\nCapBnd:");
  if (at == std::string::npos) return internal_error("/proc/self/status has no line CapBnd");
  return std::strtoull(status.c_str() + at + std::string_view("\nCapBnd:").size(), nullptr, 16);
}

uint64_t limit_value(int64_t value) { return value < 0 ? RLIM_INFINITY : static_cast<uint64_t>(value); }

}  // namespace

Result<uint64_t> capability_mask_within(uint64_t bounding, const std::vector<std::string>& add,
                                        const std::vector<std::string>& drop, bool privileged) {
  const CapabilitySet added = TRY(set_of(add));
  const CapabilitySet dropped = TRY(set_of(drop));
  uint64_t mask = (kDefaultCapabilities & ~dropped.bits) | added.bits;
  if (dropped.all) mask = added.bits;
  if (added.all) mask = kAllCapabilities & ~dropped.bits;
  if (privileged) mask = kAllCapabilities;
  return mask & bounding;
}

Result<uint64_t> capability_mask(const std::vector<std::string>& add, const std::vector<std::string>& drop,
                                 bool privileged) {
  return capability_mask_within(TRY(own_bounding_set()), add, drop, privileged);
}

Result<std::vector<shim::Rlimit>> rlimits_of(const std::vector<Ulimit>& ulimits) {
  std::vector<shim::Rlimit> limits;
  for (const Ulimit& ulimit : ulimits) {
    const auto* found = std::find_if(std::begin(kLimits), std::end(kLimits),
                                     [&](const NamedLimit& limit) { return limit.name == ulimit.name; });
    if (found == std::end(kLimits)) return invalid("invalid ulimit type: " + ulimit.name);
    shim::Rlimit limit{.resource = found->resource,
                       .name = ulimit.name,
                       .soft = limit_value(ulimit.soft),
                       .hard = limit_value(ulimit.hard)};
    if (limit.soft > limit.hard) {
      return invalid("ulimit " + ulimit.name + ": the soft limit must be less than or equal to the hard limit: " +
                     std::to_string(ulimit.soft) + " > " + std::to_string(ulimit.hard));
    }
    limits.push_back(std::move(limit));
  }
  return limits;
}

}  // namespace gantry::engine
