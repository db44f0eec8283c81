#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "daemon/docker/container_spec.h"
#include "daemon/docker/host_config.h"

namespace gantry::daemon::docker {
namespace {

using engine::ContainerSpec;
using engine::Mount;
using nlohmann::json;

// Mounts as they were given in the short form come back as Binds; the rest as Mounts.
bool is_bind_form(const Mount& mount) {
  if (mount.kind == Mount::Kind::tmpfs) return false;
  if (mount.kind == Mount::Kind::bind) return mount.create_source && mount.recursive && mount.read_only_submounts.empty();
  return !mount.source.empty() && mount.subpath.empty() && mount.volume_labels.empty() && mount.volume_options.empty();
}

std::string bind_text(const Mount& mount) {
  std::string text = mount.source + ":" + mount.target + (mount.read_only ? ":ro" : ":rw");
  if (!mount.propagation.empty()) text += "," + mount.propagation;
  if (mount.no_copy) text += ",nocopy";
  return text;
}

json mount_json(const Mount& mount) {
  json value = {{"Target", mount.target}};
  if (mount.read_only) value["ReadOnly"] = true;
  if (!mount.source.empty()) value["Source"] = mount.source;
  if (mount.kind == Mount::Kind::bind) {
    value["Type"] = "bind";
    json options = json::object();
    if (!mount.propagation.empty()) options["Propagation"] = mount.propagation;
    if (!mount.recursive) options["NonRecursive"] = true;
    if (mount.create_source) options["CreateMountpoint"] = true;
    if (mount.read_only_submounts == "writable") options["ReadOnlyNonRecursive"] = true;
    if (mount.read_only_submounts == "forced") options["ReadOnlyForceRecursive"] = true;
    if (!options.empty()) value["BindOptions"] = std::move(options);
  } else if (mount.kind == Mount::Kind::volume) {
    value["Type"] = "volume";
    json options = json::object();
    if (mount.no_copy) options["NoCopy"] = true;
    if (!mount.subpath.empty()) options["Subpath"] = mount.subpath;
    if (!mount.volume_labels.empty()) options["Labels"] = mount.volume_labels;
    if (!mount.volume_driver.empty() || !mount.volume_options.empty()) {
      options["DriverConfig"] = {{"Name", mount.volume_driver}, {"Options", mount.volume_options}};
    }
    if (!options.empty()) value["VolumeOptions"] = std::move(options);
  } else {
    value["Type"] = "tmpfs";
    json options = json::object();
    if (mount.tmpfs_size) options["SizeBytes"] = *mount.tmpfs_size;
    if (mount.tmpfs_mode) options["Mode"] = *mount.tmpfs_mode;
    if (!mount.tmpfs_options.empty()) {
      for (const std::string& option : split(mount.tmpfs_options, ',')) options["Options"].push_back(split(option, '='));
    }
    if (!options.empty()) value["TmpfsOptions"] = std::move(options);
  }
  return value;
}

void add_storage(const ContainerSpec& spec, json& host) {
  json binds = json::array();
  json mounts = json::array();
  json tmpfs = json::object();
  for (const Mount& mount : spec.mounts) {
    if (is_bind_form(mount)) {
      binds.push_back(bind_text(mount));
    } else if (mount.kind == Mount::Kind::tmpfs && !mount.tmpfs_size && !mount.tmpfs_mode) {
      tmpfs[mount.target] = mount.tmpfs_options;
    } else {
      mounts.push_back(mount_json(mount));
    }
  }
  host["Binds"] = binds.empty() ? json() : std::move(binds);
  if (!mounts.empty()) host["Mounts"] = std::move(mounts);
  if (!tmpfs.empty()) host["Tmpfs"] = std::move(tmpfs);
  host["VolumesFrom"] = spec.volumes_from.empty() ? json() : json(spec.volumes_from);
  host["VolumeDriver"] = "";
  host["ReadonlyRootfs"] = spec.read_only;
  host["ShmSize"] = spec.shm_size.value_or(64 << 20);
  if (!spec.storage_options.empty()) host["StorageOpt"] = spec.storage_options;
}

json port_bindings(const ContainerSpec& spec) {
  json bindings = json::object();
  for (const engine::PublishedPort& port : spec.published) {
    std::string text = port.host_first == 0 ? "" : std::to_string(port.host_first);
    if (port.host_last > port.host_first) text += "-" + std::to_string(port.host_last);
    bindings[to_string(port.container)].push_back({{"HostIp", port.host_ip}, {"HostPort", text}});
  }
  return bindings;
}

const char* restart_name(engine::RestartPolicy::Kind kind) {
  switch (kind) {
    case engine::RestartPolicy::Kind::no:
      return "no";
    case engine::RestartPolicy::Kind::always:
      return "always";
    case engine::RestartPolicy::Kind::unless_stopped:
      return "unless-stopped";
    case engine::RestartPolicy::Kind::on_failure:
      return "on-failure";
  }
  return "no";
}

json list_or_null(const std::vector<std::string>& list) { return list.empty() ? json() : json(list); }

void add_isolation(const ContainerSpec& spec, json& host) {
  host["Privileged"] = spec.privileged;
  host["CapAdd"] = list_or_null(spec.cap_add);
  host["CapDrop"] = list_or_null(spec.cap_drop);
  host["SecurityOpt"] = list_or_null(spec.security_options);
  host["PidMode"] = spec.pid_mode;
  host["IpcMode"] = spec.ipc_mode.empty() ? "private" : spec.ipc_mode;
  host["UTSMode"] = spec.uts_mode;
  host["CgroupnsMode"] = spec.cgroup_mode.empty() ? "private" : spec.cgroup_mode;
  host["UsernsMode"] = spec.userns_mode;
  host["Runtime"] = spec.runtime.empty() ? "gantry" : spec.runtime;
  host["Isolation"] = "";
  host["Cgroup"] = "";
  host["ContainerIDFile"] = "";
  host["OomScoreAdj"] = spec.oom_score_adj;
  host["GroupAdd"] = list_or_null(spec.group_add);
  if (spec.init) host["Init"] = true;
  if (!spec.sysctls.empty()) host["Sysctls"] = spec.sysctls;
  if (!spec.annotations.empty()) host["Annotations"] = spec.annotations;
  host["MaskedPaths"] = spec.masked_paths ? json(*spec.masked_paths) : json();
  host["ReadonlyPaths"] = spec.read_only_paths ? json(*spec.read_only_paths) : json();
}

json device_limits_json(const std::vector<engine::DeviceLimit>& limits, const char* value) {
  json list = json::array();
  for (const engine::DeviceLimit& limit : limits) list.push_back({{"Path", limit.path}, {value, limit.value}});
  return list.empty() ? json() : list;
}

void add_resources(const engine::Resources& resources, json& host) {
  host["Memory"] = resources.memory;
  // What 0 stands for when there is a limit: as much swap again.
  host["MemorySwap"] =
      resources.memory > 0 && resources.memory_swap == 0 ? 2 * resources.memory : resources.memory_swap;
  host["MemoryReservation"] = resources.memory_reservation;
  host["MemorySwappiness"] = resources.memory_swappiness ? json(*resources.memory_swappiness) : json();
  host["NanoCpus"] = resources.nano_cpus;
  host["CpuShares"] = resources.cpu_shares;
  host["CpuPeriod"] = resources.cpu_period;
  host["CpuQuota"] = resources.cpu_quota;
  host["CpuRealtimePeriod"] = 0;
  host["CpuRealtimeRuntime"] = 0;
  // Windows' own, which Docker's answers hold on every system.
  for (const char* unused : {"CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth"}) host[unused] = 0;
  host["CpusetCpus"] = resources.cpuset_cpus;
  host["CpusetMems"] = resources.cpuset_mems;
  host["PidsLimit"] = resources.pids_limit > 0 ? json(resources.pids_limit) : json();
  host["BlkioWeight"] = resources.blkio_weight;
  host["BlkioWeightDevice"] = device_limits_json(resources.blkio_weight_devices, "Weight");
  host["BlkioDeviceReadBps"] = device_limits_json(resources.blkio_read_bps, "Rate");
  host["BlkioDeviceWriteBps"] = device_limits_json(resources.blkio_write_bps, "Rate");
  host["BlkioDeviceReadIOps"] = device_limits_json(resources.blkio_read_iops, "Rate");
  host["BlkioDeviceWriteIOps"] = device_limits_json(resources.blkio_write_iops, "Rate");
  json requests = json::array();
  for (const engine::DeviceRequest& request : resources.device_requests) {
    requests.push_back({{"Driver", request.driver},
                        {"Count", request.count},
                        {"DeviceIDs", list_or_null(request.ids)},
                        {"Capabilities", request.capabilities},
                        {"Options", request.options}});
  }
  host["DeviceRequests"] = requests.empty() ? json() : std::move(requests);
  host["OomKillDisable"] = resources.oom_kill_disable;
  host["DeviceCgroupRules"] = list_or_null(resources.device_cgroup_rules);
  host["CgroupParent"] = resources.cgroup_parent;
  json limits = json::array();
  for (const engine::Ulimit& limit : resources.ulimits) {
    limits.push_back({{"Name", limit.name}, {"Soft", limit.soft}, {"Hard", limit.hard}});
  }
  host["Ulimits"] = limits.empty() ? json() : std::move(limits);
  json devices = json::array();
  for (const engine::Device& device : resources.devices) {
    devices.push_back({{"PathOnHost", device.host_path},
                       {"PathInContainer", device.container_path},
                       {"CgroupPermissions", device.permissions}});
  }
  host["Devices"] = devices.empty() ? json() : std::move(devices);
}

}  // namespace

std::string network_mode_text(const engine::NetworkMode& mode, const std::string& first_network) {
  switch (mode.kind) {
    case engine::NetworkMode::Kind::none:
      return "none";
    case engine::NetworkMode::Kind::host:
      return "host";
    case engine::NetworkMode::Kind::container:
      return "container:" + mode.container;
    case engine::NetworkMode::Kind::networks:
      break;
  }
  return first_network.empty() ? "bridge" : first_network;
}

std::string network_mode_text(const ContainerSpec& spec) {
  return network_mode_text(spec.network_mode, spec.endpoints.empty() ? "" : spec.endpoints.front().network);
}

json host_config_json(const ContainerSpec& spec) {
  json host = json::object();
  add_storage(spec, host);
  host["PortBindings"] = port_bindings(spec);
  host["PublishAllPorts"] = spec.publish_all;
  host["NetworkMode"] = network_mode_text(spec);
  host["RestartPolicy"] = {{"Name", restart_name(spec.restart.kind)},
                           {"MaximumRetryCount", spec.restart.maximum_retries}};
  host["AutoRemove"] = spec.auto_remove;
  host["LogConfig"] = {{"Type", spec.log.driver.empty() ? "json-file" : spec.log.driver}, {"Config", spec.log.options}};
  host["ConsoleSize"] = {0, 0};
  host["Dns"] = spec.dns;
  host["DnsOptions"] = spec.dns_options;
  host["DnsSearch"] = spec.dns_search;
  host["ExtraHosts"] = list_or_null(spec.extra_hosts);
  host["Links"] = nullptr;
  add_isolation(spec, host);
  add_resources(spec.resources, host);
  return host;
}

}  // namespace gantry::daemon::docker
