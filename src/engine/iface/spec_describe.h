// The fields of the values in specs.h, for json_fields.h. Only for *_json.cc files.
#pragma once

#include "engine/iface/specs.h"

namespace gantry::engine {

// Names of enumerators; nullptr after the last one.
inline const char* enum_name(RestartPolicy::Kind kind) {
  switch (kind) {
    case RestartPolicy::Kind::no: return "no";
    case RestartPolicy::Kind::always: return "always";
    case RestartPolicy::Kind::unless_stopped: return "unless-stopped";
    case RestartPolicy::Kind::on_failure: return "on-failure";
  }
  return nullptr;
}
inline const char* enum_name(Mount::Kind kind) {
  switch (kind) {
    case Mount::Kind::bind: return "bind";
    case Mount::Kind::volume: return "volume";
    case Mount::Kind::tmpfs: return "tmpfs";
  }
  return nullptr;
}
inline const char* enum_name(PortProtocol protocol) {
  switch (protocol) {
    case PortProtocol::tcp: return "tcp";
    case PortProtocol::udp: return "udp";
    case PortProtocol::sctp: return "sctp";
  }
  return nullptr;
}
inline const char* enum_name(NetworkMode::Kind kind) {
  switch (kind) {
    case NetworkMode::Kind::networks: return "networks";
    case NetworkMode::Kind::none: return "none";
    case NetworkMode::Kind::host: return "host";
    case NetworkMode::Kind::container: return "container";
  }
  return nullptr;
}

template <class Fields>
void describe(Fields& fields, HealthCheck*) {
  fields("test", &HealthCheck::test);
  fields("interval", &HealthCheck::interval);
  fields("timeout", &HealthCheck::timeout);
  fields("start_period", &HealthCheck::start_period);
  fields("start_interval", &HealthCheck::start_interval);
  fields("retries", &HealthCheck::retries);
}

template <class Fields>
void describe(Fields& fields, RestartPolicy*) {
  fields("kind", &RestartPolicy::kind);
  fields("maximum_retries", &RestartPolicy::maximum_retries);
}

template <class Fields>
void describe(Fields& fields, Mount*) {
  fields("kind", &Mount::kind);
  fields("source", &Mount::source);
  fields("target", &Mount::target);
  fields("read_only", &Mount::read_only);
  fields("create_source", &Mount::create_source);
  fields("propagation", &Mount::propagation);
  fields("recursive", &Mount::recursive);
  fields("read_only_submounts", &Mount::read_only_submounts);
  fields("no_copy", &Mount::no_copy);
  fields("subpath", &Mount::subpath);
  fields("volume_labels", &Mount::volume_labels);
  fields("volume_driver", &Mount::volume_driver);
  fields("volume_options", &Mount::volume_options);
  fields("tmpfs_size", &Mount::tmpfs_size);
  fields("tmpfs_mode", &Mount::tmpfs_mode);
  fields("tmpfs_options", &Mount::tmpfs_options);
}

template <class Fields>
void describe(Fields& fields, FileMount*) {
  fields("target", &FileMount::target);
  fields("content", &FileMount::content);
  fields("mode", &FileMount::mode);
  fields("uid", &FileMount::uid);
  fields("gid", &FileMount::gid);
}

template <class Fields>
void describe(Fields& fields, ExposedPort*) {
  fields("port", &ExposedPort::port);
  fields("protocol", &ExposedPort::protocol);
}

template <class Fields>
void describe(Fields& fields, PublishedPort*) {
  fields("container", &PublishedPort::container);
  fields("host_ip", &PublishedPort::host_ip);
  fields("host_first", &PublishedPort::host_first);
  fields("host_last", &PublishedPort::host_last);
}

template <class Fields>
void describe(Fields& fields, EndpointSpec*) {
  fields("network", &EndpointSpec::network);
  fields("aliases", &EndpointSpec::aliases);
  fields("links", &EndpointSpec::links);
  fields("ipv4_address", &EndpointSpec::ipv4_address);
  fields("ipv6_address", &EndpointSpec::ipv6_address);
  fields("link_local_ips", &EndpointSpec::link_local_ips);
  fields("mac_address", &EndpointSpec::mac_address);
  fields("interface_name", &EndpointSpec::interface_name);
  fields("gw_priority", &EndpointSpec::gw_priority);
  fields("priority", &EndpointSpec::priority);
  fields("driver_options", &EndpointSpec::driver_options);
}

template <class Fields>
void describe(Fields& fields, NetworkMode*) {
  fields("kind", &NetworkMode::kind);
  fields("container", &NetworkMode::container);
}

template <class Fields>
void describe(Fields& fields, Ulimit*) {
  fields("name", &Ulimit::name);
  fields("soft", &Ulimit::soft);
  fields("hard", &Ulimit::hard);
}

template <class Fields>
void describe(Fields& fields, Device*) {
  fields("host_path", &Device::host_path);
  fields("container_path", &Device::container_path);
  fields("permissions", &Device::permissions);
}

template <class Fields>
void describe(Fields& fields, DeviceLimit*) {
  fields("path", &DeviceLimit::path);
  fields("value", &DeviceLimit::value);
}

template <class Fields>
void describe(Fields& fields, DeviceRequest*) {
  fields("driver", &DeviceRequest::driver);
  fields("count", &DeviceRequest::count);
  fields("ids", &DeviceRequest::ids);
  fields("capabilities", &DeviceRequest::capabilities);
  fields("options", &DeviceRequest::options);
}

template <class Fields>
void describe(Fields& fields, Resources*) {
  fields("memory", &Resources::memory);
  fields("memory_swap", &Resources::memory_swap);
  fields("memory_reservation", &Resources::memory_reservation);
  fields("memory_swappiness", &Resources::memory_swappiness);
  fields("nano_cpus", &Resources::nano_cpus);
  fields("cpu_shares", &Resources::cpu_shares);
  fields("cpu_period", &Resources::cpu_period);
  fields("cpu_quota", &Resources::cpu_quota);
  fields("cpuset_cpus", &Resources::cpuset_cpus);
  fields("cpuset_mems", &Resources::cpuset_mems);
  fields("pids_limit", &Resources::pids_limit);
  fields("blkio_weight", &Resources::blkio_weight);
  fields("blkio_weight_devices", &Resources::blkio_weight_devices);
  fields("blkio_read_bps", &Resources::blkio_read_bps);
  fields("blkio_write_bps", &Resources::blkio_write_bps);
  fields("blkio_read_iops", &Resources::blkio_read_iops);
  fields("blkio_write_iops", &Resources::blkio_write_iops);
  fields("oom_kill_disable", &Resources::oom_kill_disable);
  fields("ulimits", &Resources::ulimits);
  fields("devices", &Resources::devices);
  fields("device_cgroup_rules", &Resources::device_cgroup_rules);
  fields("device_requests", &Resources::device_requests);
  fields("cgroup_parent", &Resources::cgroup_parent);
}

template <class Fields>
void describe(Fields& fields, LogConfig*) {
  fields("driver", &LogConfig::driver);
  fields("options", &LogConfig::options);
}

template <class Fields>
void describe(Fields& fields, ContainerSpec*) {
  using S = ContainerSpec;
  fields("name", &S::name);
  fields("image", &S::image);
  fields("platform", &S::platform);
  fields("labels", &S::labels);
  fields("annotations", &S::annotations);
  fields("entrypoint", &S::entrypoint);
  fields("command", &S::command);
  fields("environment", &S::environment);
  fields("user", &S::user);
  fields("group_add", &S::group_add);
  fields("working_dir", &S::working_dir);
  fields("tty", &S::tty);
  fields("open_stdin", &S::open_stdin);
  fields("stdin_once", &S::stdin_once);
  fields("console_rows", &S::console_rows);
  fields("console_columns", &S::console_columns);
  fields("attach_stdin", &S::attach_stdin);
  fields("attach_stdout", &S::attach_stdout);
  fields("attach_stderr", &S::attach_stderr);
  fields("stop_signal", &S::stop_signal);
  fields("stop_timeout", &S::stop_timeout);
  fields("health_check", &S::health_check);
  fields("shell", &S::shell);
  fields("restart", &S::restart);
  fields("auto_remove", &S::auto_remove);
  fields("init", &S::init);
  fields("mounts", &S::mounts);
  fields("volumes_from", &S::volumes_from);
  fields("files", &S::files);
  fields("anonymous_volumes", &S::anonymous_volumes);
  fields("read_only", &S::read_only);
  fields("shm_size", &S::shm_size);
  fields("storage_options", &S::storage_options);
  fields("network_mode", &S::network_mode);
  fields("endpoints", &S::endpoints);
  fields("exposed", &S::exposed);
  fields("published", &S::published);
  fields("publish_all", &S::publish_all);
  fields("hostname", &S::hostname);
  fields("domainname", &S::domainname);
  fields("dns", &S::dns);
  fields("dns_search", &S::dns_search);
  fields("dns_options", &S::dns_options);
  fields("extra_hosts", &S::extra_hosts);
  fields("privileged", &S::privileged);
  fields("cap_add", &S::cap_add);
  fields("cap_drop", &S::cap_drop);
  fields("security_options", &S::security_options);
  fields("pid_mode", &S::pid_mode);
  fields("ipc_mode", &S::ipc_mode);
  fields("uts_mode", &S::uts_mode);
  fields("cgroup_mode", &S::cgroup_mode);
  fields("userns_mode", &S::userns_mode);
  fields("runtime", &S::runtime);
  fields("sysctls", &S::sysctls);
  fields("oom_score_adj", &S::oom_score_adj);
  fields("masked_paths", &S::masked_paths);
  fields("read_only_paths", &S::read_only_paths);
  fields("resources", &S::resources);
  fields("log", &S::log);
}

template <class Fields>
void describe(Fields& fields, IpamPool*) {
  fields("subnet", &IpamPool::subnet);
  fields("ip_range", &IpamPool::ip_range);
  fields("gateway", &IpamPool::gateway);
  fields("aux_addresses", &IpamPool::aux_addresses);
}

template <class Fields>
void describe(Fields& fields, NetworkSpec*) {
  using S = NetworkSpec;
  fields("name", &S::name);
  fields("driver", &S::driver);
  fields("options", &S::options);
  fields("pools", &S::pools);
  fields("ipam_driver", &S::ipam_driver);
  fields("ipam_options", &S::ipam_options);
  fields("internal", &S::internal);
  fields("attachable", &S::attachable);
  fields("enable_ipv4", &S::enable_ipv4);
  fields("enable_ipv6", &S::enable_ipv6);
  fields("labels", &S::labels);
}

template <class Fields>
void describe(Fields& fields, VolumeSpec*) {
  fields("name", &VolumeSpec::name);
  fields("driver", &VolumeSpec::driver);
  fields("options", &VolumeSpec::options);
  fields("labels", &VolumeSpec::labels);
}

}  // namespace gantry::engine
