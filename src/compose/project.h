// A whole application as a plain value: what the loader makes, what is sent to the daemon, what the graph and
// the plan are made from. No pointers into files, no behaviour. JSON in project_json.h.
//
// Everything is resolved: variables, extends, includes, profiles, relative paths, env files. Values that the user
// did not give and that have no default in the format are empty optionals. `marks` says where each came from.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/boxed.h"
#include "compose/source.h"

namespace gantry::compose {

using StringMap = std::map<std::string, std::string>;
using Duration = std::chrono::nanoseconds;

enum class DependencyCondition { started, healthy, completed_successfully };
const char* to_string(DependencyCondition condition);  // "service_started", …

struct Dependency {
  DependencyCondition condition = DependencyCondition::started;
  bool restart = false;
  bool required = true;
  friend bool operator==(const Dependency&, const Dependency&) = default;
};

struct ServiceNetwork {
  std::vector<std::string> aliases;
  std::string ipv4_address;
  std::string ipv6_address;
  std::vector<std::string> link_local_ips;
  std::string mac_address;
  std::string interface_name;
  int priority = 0;
  int gw_priority = 0;
  StringMap driver_opts;
  friend bool operator==(const ServiceNetwork&, const ServiceNetwork&) = default;
};

struct Port {
  std::string name;
  std::string mode = "ingress";
  std::string host_ip;
  uint16_t target = 0;
  std::string published;  // "", "8080" or "8000-9000"
  std::string protocol = "tcp";
  std::string app_protocol;
  friend bool operator==(const Port&, const Port&) = default;
};

struct VolumeMount {
  std::string type;    // bind, volume, tmpfs, image, npipe, cluster
  std::string source;  // bind: absolute; volume: key of the project's volumes, "" = anonymous
  std::string target;
  bool read_only = false;
  std::string consistency;
  // bind
  bool has_bind = false;
  std::string propagation;
  bool create_host_path = true;
  std::string recursive;
  std::string selinux;
  // volume
  bool has_volume = false;
  bool no_copy = false;
  std::string subpath;
  StringMap volume_labels;
  // tmpfs
  bool has_tmpfs = false;
  std::optional<int64_t> tmpfs_size;
  std::optional<uint32_t> tmpfs_mode;
  // image
  std::string image_subpath;
  friend bool operator==(const VolumeMount&, const VolumeMount&) = default;
};

struct FileReference {  // a service's use of a secret or config
  std::string source;   // key of the project's secrets/configs
  std::string target;   // as given; secrets: filled in
  std::string uid;
  std::string gid;
  std::optional<uint32_t> mode;
  friend bool operator==(const FileReference&, const FileReference&) = default;
};

struct ServiceHealthCheck {
  std::vector<std::string> test;
  std::optional<Duration> interval;
  std::optional<Duration> timeout;
  std::optional<Duration> start_period;
  std::optional<Duration> start_interval;
  std::optional<uint64_t> retries;
  bool disable = false;
  friend bool operator==(const ServiceHealthCheck&, const ServiceHealthCheck&) = default;
};

struct BuildConfig {
  std::string context;  // absolute path, or a URL
  std::string dockerfile;
  std::optional<std::string> dockerfile_inline;
  std::map<std::string, std::string> args;
  StringMap labels;
  StringMap additional_contexts;
  std::vector<std::string> cache_from;
  std::vector<std::string> cache_to;
  std::vector<std::string> tags;
  std::vector<std::string> platforms;
  std::vector<std::string> entitlements;
  std::vector<std::string> extra_hosts;  // "host=ip"
  std::vector<std::string> no_cache_filter;
  std::map<std::string, std::string> ssh;
  std::vector<FileReference> secrets;
  std::string network;
  std::string target;
  std::string isolation;
  std::string provenance;
  std::string sbom;
  std::optional<int64_t> shm_size;
  std::map<std::string, std::pair<int64_t, int64_t>> ulimits;  // soft, hard
  bool no_cache = false;
  bool pull = false;
  bool privileged = false;
  friend bool operator==(const BuildConfig&, const BuildConfig&) = default;
};

struct Hook {
  std::vector<std::string> command;
  std::string user;
  std::string working_dir;
  std::map<std::string, std::optional<std::string>> environment;
  bool privileged = false;
  friend bool operator==(const Hook&, const Hook&) = default;
};

struct ServiceLimit {
  int64_t soft = 0;
  int64_t hard = 0;
  bool single = false;  // written as one number
  friend bool operator==(const ServiceLimit&, const ServiceLimit&) = default;
};

struct DeviceMapping {
  std::string source;
  std::string target;
  std::string permissions;
  friend bool operator==(const DeviceMapping&, const DeviceMapping&) = default;
};

struct Logging {
  std::string driver;
  StringMap options;
  friend bool operator==(const Logging&, const Logging&) = default;
};

struct RestartRule {  // deploy.restart_policy
  std::string condition;
  std::optional<Duration> delay;
  std::optional<uint64_t> max_attempts;
  std::optional<Duration> window;
  friend bool operator==(const RestartRule&, const RestartRule&) = default;
};

struct Service {
  std::string name;
  std::string image;  // "" with `build`: PROJECT-NAME
  Boxed<BuildConfig> build;
  std::string pull_policy;
  std::string platform;
  std::string container_name;
  std::vector<std::string> profiles;
  std::optional<int> scale;               // scale or deploy.replicas
  std::map<std::string, Dependency> depends_on;  // implied ones included

  std::optional<std::vector<std::string>> command;
  std::optional<std::vector<std::string>> entrypoint;
  std::map<std::string, std::optional<std::string>> environment;  // nullopt: unset in the container
  StringMap labels;
  StringMap annotations;
  std::string user;
  std::vector<std::string> group_add;
  std::string working_dir;
  bool tty = false;
  bool stdin_open = false;
  std::optional<bool> init;
  std::optional<bool> attach;
  std::string stop_signal;
  std::optional<Duration> stop_grace_period;
  std::string restart;
  Boxed<RestartRule> deploy_restart;
  Boxed<ServiceHealthCheck> healthcheck;
  std::vector<Hook> post_start;
  std::vector<Hook> pre_stop;

  std::map<std::string, std::optional<ServiceNetwork>> networks;
  std::string network_mode;
  std::vector<Port> ports;
  std::vector<std::string> expose;
  std::vector<std::string> links;
  std::vector<std::string> external_links;
  std::vector<std::string> extra_hosts;  // "host=ip"
  std::vector<std::string> dns;
  std::vector<std::string> dns_search;
  std::vector<std::string> dns_opt;
  std::string hostname;
  std::string domainname;
  std::string mac_address;

  std::vector<VolumeMount> volumes;
  std::vector<std::string> volumes_from;
  std::vector<std::string> tmpfs;  // "path[:options]"
  std::vector<FileReference> secrets;
  std::vector<FileReference> configs;
  bool read_only = false;
  std::optional<int64_t> shm_size;
  StringMap storage_opt;

  bool privileged = false;
  std::vector<std::string> cap_add;
  std::vector<std::string> cap_drop;
  std::vector<std::string> security_opt;
  std::string pid;
  std::string ipc;
  std::string uts;
  std::string cgroup;
  std::string cgroup_parent;
  std::string userns_mode;
  std::string runtime;
  std::string isolation;
  StringMap sysctls;
  std::map<std::string, ServiceLimit> ulimits;
  std::vector<DeviceMapping> devices;
  std::vector<std::string> device_cgroup_rules;

  std::optional<double> cpus;
  std::optional<int64_t> cpu_shares;
  std::optional<int64_t> cpu_period;
  std::optional<int64_t> cpu_quota;
  std::string cpuset;
  std::optional<int64_t> mem_limit;
  std::optional<int64_t> mem_reservation;
  std::optional<int64_t> memswap_limit;
  std::optional<int64_t> mem_swappiness;
  std::optional<int64_t> pids_limit;
  std::optional<int64_t> oom_score_adj;
  bool oom_kill_disable = false;
  std::optional<int64_t> blkio_weight;
  Boxed<Logging> logging;

  // The service as it is printed by `config`, canonical JSON text with keys in the format's order. Attributes that
  // have no field above live only here; the controller refuses those that it cannot apply (validate: `unsupported`).
  std::string canonical_json;
  // Attributes that are present, accepted by the format, but not built yet ("services.web.gpus"): `up` refuses
  // them with the mark, `config` prints them.
  std::vector<std::string> unsupported;

  friend bool operator==(const Service&, const Service&) = default;
};

struct NetworkPool {
  std::string subnet;
  std::string ip_range;
  std::string gateway;
  StringMap aux_addresses;
  friend bool operator==(const NetworkPool&, const NetworkPool&) = default;
};

struct Network {
  std::string key;
  std::string name;  // as the engine knows it
  std::string driver;
  StringMap driver_opts;
  std::string ipam_driver;
  std::vector<NetworkPool> pools;
  StringMap ipam_options;
  bool external = false;
  bool internal = false;
  bool attachable = false;
  std::optional<bool> enable_ipv4;
  std::optional<bool> enable_ipv6;
  StringMap labels;
  std::string canonical_json;
  friend bool operator==(const Network&, const Network&) = default;
};

struct Volume {
  std::string key;
  std::string name;
  std::string driver;
  StringMap driver_opts;
  bool external = false;
  StringMap labels;
  std::string canonical_json;
  friend bool operator==(const Volume&, const Volume&) = default;
};

struct FileSource {  // a secret or config
  std::string key;
  std::string name;
  std::string file;                    // absolute path, or
  std::optional<std::string> content;  // text: from `content` or the environment; never printed for secrets
  bool external = false;
  friend bool operator==(const FileSource&, const FileSource&) = default;
};

struct Project {
  std::string name;
  std::string separator = "-";  // in names of containers and built images; "_": --compatibility
  std::string working_dir;
  std::vector<std::string> config_files;       // absolute
  std::vector<std::string> environment_files;  // absolute, only explicit ones
  std::map<std::string, Service> services;     // active ones
  std::map<std::string, Network> networks;     // used ones
  std::map<std::string, Volume> volumes;
  std::map<std::string, FileSource> secrets;
  std::map<std::string, FileSource> configs;
  std::vector<std::string> disabled_services;  // known, but not active: not orphans
  // "services.web.image" → where it was written. Not part of the application: two projects that differ
  // only here are the same.
  std::map<std::string, Mark> marks;

  // The mark of `path`, or of the nearest enclosing element that has one.
  Mark mark_of(const std::string& path) const;
};

}  // namespace gantry::compose
