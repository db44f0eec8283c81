#include "daemon/docker/host_config.h"

#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "base/strings.h"
#include "daemon/docker/container_spec.h"

namespace gantry::daemon::docker {
namespace {

using engine::ContainerSpec;
using engine::Mount;
using nlohmann::json;

Error bad_volume(const std::string& text) { return invalid("invalid volume specification: '" + text + "'"); }

bool is_propagation(const std::string& word) {
  static constexpr std::array<std::string_view, 6> kWords = {"private", "rprivate", "shared",
                                                             "rshared", "slave",    "rslave"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

Result<> apply_bind_option(const std::string& option, Mount& mount) {
  if (option == "ro") {
    mount.read_only = true;
  } else if (option == "nocopy") {
    mount.no_copy = true;
  } else if (is_propagation(option)) {
    mount.propagation = option;
  } else if (option != "rw" && option != "z" && option != "Z" && !option.empty()) {  // z, Z: SELinux labels only
    return invalid("invalid mode: " + option);
  }
  return {};
}

// Mounts[], the long form.
void read_mount(const Fields& given, ContainerSpec& spec) {
  const std::string type = given.text("Type");
  Mount mount{.source = given.text("Source"), .target = given.text("Target"), .read_only = given.flag("ReadOnly")};
  if (type == "bind") {
    mount.kind = Mount::Kind::bind;
    const Fields options = given.object("BindOptions");
    mount.propagation = options.text("Propagation");
    mount.recursive = !options.flag("NonRecursive");
    mount.create_source = options.flag("CreateMountpoint");
    const bool writable = options.flag("ReadOnlyNonRecursive");
    const bool forced = options.flag("ReadOnlyForceRecursive");
    if (writable && forced) {
      given.refuse(invalid("mount options ReadOnlyNonRecursive and ReadOnlyForceRecursive conflict"));
    }
    if ((writable || forced) && !mount.read_only) {
      given.refuse(invalid(std::string("mount options conflict: ") +
                           (writable ? "ReadOnlyNonRecursive" : "ReadOnlyForceRecursive") + " needs ReadOnly"));
    }
    mount.read_only_submounts = writable ? "writable" : forced ? "forced" : "";
    if (!mount.source.starts_with('/')) {
      given.refuse(invalid("invalid mount config for type \"bind\": invalid mount path: '" + mount.source +
                           "' mount path must be absolute"));
    }
  } else if (type == "volume") {
    mount.kind = Mount::Kind::volume;
    const Fields options = given.object("VolumeOptions");
    mount.no_copy = options.flag("NoCopy");
    mount.subpath = options.text("Subpath");
    mount.volume_labels = options.text_map("Labels");
    const Fields driver = options.object("DriverConfig");
    mount.volume_driver = driver.text("Name");
    mount.volume_options = driver.text_map("Options");
  } else if (type == "tmpfs") {
    mount.kind = Mount::Kind::tmpfs;
    const Fields options = given.object("TmpfsOptions");
    if (const int64_t size = options.integer("SizeBytes"); size > 0) mount.tmpfs_size = static_cast<uint64_t>(size);
    if (const int64_t mode = options.integer("Mode"); mode > 0) mount.tmpfs_mode = static_cast<uint32_t>(mode);
    for (const std::vector<std::string>& option : options.text_lists("Options")) {
      if (option.empty() || option.size() > 2) {
        options.complain("Options", "each must be [\"name\"] or [\"name\", \"value\"]");
        continue;
      }
      if (!mount.tmpfs_options.empty()) mount.tmpfs_options += ",";
      mount.tmpfs_options += join(option, "=");
    }
  } else if (type == "image") {
    given.refuse(unsupported("mount type \"image\" is not supported"));
  } else {
    given.refuse(invalid("invalid mount config for type \"" + type + "\": mount type unknown"));
  }
  if (!mount.target.starts_with('/')) {
    given.refuse(invalid("invalid mount config for type \"" + type + "\": invalid mount path: '" + mount.target +
                         "' mount path must be absolute"));
  }
  spec.mounts.push_back(std::move(mount));
}

void read_storage(const Fields& host, ContainerSpec& spec) {
  const std::string driver = host.text("VolumeDriver");
  for (const std::string& text : host.texts("Binds")) {
    Result<Mount> mount = parse_bind(text);
    if (!mount.ok()) {
      host.refuse(std::move(mount).error());
      continue;
    }
    if (mount->kind == Mount::Kind::volume) mount->volume_driver = driver;
    spec.mounts.push_back(std::move(*mount));
  }
  for (const Fields& mount : host.objects("Mounts")) read_mount(mount, spec);
  for (const auto& [target, options] : host.text_map("Tmpfs")) {
    Mount mount{.kind = Mount::Kind::tmpfs, .target = target};
    mount.tmpfs_options = options;
    spec.mounts.push_back(std::move(mount));
  }
  std::set<std::string> targets;
  for (const Mount& mount : spec.mounts) {
    if (!targets.insert(mount.target).second) host.refuse(invalid("Duplicate mount point: " + mount.target));
  }
  spec.volumes_from = host.texts("VolumesFrom");
  spec.read_only = host.flag("ReadonlyRootfs");
  if (const int64_t size = host.integer("ShmSize"); size > 0) {
    spec.shm_size = static_cast<uint64_t>(size);
  } else if (size < 0) {
    host.refuse(invalid("SHM size can not be less than 0"));
  }
  spec.storage_options = host.text_map("StorageOpt");
}

Result<engine::PublishedPort> published_port(const engine::ExposedPort& port, const std::string& ip,
                                             const std::string& text) {
  engine::PublishedPort published{.container = port, .host_ip = ip == "0.0.0.0" ? "" : ip};
  if (text.empty()) return published;
  const size_t dash = text.find('-');
  const std::optional<uint64_t> first = parse_unsigned(std::string_view(text).substr(0, dash));
  const std::optional<uint64_t> last =
      dash == std::string::npos ? first : parse_unsigned(std::string_view(text).substr(dash + 1));
  if (!first || !last || *first > 65535 || *last > 65535 || *last < *first) {
    return invalid("invalid port specification: " + gantry::quoted(text));
  }
  published.host_first = static_cast<uint16_t>(*first);
  published.host_last = static_cast<uint16_t>(*last);
  return published;
}

void read_ports(const Fields& host, ContainerSpec& spec) {
  spec.publish_all = host.flag("PublishAllPorts");
  for (const auto& [text, bindings] : host.member_lists("PortBindings")) {
    const Result<engine::ExposedPort> port = parse_exposed_port(text);
    if (!port.ok()) {
      host.refuse(port.error());
      continue;
    }
    spec.exposed.insert(*port);  // publishing a port says that there is one
    // A port with an empty list is published on an ephemeral port, as one with an empty binding.
    if (bindings.empty()) spec.published.push_back({.container = *port, .host_ip = {}});
    for (const Fields& binding : bindings) {
      Result<engine::PublishedPort> published = published_port(*port, binding.text("HostIp"), binding.text("HostPort"));
      if (published.ok()) {
        spec.published.push_back(std::move(*published));
      } else {
        host.refuse(std::move(published).error());
      }
    }
  }
}

void read_restart_policy(const Fields& host, ContainerSpec& spec) {
  const Fields policy = host.object("RestartPolicy");
  const std::string name = policy.text("Name");
  using Kind = engine::RestartPolicy::Kind;
  if (name.empty() || name == "no") {
    spec.restart.kind = Kind::no;
  } else if (name == "always") {
    spec.restart.kind = Kind::always;
  } else if (name == "unless-stopped") {
    spec.restart.kind = Kind::unless_stopped;
  } else if (name == "on-failure") {
    spec.restart.kind = Kind::on_failure;
  } else {
    host.refuse(invalid("invalid restart policy: unknown policy '" + name +
                        "'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"));
  }
  const int64_t retries = policy.integer("MaximumRetryCount");
  spec.restart.maximum_retries = static_cast<int>(retries);
  if (retries < 0) host.refuse(invalid("invalid restart policy: maximum retry count cannot be negative"));
  if (retries > 0 && spec.restart.kind != Kind::on_failure) {
    host.refuse(invalid("invalid restart policy: maximum retry count can only be used with 'on-failure'"));
  }
  spec.auto_remove = host.flag("AutoRemove");
  if (spec.auto_remove && spec.restart.kind != Kind::no) {
    host.refuse(invalid("can't create 'AutoRemove' container with restart policy"));
  }
}

void read_isolation(const Fields& host, ContainerSpec& spec) {
  spec.privileged = host.flag("Privileged");
  spec.cap_add = host.text_or_texts("CapAdd").value_or(std::vector<std::string>());
  spec.cap_drop = host.text_or_texts("CapDrop").value_or(std::vector<std::string>());
  spec.security_options = host.texts("SecurityOpt");
  spec.pid_mode = host.text("PidMode");
  spec.ipc_mode = host.text("IpcMode");
  spec.uts_mode = host.text("UTSMode");
  spec.cgroup_mode = host.text("CgroupnsMode");
  spec.userns_mode = host.text("UsernsMode");
  spec.runtime = host.text("Runtime");
  spec.sysctls = host.text_map("Sysctls");
  spec.oom_score_adj = static_cast<int>(host.integer("OomScoreAdj"));
  spec.masked_paths = host.optional_texts("MaskedPaths");
  spec.read_only_paths = host.optional_texts("ReadonlyPaths");
  spec.group_add = host.texts("GroupAdd");
  spec.init = host.flag("Init");
  const std::string isolation = host.text("Isolation");
  if (!isolation.empty() && isolation != "default") {
    host.refuse(invalid("invalid isolation '" + isolation + "': only 'default' is known on Linux"));
  }
}

std::vector<engine::DeviceLimit> device_limits(const Fields& host, std::string_view list, std::string_view value) {
  std::vector<engine::DeviceLimit> limits;
  for (const Fields& given : host.objects(list)) {
    const int64_t number = given.integer(value);
    if (number < 0) given.complain(value, "must not be negative");
    limits.push_back({.path = given.text("Path"), .value = static_cast<uint64_t>(std::max<int64_t>(number, 0))});
  }
  return limits;
}

void read_resources(const Fields& host, engine::Resources& resources) {
  resources.memory = host.integer("Memory");
  resources.memory_swap = host.integer("MemorySwap");
  resources.memory_reservation = host.integer("MemoryReservation");
  resources.memory_swappiness = host.optional_integer("MemorySwappiness");
  if (resources.memory_swappiness == -1) resources.memory_swappiness.reset();  // how clients say "not given"
  resources.nano_cpus = host.integer("NanoCpus");
  resources.cpu_shares = host.integer("CpuShares");
  resources.cpu_period = host.integer("CpuPeriod");
  resources.cpu_quota = host.integer("CpuQuota");
  resources.cpuset_cpus = host.text("CpusetCpus");
  resources.cpuset_mems = host.text("CpusetMems");
  resources.pids_limit = host.integer("PidsLimit");
  resources.blkio_weight = static_cast<uint16_t>(host.integer("BlkioWeight"));
  resources.oom_kill_disable = host.flag("OomKillDisable");
  resources.device_cgroup_rules = host.texts("DeviceCgroupRules");
  resources.cgroup_parent = host.text("CgroupParent");
  for (const Fields& limit : host.objects("Ulimits")) {
    resources.ulimits.push_back(
        {.name = limit.text("Name"), .soft = limit.integer("Soft"), .hard = limit.integer("Hard")});
  }
  resources.blkio_weight_devices = device_limits(host, "BlkioWeightDevice", "Weight");
  resources.blkio_read_bps = device_limits(host, "BlkioDeviceReadBps", "Rate");
  resources.blkio_write_bps = device_limits(host, "BlkioDeviceWriteBps", "Rate");
  resources.blkio_read_iops = device_limits(host, "BlkioDeviceReadIOps", "Rate");
  resources.blkio_write_iops = device_limits(host, "BlkioDeviceWriteIOps", "Rate");
  for (const Fields& request : host.objects("DeviceRequests")) {
    resources.device_requests.push_back({.driver = request.text("Driver"),
                                         .count = static_cast<int>(request.integer("Count")),
                                         .ids = request.texts("DeviceIDs"),
                                         .capabilities = request.text_lists("Capabilities"),
                                         .options = request.text_map("Options")});
  }
  for (const Fields& device : host.objects("Devices")) {
    const std::string permissions = device.text("CgroupPermissions");
    resources.devices.push_back({.host_path = device.text("PathOnHost"),
                                 .container_path = device.text("PathInContainer"),
                                 .permissions = permissions.empty() ? "rwm" : permissions});
  }
}

// Needs a kernel built for real-time groups, which distributions do not ship; Docker refuses it with these words, too.
void refuse_real_time(const Fields& host) {
  if (host.integer("CpuRealtimePeriod") != 0) {
    host.refuse(invalid("kernel does not support CPU real-time scheduler: HostConfig.CpuRealtimePeriod cannot be set"));
  }
  if (host.integer("CpuRealtimeRuntime") != 0) {
    host.refuse(invalid("kernel does not support CPU real-time scheduler: HostConfig.CpuRealtimeRuntime cannot be set"));
  }
}

}  // namespace

Result<Mount> parse_bind(const std::string& text) {
  const std::vector<std::string> parts = split(text, ':');
  if (parts.size() > 3) return bad_volume(text);
  Mount mount;
  const std::string target = parts.size() == 1 ? parts[0] : parts[1];
  const std::string source = parts.size() == 1 ? "" : parts[0];
  if (target.empty() || (parts.size() > 1 && source.empty())) return bad_volume(text);
  if (!target.starts_with('/')) {
    return invalid("invalid volume specification: '" + text + "': invalid mount path: '" + target +
                   "' mount path must be absolute");
  }
  if (target == "/") return invalid("invalid volume specification: '" + text + "': destination can't be '/'");
  mount.kind = source.starts_with('/') ? Mount::Kind::bind : Mount::Kind::volume;
  mount.source = source;
  mount.target = target;
  mount.create_source = mount.kind == Mount::Kind::bind;
  if (parts.size() == 3) {
    for (const std::string& option : split(parts[2], ',')) TRY(apply_bind_option(option, mount));
  }
  return mount;
}

void read_host_config(const Fields& host, ContainerSpec& spec) {
  read_storage(host, spec);
  read_ports(host, spec);
  read_restart_policy(host, spec);
  read_isolation(host, spec);
  read_resources(host, spec.resources);
  refuse_real_time(host);
  const Fields log = host.object("LogConfig");
  spec.log = {.driver = log.text("Type"), .options = log.text_map("Config")};
  spec.dns = host.texts("Dns");
  spec.dns_options = host.texts("DnsOptions");
  spec.dns_search = host.texts("DnsSearch");
  spec.extra_hosts = host.texts("ExtraHosts");
  spec.annotations = host.text_map("Annotations");
}

}  // namespace gantry::daemon::docker
