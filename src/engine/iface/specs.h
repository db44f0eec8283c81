// What is wanted of the engine: plain values, no behaviour. The controller makes them from a Project,
// the Docker-compatible API from request bodies. Nothing here assumes that the engine is local, except
// bind mounts, which name paths on the engine's machine.
//
// Units: sizes in bytes, times as chrono, `std::optional` = not given (the engine's default applies).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"

namespace gantry::engine {

using Labels = std::map<std::string, std::string>;

struct HealthCheck {
  // Docker's form: {"NONE"}, {"CMD", argv…} or {"CMD-SHELL", text}; empty inherits the image's.
  std::vector<std::string> test;
  std::optional<std::chrono::nanoseconds> interval;        // 30 s
  std::optional<std::chrono::nanoseconds> timeout;         // 30 s
  std::optional<std::chrono::nanoseconds> start_period;    // 0
  std::optional<std::chrono::nanoseconds> start_interval;  // 5 s
  std::optional<int> retries;                              // 3
  friend bool operator==(const HealthCheck&, const HealthCheck&) = default;
};

struct RestartPolicy {
  enum class Kind { no, always, unless_stopped, on_failure };
  Kind kind = Kind::no;
  int maximum_retries = 0;  // on_failure only; 0: no limit
  friend bool operator==(const RestartPolicy&, const RestartPolicy&) = default;
};

// One thing mounted into a container.
struct Mount {
  enum class Kind { bind, volume, tmpfs };
  Kind kind = Kind::bind;
  std::string source;  // bind: path on the engine's machine; volume: its name, empty = anonymous; tmpfs: empty
  std::string target;  // absolute path in the container
  bool read_only = false;
  // bind
  bool create_source = false;           // make a missing source directory
  std::string propagation;              // "", "private", "rprivate", "shared", "rshared", "slave", "rslave"
  bool recursive = true;
  // With `read_only`: "" = what is mounted below the source becomes read-only, too, where the kernel can do it;
  // "writable": it stays as it is; "forced": it must become read-only, or the start fails.
  std::string read_only_submounts;
  // volume
  bool no_copy = false;
  std::string subpath;
  Labels volume_labels;                 // for a volume made by this mount
  std::string volume_driver;
  std::map<std::string, std::string> volume_options;
  // tmpfs
  std::optional<uint64_t> tmpfs_size;
  std::optional<uint32_t> tmpfs_mode;
  std::string tmpfs_options;            // comma list as of `docker run --tmpfs path:options`
  friend bool operator==(const Mount&, const Mount&) = default;
};

// A small file that exists for this container only: a secret or config given by content.
struct FileMount {
  std::string target;  // absolute
  std::string content;
  uint32_t mode = 0444;
  uint32_t uid = 0;
  uint32_t gid = 0;
  friend bool operator==(const FileMount&, const FileMount&) = default;
};

enum class PortProtocol { tcp, udp, sctp };

struct ExposedPort {
  uint16_t port = 0;
  PortProtocol protocol = PortProtocol::tcp;
  friend auto operator<=>(const ExposedPort&, const ExposedPort&) = default;
};

struct PublishedPort {
  ExposedPort container;
  std::string host_ip;           // empty: all addresses, IPv4 and IPv6
  uint16_t host_first = 0;       // 0: ephemeral, chosen at each start
  uint16_t host_last = 0;        // == host_first unless a range was given: the first free one is taken
  friend bool operator==(const PublishedPort&, const PublishedPort&) = default;
};

// A container's place in one network.
struct EndpointSpec {
  std::string network;  // name or id
  std::vector<std::string> aliases;
  std::vector<std::string> links;  // "container:alias"
  std::string ipv4_address;        // empty: the engine chooses
  std::string ipv6_address;
  std::vector<std::string> link_local_ips;
  std::string mac_address;
  std::string interface_name;
  int gw_priority = 0;
  int priority = 0;
  std::map<std::string, std::string> driver_options;
  friend bool operator==(const EndpointSpec&, const EndpointSpec&) = default;
};

// "none", "host", the named networks in `ContainerSpec::endpoints`, or another container's namespace.
struct NetworkMode {
  enum class Kind { networks, none, host, container };
  Kind kind = Kind::networks;
  std::string container;  // id or name, Kind::container only
  friend bool operator==(const NetworkMode&, const NetworkMode&) = default;
};

struct Ulimit {
  std::string name;  // as of setrlimit, lower case, without RLIMIT_: "nofile"
  int64_t soft = 0;  // -1: unlimited
  int64_t hard = 0;
  friend bool operator==(const Ulimit&, const Ulimit&) = default;
};

struct Device {
  std::string host_path;
  std::string container_path;
  std::string permissions = "rwm";
  friend bool operator==(const Device&, const Device&) = default;
};

// A block device's own share (BlkioWeightDevice) or limit, in bytes or operations a second.
struct DeviceLimit {
  std::string path;  // of the device on the engine's machine
  uint64_t value = 0;
  friend bool operator==(const DeviceLimit&, const DeviceLimit&) = default;
};

// Devices by what they are, not by their nodes: `docker run --gpus`, `--device vendor.com/class=name`. Resolved with
// the machine's CDI specifications at the start.
struct DeviceRequest {
  std::string driver;                                   // "", "cdi", "nvidia", …
  int count = 0;                                        // -1: all; 0: those in `ids`
  std::vector<std::string> ids;                         // "0", "GPU-…", with driver cdi "vendor.com/class=name"
  std::vector<std::vector<std::string>> capabilities;   // any of these sets: {{"gpu", "compute"}}
  std::map<std::string, std::string> options;
  friend bool operator==(const DeviceRequest&, const DeviceRequest&) = default;
};

struct Resources {
  int64_t memory = 0;            // 0: no limit
  int64_t memory_swap = 0;       // memory + swap; -1 unlimited; 0: twice `memory`
  int64_t memory_reservation = 0;
  std::optional<int64_t> memory_swappiness;
  int64_t nano_cpus = 0;
  int64_t cpu_shares = 0;
  int64_t cpu_period = 0;
  int64_t cpu_quota = 0;
  std::string cpuset_cpus;
  std::string cpuset_mems;
  int64_t pids_limit = 0;        // <= 0: no limit
  uint16_t blkio_weight = 0;
  std::vector<DeviceLimit> blkio_weight_devices;
  std::vector<DeviceLimit> blkio_read_bps;
  std::vector<DeviceLimit> blkio_write_bps;
  std::vector<DeviceLimit> blkio_read_iops;
  std::vector<DeviceLimit> blkio_write_iops;
  bool oom_kill_disable = false;
  std::vector<Ulimit> ulimits;
  std::vector<Device> devices;
  std::vector<std::string> device_cgroup_rules;
  std::vector<DeviceRequest> device_requests;
  std::string cgroup_parent;
  friend bool operator==(const Resources&, const Resources&) = default;
};

struct LogConfig {
  std::string driver;  // "" = the default, json-file; "json-file", "local", "none"
  std::map<std::string, std::string> options;
  friend bool operator==(const LogConfig&, const LogConfig&) = default;
};

// Everything that `docker create` can say, in our words. JSON: spec_json.h.
struct ContainerSpec {
  std::string name;   // without a slash; empty: the engine invents one
  std::string image;  // reference or id, as the user wrote it
  std::string platform;
  Labels labels;
  Labels annotations;

  // The program. Not given: the image's. A given entrypoint (even empty) drops the image's command.
  std::optional<std::vector<std::string>> entrypoint;
  std::optional<std::vector<std::string>> command;
  std::vector<std::string> environment;  // "KEY=value"; "KEY" alone removes the image's
  std::string user;
  std::vector<std::string> group_add;
  std::string working_dir;
  bool tty = false;
  bool open_stdin = false;   // keep the program's standard input open
  bool stdin_once = false;   // close it when the first attached client goes
  uint16_t console_rows = 0;     // of the terminal when the program starts; 0: it has no size yet
  uint16_t console_columns = 0;
  bool attach_stdin = false;     // what the creating client is going to attach: for inspect, without effect
  bool attach_stdout = true;
  bool attach_stderr = true;
  std::optional<std::string> stop_signal;
  std::optional<std::chrono::seconds> stop_timeout;  // 10 s
  std::optional<HealthCheck> health_check;
  std::vector<std::string> shell;

  RestartPolicy restart;
  bool auto_remove = false;
  bool init = false;

  // Storage.
  std::vector<Mount> mounts;
  std::vector<std::string> volumes_from;  // "container[:ro]"
  std::vector<FileMount> files;
  std::set<std::string> anonymous_volumes;  // targets, as of Config.Volumes
  bool read_only = false;
  std::optional<uint64_t> shm_size;  // 64 MiB
  std::map<std::string, std::string> storage_options;

  // Network.
  NetworkMode network_mode;
  std::vector<EndpointSpec> endpoints;  // empty with Kind::networks: the default bridge
  std::set<ExposedPort> exposed;
  std::vector<PublishedPort> published;
  bool publish_all = false;
  std::string hostname;  // empty: the short id
  std::string domainname;
  std::vector<std::string> dns;
  std::vector<std::string> dns_search;
  std::vector<std::string> dns_options;
  std::vector<std::string> extra_hosts;  // "name:address"

  // Isolation.
  bool privileged = false;
  std::vector<std::string> cap_add;
  std::vector<std::string> cap_drop;
  std::vector<std::string> security_options;
  std::string pid_mode;     // "", "host", "container:ID"
  std::string ipc_mode;     // "", "private", "shareable", "none", "host", "container:ID"
  std::string uts_mode;     // "", "host"
  std::string cgroup_mode;  // "", "host", "private"
  std::string userns_mode;
  std::string runtime;
  std::map<std::string, std::string> sysctls;
  int oom_score_adj = 0;
  std::optional<std::vector<std::string>> masked_paths;     // not given: the defaults
  std::optional<std::vector<std::string>> read_only_paths;
  Resources resources;
  LogConfig log;

  friend bool operator==(const ContainerSpec&, const ContainerSpec&) = default;
};

struct IpamPool {
  std::string subnet;    // CIDR
  std::string ip_range;  // CIDR within it
  std::string gateway;
  std::map<std::string, std::string> aux_addresses;
  friend bool operator==(const IpamPool&, const IpamPool&) = default;
};

struct NetworkSpec {
  std::string name;
  std::string driver;  // "" = bridge
  std::map<std::string, std::string> options;
  std::vector<IpamPool> pools;  // empty: the engine chooses
  std::string ipam_driver;
  std::map<std::string, std::string> ipam_options;
  bool internal = false;
  bool attachable = false;
  bool enable_ipv4 = true;
  bool enable_ipv6 = false;
  Labels labels;
  friend bool operator==(const NetworkSpec&, const NetworkSpec&) = default;
};

struct VolumeSpec {
  std::string name;    // empty: a random one, anonymous
  std::string driver;  // "" = local
  std::map<std::string, std::string> options;
  Labels labels;
  friend bool operator==(const VolumeSpec&, const VolumeSpec&) = default;
};

struct StopOptions {
  std::optional<std::string> signal;
  std::optional<std::chrono::seconds> timeout;  // not given: the container's; negative: for ever; 0: kill at once
};

struct RemoveOptions {
  bool force = false;           // kill it if it runs
  bool anonymous_volumes = false;
};

}  // namespace gantry::engine
