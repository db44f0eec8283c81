#include "engine/container/container_checks.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/strings.h"
#include "engine/container/log_config.h"
#include "engine/container/log_probe.h"
#include "engine/container/network_probe.h"
#include "engine/container/seccomp.h"
#include "engine/container/signal_name.h"
#include "engine/network_options.h"
#include "net/address.h"

namespace gantry::engine {
namespace {

constexpr int64_t kMinimumMemory = int64_t{6} << 20;
constexpr size_t kLongestHostname = 64;  // the kernel's __NEW_UTS_LEN

Result<> check_memory(const Resources& resources) {
  if (resources.memory != 0 && resources.memory < kMinimumMemory) {
    return invalid("Minimum memory limit allowed is 6MB");
  }
  if (resources.memory_swap > 0 && resources.memory == 0) {
    return invalid("You should always set the Memory limit when using Memoryswap limit, see usage");
  }
  if (resources.memory_swap > 0 && resources.memory_swap < resources.memory) {
    return invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
  }
  if (resources.memory_reservation != 0 && resources.memory_reservation < kMinimumMemory) {
    return invalid("Minimum memory reservation allowed is 6MB");
  }
  if (resources.memory != 0 && resources.memory_reservation > resources.memory) {
    return invalid("Minimum memory limit can not be less than memory reservation limit, see usage");
  }
  return {};
}

// "0-2,4": numbers that the machine has.
Result<> check_cpuset(const std::string& text, const MachineLimits& machine) {
  if (text.empty()) return {};
  for (const std::string& range : split(text, ',')) {
    const size_t dash = range.find('-');
    const auto first = parse_unsigned(trim(std::string_view(range).substr(0, dash)));
    const auto last = dash == std::string::npos ? first : parse_unsigned(trim(std::string_view(range).substr(dash + 1)));
    if (!first || !last || *last < *first) return invalid("invalid value " + text + " for cpuset cpus");
    if (*last >= static_cast<uint64_t>(machine.processors)) {
      return invalid("Requested CPUs are not available - requested " + text + ", available: 0-" +
                     std::to_string(machine.processors - 1));
    }
  }
  return {};
}

Result<> check_processors(const Resources& resources, const MachineLimits& machine) {
  if (resources.nano_cpus != 0) {
    if (resources.cpu_period != 0) {
      return invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    }
    if (resources.cpu_quota != 0) return invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    const int64_t most = int64_t{machine.processors} * 1'000'000'000;
    if (resources.nano_cpus < 10'000'000 || resources.nano_cpus > most) {
      const std::string count = std::to_string(machine.processors);
      return invalid("range of CPUs is from 0.01 to " + count + ".00, as there are only " + count +
                     " CPUs available");
    }
  }
  if (resources.cpu_period != 0 && (resources.cpu_period < 1000 || resources.cpu_period > 1'000'000)) {
    return invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  }
  if (resources.cpu_quota > 0 && resources.cpu_quota < 1000) {
    return invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
  }
  for (const DeviceLimit& device : resources.blkio_weight_devices) {
    if (device.value != 0 && (device.value < 10 || device.value > 1000)) {
      return invalid("invalid value for blkio weight of " + device.path + ": range of blkio weight is from 10 to 1000");
    }
  }
  TRY(check_cpuset(resources.cpuset_cpus, machine));
  if (resources.blkio_weight != 0 && (resources.blkio_weight < 10 || resources.blkio_weight > 1000)) {
    return invalid("Range of blkio weight is from 10 to 1000");
  }
  return {};
}

Result<> check_restart(const ContainerSpec& spec) {
  const RestartPolicy& policy = spec.restart;
  if (policy.maximum_retries != 0 && policy.kind != RestartPolicy::Kind::on_failure) {
    const char* name = policy.kind == RestartPolicy::Kind::always           ? "always"
                       : policy.kind == RestartPolicy::Kind::unless_stopped ? "unless-stopped"
                                                                            : "no";
    return invalid(std::string("invalid restart policy: maximum retry count can only be used with 'on-failure', not '") +
                   name + "'");
  }
  if (policy.maximum_retries < 0) return invalid("invalid restart policy: maximum retry count cannot be negative");
  if (spec.auto_remove && policy.kind != RestartPolicy::Kind::no) {
    return invalid("can't create 'AutoRemove' container with restart policy");
  }
  return {};
}

Result<> check_own_probe(const std::vector<std::string>& test) {
  if (test[0] != "LOG") {
    TRY(parse_network_target(test).within("Healthcheck " + test[0]));
    return {};
  }
  if (test.size() != 2) return invalid("Healthcheck LOG needs one regular expression");
  return check_log_expression(test[1]).within("Healthcheck LOG");
}

Result<> check_health(const HealthCheck& check) {
  const auto too_short = [](const std::optional<std::chrono::nanoseconds>& time) {
    return time && time->count() != 0 && *time < std::chrono::milliseconds(1);
  };
  const char* wrong = too_short(check.interval)         ? "Interval"
                      : too_short(check.timeout)        ? "Timeout"
                      : too_short(check.start_period)   ? "StartPeriod"
                      : too_short(check.start_interval) ? "StartInterval"
                                                        : nullptr;
  if (wrong != nullptr) return invalid(std::string(wrong) + " in Healthcheck cannot be less than 1ms");
  if (check.retries.value_or(0) < 0) return invalid("Retries in Healthcheck cannot be negative");
  if (!check.test.empty()) {
    const std::string& kind = check.test[0];
    if (is_own_probe(check.test)) return check_own_probe(check.test);
    if (kind != "NONE" && kind != "CMD" && kind != "CMD-SHELL") {
      return invalid("unknown type " + gantry::quoted(kind) + " in Healthcheck: use NONE, CMD, CMD-SHELL, HTTP, TCP or LOG");
    }
    if (kind != "NONE" && check.test.size() < 2) return invalid("Healthcheck " + kind + " has no command");
  }
  return {};
}

Result<> check_mount(const Mount& mount) {
  const char* kind = mount.kind == Mount::Kind::bind     ? "bind"
                     : mount.kind == Mount::Kind::volume ? "volume"
                                                         : "tmpfs";
  const std::string prefix = std::string("invalid mount config for type \"") + kind + "\": ";
  if (mount.target.empty()) return invalid(prefix + "field Target must not be empty");
  if (mount.target[0] != '/') {
    return invalid(prefix + "invalid mount path: '" + mount.target + "' mount path must be absolute");
  }
  if (std::filesystem::path(mount.target).lexically_normal() == "/") {
    return invalid(prefix + "invalid specification: destination can't be '/'");
  }
  if (mount.kind == Mount::Kind::bind) {
    if (mount.source.empty()) return invalid(prefix + "field Source must not be empty");
    if (mount.source[0] != '/') {
      return invalid(prefix + "invalid mount path: '" + mount.source + "' mount path must be absolute");
    }
  }
  if (mount.kind == Mount::Kind::tmpfs && !mount.source.empty()) {
    return invalid(prefix + "field Source must not be specified");
  }
  if (!mount.subpath.empty()) {
    const std::filesystem::path subpath(mount.subpath);
    const bool leaves = std::any_of(subpath.begin(), subpath.end(), [](const auto& part) { return part == ".."; });
    if (subpath.is_absolute() || leaves) return invalid(prefix + "subpath must be a relative path within the volume");
    if (mount.source.empty()) return invalid(prefix + "must not set Subpath when using anonymous volumes");
  }
  static constexpr std::array kPropagations = {"", "private", "rprivate", "shared", "rshared", "slave", "rslave"};
  if (std::find(kPropagations.begin(), kPropagations.end(), mount.propagation) == kPropagations.end()) {
    return invalid(prefix + "invalid propagation mode: '" + mount.propagation + "'");
  }
  return {};
}

Result<> check_mounts(const ContainerSpec& spec) {
  std::set<std::string> targets;
  const auto claim = [&](const std::string& target) -> Result<> {
    const std::string normal = std::filesystem::path(target + "/").lexically_normal().parent_path().string();
    if (!targets.insert(normal).second) return invalid("Duplicate mount point: " + target);
    return {};
  };
  for (const Mount& mount : spec.mounts) {
    TRY(check_mount(mount));
    TRY(claim(mount.target));
  }
  for (const FileMount& file : spec.files) {
    if (file.target.empty() || file.target[0] != '/') {
      return invalid("invalid mount path: '" + file.target + "' mount path must be absolute");
    }
    TRY(claim(file.target));
  }
  for (const std::string& target : spec.anonymous_volumes) {
    if (target.empty() || target[0] != '/') {
      return invalid("invalid mount path: '" + target + "' mount path must be absolute");
    }
  }
  return {};
}

// In another container's network nothing of one's own can be set.
Result<> check_network_mode(const ContainerSpec& spec) {
  if (spec.network_mode.kind != NetworkMode::Kind::container) return {};
  if (spec.network_mode.container.empty()) {
    return invalid("invalid network mode: invalid container format container:<name|id>");
  }
  if (!spec.hostname.empty()) return invalid("conflicting options: hostname and the network mode");
  if (!spec.published.empty() || spec.publish_all) {
    return invalid("conflicting options: port publishing and the container type network mode");
  }
  if (!spec.exposed.empty()) {
    return invalid("conflicting options: port exposing and the container type network mode");
  }
  if (!spec.extra_hosts.empty()) {
    return invalid("conflicting options: custom host-to-IP mapping and the network mode");
  }
  if (!spec.dns.empty()) return invalid("conflicting options: dns and the network mode");
  return {};
}

Result<> check_names(const ContainerSpec& spec) {
  if (spec.hostname.size() > kLongestHostname) {
    return invalid("invalid hostname " + gantry::quoted(spec.hostname) + ": longer than 64 bytes");
  }
  for (const std::string& host : spec.extra_hosts) {
    const size_t colon = host.find_first_of(":=");
    if (colon == std::string::npos || colon == 0 || colon + 1 == host.size()) {
      return invalid("bad format for add-host: " + gantry::quoted(host));
    }
    const std::string address = host.substr(colon + 1);
    std::string_view bare = address;
    if (bare.size() > 1 && bare.front() == '[' && bare.back() == ']') bare = bare.substr(1, bare.size() - 2);
    if (bare != "host-gateway" && !net::IpAddress::parse(bare).ok()) {
      return invalid("invalid IP address in add-host: " + gantry::quoted(address));
    }
  }
  for (const std::string& server : spec.dns) {
    if (!net::IpAddress::parse(server).ok()) return invalid("invalid IP address in dns: " + gantry::quoted(server));
  }
  return {};
}

// Asked for, but not built: told, not ignored.
Result<> check_supported(const ContainerSpec& spec) {
  if (!spec.runtime.empty() && spec.runtime != "runc" && spec.runtime != "gantry") {
    return invalid("unknown or invalid runtime name: " + spec.runtime);
  }
  if (!spec.userns_mode.empty() && spec.userns_mode != "host") {
    return unsupported("userns mode " + gantry::quoted(spec.userns_mode) + " is not supported: use \"host\" or leave it out");
  }
  if (!spec.storage_options.empty()) {
    return unsupported("storage option " + gantry::quoted(spec.storage_options.begin()->first) +
                       " is not supported: a container's layer has no quota of its own");
  }
  if (spec.uts_mode != "" && spec.uts_mode != "host") return invalid("invalid UTS mode: " + spec.uts_mode);
  static constexpr std::array kIpcModes = {"", "private", "shareable", "host", "none"};
  if (!spec.ipc_mode.starts_with("container:") &&
      std::find(kIpcModes.begin(), kIpcModes.end(), spec.ipc_mode) == kIpcModes.end()) {
    return invalid("invalid IPC mode: " + spec.ipc_mode);
  }
  if (spec.cgroup_mode != "" && spec.cgroup_mode != "host" && spec.cgroup_mode != "private") {
    return invalid("invalid cgroup namespace mode: " + spec.cgroup_mode);
  }
  if (!spec.pid_mode.empty() && spec.pid_mode != "host" && !spec.pid_mode.starts_with("container:")) {
    return invalid("invalid PID mode: " + spec.pid_mode);
  }
  for (const EndpointSpec& endpoint : spec.endpoints) {
    TRY(check_endpoint(endpoint).within("network " + gantry::quoted(endpoint.network)));
  }
  return {};
}

Result<> check_security_options(const ContainerSpec& spec) {
  for (const std::string& option : spec.security_options) {
    const size_t split_at = option.find_first_of("=:");
    const std::string name = option.substr(0, split_at);
    const std::string value = split_at == std::string::npos ? "" : option.substr(split_at + 1);
    if (name == "no-new-privileges") {
      if (value.empty() || value == "true" || value == "false") continue;
      return invalid("invalid --security-opt: " + gantry::quoted(option) + ": use true or false");
    }
    if (name == "seccomp") {
      if (value != "unconfined" && value != "builtin") TRY(check_seccomp_profile(value));
      continue;
    }
    if (name == "systempaths") {
      if (value == "unconfined") continue;
      return invalid("invalid --security-opt: " + gantry::quoted(option) + ": only systempaths=unconfined is known");
    }
    // Neither module is driven by us: what asks for none of them is kept, what asks for a profile is told.
    if (name == "apparmor") {
      if (value == "unconfined" || value.empty()) continue;
      return unsupported("AppArmor profiles are not supported: leave out --security-opt " + gantry::quoted(option));
    }
    if (name == "label") {
      if (value == "disable" || value.empty()) continue;
      return unsupported("SELinux labels are not supported: leave out --security-opt " + gantry::quoted(option));
    }
    return invalid("invalid --security-opt 2: " + gantry::quoted(option));
  }
  return {};
}

}  // namespace

Result<> check_container_spec(const ContainerSpec& spec, const MachineLimits& machine) {
  TRY(check_memory(spec.resources));
  TRY(check_processors(spec.resources, machine));
  TRY(check_restart(spec));
  if (spec.health_check) TRY(check_health(*spec.health_check));
  TRY(check_mounts(spec));
  TRY(check_network_mode(spec));
  TRY(check_names(spec));
  TRY(check_supported(spec));
  TRY(check_security_options(spec));
  TRY(check_log_config(spec.log));
  if (spec.stop_signal && !spec.stop_signal->empty()) TRY(parse_signal(*spec.stop_signal));
  return {};
}

Result<> check_effective_config(const EffectiveConfig& config) {
  if (!config.working_dir.empty() && config.working_dir[0] != '/') {
    return invalid("the working directory '" + config.working_dir +
                   "' is invalid, it needs to be an absolute path");
  }
  for (const std::string& variable : config.environment) {
    if (variable.empty() || variable[0] == '=' || variable.find('\0') != std::string::npos) {
      return invalid("invalid environment variable: " + variable);
    }
  }
  return {};
}

}  // namespace gantry::engine
