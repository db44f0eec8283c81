#include "engine/container/launch.h"

#include "engine/container/devices.h"
#include "engine/container/privileges.h"
#include "engine/container/seccomp.h"
#include "engine/container/sysctl.h"

namespace gantry::engine {
namespace {

// Docker's default lists (moby, oci/defaults.go).
const std::vector<std::string> kMaskedPaths = {
    "/proc/acpi",         "/proc/asound",      "/proc/interrupts",  "/proc/kcore",
    "/proc/keys",         "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
    "/proc/timer_list",   "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"};
const std::vector<std::string> kReadOnlyPaths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                                 "/proc/sysrq-trigger"};

Result<shim::Propagation> propagation_of(const std::string& name) {
  if (name.empty() || name == "rprivate") return shim::Propagation::rprivate;
  if (name == "private") return shim::Propagation::priv;
  if (name == "rshared") return shim::Propagation::rshared;
  if (name == "shared") return shim::Propagation::shared;
  if (name == "rslave") return shim::Propagation::rslave;
  if (name == "slave") return shim::Propagation::slave;
  return invalid("invalid propagation mode: " + gantry::quoted(name));
}

Result<shim::MountEntry> mount_entry(const RuntimeMount& mount) {
  const shim::Propagation propagation = TRY(propagation_of(mount.propagation));
  return shim::MountEntry{
      .kind = mount.kind == RuntimeMount::Kind::bind ? shim::MountKind::bind : shim::MountKind::tmpfs,
      .propagation = propagation,
      .read_only = mount.read_only,
      .submounts = mount.read_only_submounts == "writable" ? shim::ReadOnlySubmounts::no
                   : mount.read_only_submounts == "forced" ? shim::ReadOnlySubmounts::must
                                                           : shim::ReadOnlySubmounts::if_possible,
      .recursive = mount.recursive,
      .source = mount.source.native(),
      .subpath = mount.subpath,
      .target = mount.target,
      .options = mount.tmpfs_options,
  };
}

shim::Namespace namespace_of(const NamespaceChoice& choice) {
  switch (choice.kind) {
    case NamespaceChoice::Kind::own: return {.kind = shim::NamespaceKind::own};
    case NamespaceChoice::Kind::host: return {.kind = shim::NamespaceKind::host};
    case NamespaceChoice::Kind::of_process: return {.kind = shim::NamespaceKind::of_process, .pid = choice.pid};
  }
  CHECK(false);
}

Result<std::vector<shim::Setting>> settings_of(const SandboxSpec& spec) {
  for (const auto& [name, value] : spec.sysctls) TRY(check_sysctl(name, spec));
  std::map<std::string, std::string> all = spec.sysctls;
  if (spec.network.kind == NamespaceChoice::Kind::own) {
    // As Docker: ping and low ports without privileges, in the container's own network only.
    all.emplace("net.ipv4.ping_group_range", "0 2147483647");
    all.emplace("net.ipv4.ip_unprivileged_port_start", "0");
  }
  std::vector<shim::Setting> settings;
  for (const auto& [name, value] : all) settings.push_back({.name = name, .value = value});
  return settings;
}

std::vector<std::string> paths_or(const std::optional<std::vector<std::string>>& given,
                                  const std::vector<std::string>& defaults, bool privileged) {
  if (given) return *given;
  return privileged ? std::vector<std::string>() : defaults;
}

}  // namespace

shim::Program make_program(const ProcessSpec& process) {
  return {.arguments = process.arguments,
          .environment = process.environment,
          .user = process.user,
          .groups = process.group_add,
          .working_dir = process.working_dir.empty() ? "/" : process.working_dir,
          .tty = process.tty,
          .open_stdin = process.open_stdin,
          .rows = process.rows,
          .columns = process.columns};
}

Result<shim::Launch> make_launch(const SandboxSpec& spec, const CgroupHost& cgroups, const std::string& cgroup_root) {
  shim::Launch launch;
  launch.run_dir = spec.run_dir.native();
  for (const auto& layer : spec.layers) launch.layers.push_back(layer.native());
  launch.upper = spec.upper.native();
  launch.work = spec.work.native();
  if (spec.log_path) launch.log_path = spec.log_path->native();
  launch.log_max_size = spec.log.maximum_size;
  launch.log_max_files = spec.log.maximum_files;
  launch.log_format = spec.log.driver == LogSettings::Driver::local ? shim::LogFormat::compact : shim::LogFormat::json;
  launch.log_compress = spec.log.compress;
  launch.log_buffer = spec.log.buffer_size;
  launch.log_attributes = spec.log.attributes;
  launch.program = make_program(spec.process);
  launch.privileges.capabilities = TRY(capability_mask(spec.cap_add, spec.cap_drop, spec.privileged));
  launch.privileges.no_new_privileges = spec.no_new_privileges;
  launch.privileges.seccomp = TRY(seccomp_program(spec.seccomp, launch.privileges.capabilities, spec.privileged));
  launch.privileges.rlimits = TRY(rlimits_of(spec.resources.ulimits));
  launch.privileges.oom_score_adj = spec.oom_score_adj;
  launch.hostname = spec.hostname;
  launch.domainname = spec.domainname;
  for (const RuntimeMount& mount : spec.mounts) launch.mounts.push_back(TRY(mount_entry(mount)));
  launch.devices = TRY(device_nodes(spec.resources.devices));
  if (spec.privileged) {
    for (shim::DeviceNode& node : all_host_devices()) launch.devices.push_back(std::move(node));
  }
  launch.shm_size = spec.shm_size;
  launch.no_shm = spec.no_shm;
  launch.read_only_root = spec.read_only_root;
  launch.writable_system = spec.privileged;
  launch.reaper = spec.init && spec.pid.kind == NamespaceChoice::Kind::own;
  launch.masked_paths = paths_or(spec.masked_paths, kMaskedPaths, spec.privileged);
  launch.read_only_paths = paths_or(spec.read_only_paths, kReadOnlyPaths, spec.privileged);
  launch.sysctls = TRY(settings_of(spec));
  TRY(check_limited_devices(spec.resources));
  launch.cgroup = plan_cgroup(cgroups, cgroup_root, spec.id, spec.resources, spec.privileged);
  // By itself on v2, as in Docker; on v1 and the hybrid when it is asked for; never for a privileged one on v1.
  if (spec.cgroup_mode == "host") launch.cgroup.private_namespace = 0;
  if (spec.cgroup_mode == "private") launch.cgroup.private_namespace = 1;
  launch.network = namespace_of(spec.network);
  launch.no_netfilter = spec.no_netfilter;
  launch.pid = namespace_of(spec.pid);
  launch.ipc = namespace_of(spec.ipc);
  launch.uts = namespace_of(spec.uts);
  return launch;
}

}  // namespace gantry::engine
