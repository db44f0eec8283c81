#include "compose/project_json.h"

#include <nlohmann/json.hpp>

#include "base/json_nesting.h"
#include "base/json_text.h"

namespace gantry::compose {
namespace {

using Json = nlohmann::json;

constexpr size_t kLargestProject = 64u << 20;
constexpr int kMostDepth = 32;  // a project is about ten deep
constexpr size_t kBytesOfService = 1024;  // more than most take

// The members of every struct of project.h, by name: one list for both directions.
template <class T>
struct Fields;

template <>
struct Fields<Dependency> {
  template <class F>
  static void visit(F&& f) {
    f("condition", &Dependency::condition);
    f("restart", &Dependency::restart);
    f("required", &Dependency::required);
  }
};
template <>
struct Fields<ServiceNetwork> {
  template <class F>
  static void visit(F&& f) {
    f("aliases", &ServiceNetwork::aliases);
    f("ipv4_address", &ServiceNetwork::ipv4_address);
    f("ipv6_address", &ServiceNetwork::ipv6_address);
    f("link_local_ips", &ServiceNetwork::link_local_ips);
    f("mac_address", &ServiceNetwork::mac_address);
    f("interface_name", &ServiceNetwork::interface_name);
    f("priority", &ServiceNetwork::priority);
    f("gw_priority", &ServiceNetwork::gw_priority);
    f("driver_opts", &ServiceNetwork::driver_opts);
  }
};
template <>
struct Fields<Port> {
  template <class F>
  static void visit(F&& f) {
    f("name", &Port::name);
    f("mode", &Port::mode);
    f("host_ip", &Port::host_ip);
    f("target", &Port::target);
    f("published", &Port::published);
    f("protocol", &Port::protocol);
    f("app_protocol", &Port::app_protocol);
  }
};
template <>
struct Fields<VolumeMount> {
  template <class F>
  static void visit(F&& f) {
    f("type", &VolumeMount::type);
    f("source", &VolumeMount::source);
    f("target", &VolumeMount::target);
    f("read_only", &VolumeMount::read_only);
    f("consistency", &VolumeMount::consistency);
    f("has_bind", &VolumeMount::has_bind);
    f("propagation", &VolumeMount::propagation);
    f("create_host_path", &VolumeMount::create_host_path);
    f("recursive", &VolumeMount::recursive);
    f("selinux", &VolumeMount::selinux);
    f("has_volume", &VolumeMount::has_volume);
    f("no_copy", &VolumeMount::no_copy);
    f("subpath", &VolumeMount::subpath);
    f("volume_labels", &VolumeMount::volume_labels);
    f("has_tmpfs", &VolumeMount::has_tmpfs);
    f("tmpfs_size", &VolumeMount::tmpfs_size);
    f("tmpfs_mode", &VolumeMount::tmpfs_mode);
    f("image_subpath", &VolumeMount::image_subpath);
  }
};
template <>
struct Fields<FileReference> {
  template <class F>
  static void visit(F&& f) {
    f("source", &FileReference::source);
    f("target", &FileReference::target);
    f("uid", &FileReference::uid);
    f("gid", &FileReference::gid);
    f("mode", &FileReference::mode);
  }
};
template <>
struct Fields<ServiceHealthCheck> {
  template <class F>
  static void visit(F&& f) {
    f("test", &ServiceHealthCheck::test);
    f("interval", &ServiceHealthCheck::interval);
    f("timeout", &ServiceHealthCheck::timeout);
    f("start_period", &ServiceHealthCheck::start_period);
    f("start_interval", &ServiceHealthCheck::start_interval);
    f("retries", &ServiceHealthCheck::retries);
    f("disable", &ServiceHealthCheck::disable);
  }
};
template <>
struct Fields<BuildConfig> {
  template <class F>
  static void visit(F&& f) {
    f("context", &BuildConfig::context);
    f("dockerfile", &BuildConfig::dockerfile);
    f("dockerfile_inline", &BuildConfig::dockerfile_inline);
    f("args", &BuildConfig::args);
    f("labels", &BuildConfig::labels);
    f("additional_contexts", &BuildConfig::additional_contexts);
    f("cache_from", &BuildConfig::cache_from);
    f("cache_to", &BuildConfig::cache_to);
    f("tags", &BuildConfig::tags);
    f("platforms", &BuildConfig::platforms);
    f("entitlements", &BuildConfig::entitlements);
    f("extra_hosts", &BuildConfig::extra_hosts);
    f("no_cache_filter", &BuildConfig::no_cache_filter);
    f("ssh", &BuildConfig::ssh);
    f("secrets", &BuildConfig::secrets);
    f("network", &BuildConfig::network);
    f("target", &BuildConfig::target);
    f("isolation", &BuildConfig::isolation);
    f("provenance", &BuildConfig::provenance);
    f("sbom", &BuildConfig::sbom);
    f("shm_size", &BuildConfig::shm_size);
    f("ulimits", &BuildConfig::ulimits);
    f("no_cache", &BuildConfig::no_cache);
    f("pull", &BuildConfig::pull);
    f("privileged", &BuildConfig::privileged);
  }
};
template <>
struct Fields<Hook> {
  template <class F>
  static void visit(F&& f) {
    f("command", &Hook::command);
    f("user", &Hook::user);
    f("working_dir", &Hook::working_dir);
    f("environment", &Hook::environment);
    f("privileged", &Hook::privileged);
  }
};
template <>
struct Fields<ServiceLimit> {
  template <class F>
  static void visit(F&& f) {
    f("soft", &ServiceLimit::soft);
    f("hard", &ServiceLimit::hard);
    f("single", &ServiceLimit::single);
  }
};
template <>
struct Fields<DeviceMapping> {
  template <class F>
  static void visit(F&& f) {
    f("source", &DeviceMapping::source);
    f("target", &DeviceMapping::target);
    f("permissions", &DeviceMapping::permissions);
  }
};
template <>
struct Fields<Logging> {
  template <class F>
  static void visit(F&& f) {
    f("driver", &Logging::driver);
    f("options", &Logging::options);
  }
};
template <>
struct Fields<RestartRule> {
  template <class F>
  static void visit(F&& f) {
    f("condition", &RestartRule::condition);
    f("delay", &RestartRule::delay);
    f("max_attempts", &RestartRule::max_attempts);
    f("window", &RestartRule::window);
  }
};
template <>
struct Fields<Service> {
  template <class F>
  static void visit(F&& f) {
    f("name", &Service::name);
    f("image", &Service::image);
    f("build", &Service::build);
    f("pull_policy", &Service::pull_policy);
    f("platform", &Service::platform);
    f("container_name", &Service::container_name);
    f("profiles", &Service::profiles);
    f("scale", &Service::scale);
    f("depends_on", &Service::depends_on);
    f("command", &Service::command);
    f("entrypoint", &Service::entrypoint);
    f("environment", &Service::environment);
    f("labels", &Service::labels);
    f("annotations", &Service::annotations);
    f("user", &Service::user);
    f("group_add", &Service::group_add);
    f("working_dir", &Service::working_dir);
    f("tty", &Service::tty);
    f("stdin_open", &Service::stdin_open);
    f("init", &Service::init);
    f("attach", &Service::attach);
    f("stop_signal", &Service::stop_signal);
    f("stop_grace_period", &Service::stop_grace_period);
    f("restart", &Service::restart);
    f("deploy_restart", &Service::deploy_restart);
    f("healthcheck", &Service::healthcheck);
    f("post_start", &Service::post_start);
    f("pre_stop", &Service::pre_stop);
    f("networks", &Service::networks);
    f("network_mode", &Service::network_mode);
    f("ports", &Service::ports);
    f("expose", &Service::expose);
    f("links", &Service::links);
    f("external_links", &Service::external_links);
    f("extra_hosts", &Service::extra_hosts);
    f("dns", &Service::dns);
    f("dns_search", &Service::dns_search);
    f("dns_opt", &Service::dns_opt);
    f("hostname", &Service::hostname);
    f("domainname", &Service::domainname);
    f("mac_address", &Service::mac_address);
    f("volumes", &Service::volumes);
    f("volumes_from", &Service::volumes_from);
    f("tmpfs", &Service::tmpfs);
    f("secrets", &Service::secrets);
    f("configs", &Service::configs);
    f("read_only", &Service::read_only);
    f("shm_size", &Service::shm_size);
    f("storage_opt", &Service::storage_opt);
    f("privileged", &Service::privileged);
    f("cap_add", &Service::cap_add);
    f("cap_drop", &Service::cap_drop);
    f("security_opt", &Service::security_opt);
    f("pid", &Service::pid);
    f("ipc", &Service::ipc);
    f("uts", &Service::uts);
    f("cgroup", &Service::cgroup);
    f("cgroup_parent", &Service::cgroup_parent);
    f("userns_mode", &Service::userns_mode);
    f("runtime", &Service::runtime);
    f("isolation", &Service::isolation);
    f("sysctls", &Service::sysctls);
    f("ulimits", &Service::ulimits);
    f("devices", &Service::devices);
    f("device_cgroup_rules", &Service::device_cgroup_rules);
    f("cpus", &Service::cpus);
    f("cpu_shares", &Service::cpu_shares);
    f("cpu_period", &Service::cpu_period);
    f("cpu_quota", &Service::cpu_quota);
    f("cpuset", &Service::cpuset);
    f("mem_limit", &Service::mem_limit);
    f("mem_reservation", &Service::mem_reservation);
    f("memswap_limit", &Service::memswap_limit);
    f("mem_swappiness", &Service::mem_swappiness);
    f("pids_limit", &Service::pids_limit);
    f("oom_score_adj", &Service::oom_score_adj);
    f("oom_kill_disable", &Service::oom_kill_disable);
    f("blkio_weight", &Service::blkio_weight);
    f("logging", &Service::logging);
    f("canonical_json", &Service::canonical_json);
    f("unsupported", &Service::unsupported);
  }
};
template <>
struct Fields<NetworkPool> {
  template <class F>
  static void visit(F&& f) {
    f("subnet", &NetworkPool::subnet);
    f("ip_range", &NetworkPool::ip_range);
    f("gateway", &NetworkPool::gateway);
    f("aux_addresses", &NetworkPool::aux_addresses);
  }
};
template <>
struct Fields<Network> {
  template <class F>
  static void visit(F&& f) {
    f("key", &Network::key);
    f("name", &Network::name);
    f("driver", &Network::driver);
    f("driver_opts", &Network::driver_opts);
    f("ipam_driver", &Network::ipam_driver);
    f("pools", &Network::pools);
    f("ipam_options", &Network::ipam_options);
    f("external", &Network::external);
    f("internal", &Network::internal);
    f("attachable", &Network::attachable);
    f("enable_ipv4", &Network::enable_ipv4);
    f("enable_ipv6", &Network::enable_ipv6);
    f("labels", &Network::labels);
    f("canonical_json", &Network::canonical_json);
  }
};
template <>
struct Fields<Volume> {
  template <class F>
  static void visit(F&& f) {
    f("key", &Volume::key);
    f("name", &Volume::name);
    f("driver", &Volume::driver);
    f("driver_opts", &Volume::driver_opts);
    f("external", &Volume::external);
    f("labels", &Volume::labels);
    f("canonical_json", &Volume::canonical_json);
  }
};
template <>
struct Fields<FileSource> {
  template <class F>
  static void visit(F&& f) {
    f("key", &FileSource::key);
    f("name", &FileSource::name);
    f("file", &FileSource::file);
    f("content", &FileSource::content);
    f("external", &FileSource::external);
  }
};
template <>
struct Fields<Project> {
  template <class F>
  static void visit(F&& f) {
    f("name", &Project::name);
    f("separator", &Project::separator);
    f("working_dir", &Project::working_dir);
    f("config_files", &Project::config_files);
    f("environment_files", &Project::environment_files);
    f("services", &Project::services);
    f("networks", &Project::networks);
    f("volumes", &Project::volumes);
    f("secrets", &Project::secrets);
    f("configs", &Project::configs);
    f("disabled_services", &Project::disabled_services);
    f("marks", &Project::marks);
  }
};

template <class T>
concept Described = requires { Fields<T>::visit([](const char*, auto) {}); };

// ---- value → JSON text; members that have their default value are left out

void write(std::string& out, const std::string& value) { append_json(out, value); }
void write(std::string& out, bool value) { out += value ? "true" : "false"; }
void write(std::string& out, double value) { out += Json(value).dump(); }
template <std::integral T>
void write(std::string& out, T value) { out += std::to_string(value); }
void write(std::string& out, Duration value) { write(out, value.count()); }
void write(std::string& out, DependencyCondition value) { append_json(out, to_string(value)); }
template <Described T>
void write(std::string& out, const T& value);
template <class T>
void write(std::string& out, const std::optional<T>& value);
template <class T>
void write(std::string& out, const Boxed<T>& value);
template <class T>
void write(std::string& out, const std::vector<T>& value);
template <class T>
void write(std::string& out, const std::map<std::string, T>& value);

template <class... T>
void write_array(std::string& out, const T&... items) {
  const char* before = "[";
  ((out += std::exchange(before, ","), write(out, items)), ...);
  out += ']';
}

void write(std::string& out, const std::pair<int64_t, int64_t>& value) { write_array(out, value.first, value.second); }
void write(std::string& out, const Mark& value) { write_array(out, value.file, value.line, value.column); }

template <class T>
void write(std::string& out, const std::optional<T>& value) {
  if (value) write(out, *value);
  else out += "null";
}

template <class T>
void write(std::string& out, const Boxed<T>& value) {
  if (value) write(out, *value);
  else out += "null";
}

template <class T>
void write(std::string& out, const std::vector<T>& value) {
  out += '[';
  for (const T& item : value) {
    if (out.back() != '[') out += ',';
    write(out, item);
  }
  out += ']';
}

void write_key(std::string& out, std::string_view key) {
  if (out.back() != '{') out += ',';
  append_json(out, key);
  out += ':';
}

template <class T>
void write(std::string& out, const std::map<std::string, T>& value) {
  out += '{';
  for (const auto& [key, item] : value) {
    write_key(out, key);
    write(out, item);
  }
  out += '}';
}

template <Described T>
void write(std::string& out, const T& value) {
  [[maybe_unused]] static const T kDefault{};
  out += '{';
  Fields<T>::visit([&](const char* name, auto member) {
    if (value.*member == kDefault.*member) return;
    write_key(out, name);
    write(out, value.*member);
  });
  out += '}';
}

// ---- JSON → value; false: not of that type

bool decode(const Json& json, std::string& value) {
  if (!json.is_string()) return false;
  value = json.get_ref<const std::string&>();
  return true;
}

bool decode(const Json& json, bool& value) {
  if (!json.is_boolean()) return false;
  value = json.get<bool>();
  return true;
}

bool decode(const Json& json, double& value) {
  if (!json.is_number()) return false;
  value = json.get<double>();
  return true;
}

template <std::integral T>
bool decode(const Json& json, T& value) {
  if (!json.is_number_integer()) return false;
  if (json.is_number_unsigned()) {
    uint64_t number = json.get<uint64_t>();
    value = static_cast<T>(number);
    return std::in_range<T>(number);
  }
  int64_t number = json.get<int64_t>();
  value = static_cast<T>(number);
  return std::in_range<T>(number);
}

bool decode(const Json& json, Duration& value) {
  int64_t count = 0;
  if (!decode(json, count)) return false;
  value = Duration(count);
  return true;
}

bool decode(const Json& json, DependencyCondition& value) {
  for (DependencyCondition known : {DependencyCondition::started, DependencyCondition::healthy,
                                    DependencyCondition::completed_successfully}) {
    if (json == to_string(known)) {
      value = known;
      return true;
    }
  }
  return false;
}

bool decode(const Json& json, std::pair<int64_t, int64_t>& value) {
  return json.is_array() && json.size() == 2 && decode(json[0], value.first) && decode(json[1], value.second);
}

bool decode(const Json& json, Mark& value) {
  return json.is_array() && json.size() == 3 && decode(json[0], value.file) && decode(json[1], value.line) &&
         decode(json[2], value.column);
}

template <Described T>
bool decode(const Json& json, T& value);
template <class T>
bool decode(const Json& json, std::optional<T>& value);
template <class T>
bool decode(const Json& json, Boxed<T>& value);
template <class T>
bool decode(const Json& json, std::vector<T>& value);
template <class T>
bool decode(const Json& json, std::map<std::string, T>& value);

template <class T>
bool decode(const Json& json, std::optional<T>& value) {
  if (json.is_null()) return true;
  return decode(json, value.emplace());
}

template <class T>
bool decode(const Json& json, Boxed<T>& value) {
  if (json.is_null()) return true;
  return decode(json, value.emplace());
}

template <class T>
bool decode(const Json& json, std::vector<T>& value) {
  if (!json.is_array()) return false;
  value.reserve(json.size());
  for (const Json& item : json) {
    if (!decode(item, value.emplace_back())) return false;
  }
  return true;
}

template <class T>
bool decode(const Json& json, std::map<std::string, T>& value) {
  if (!json.is_object()) return false;
  for (auto it = json.begin(); it != json.end(); ++it) {
    if (!decode(it.value(), value[it.key()])) return false;
  }
  return true;
}

template <Described T>
bool decode(const Json& json, T& value) {
  if (!json.is_object()) return false;
  size_t known = 0;
  bool good = true;
  Fields<T>::visit([&](const char* name, auto member) {
    auto found = json.find(name);
    if (found == json.end()) return;
    ++known;
    good = good && decode(*found, value.*member);
  });
  return good && known == json.size();
}

}  // namespace

std::string to_json(const Project& project) {
  std::string out;
  out.reserve(kBytesOfService * (project.services.size() + 4));  // growing would copy it time and again
  write(out, project);
  return out;
}

bool identical(const Project& a, const Project& b) {
  bool same = true;
  Fields<Project>::visit([&](const char*, auto member) { same = same && a.*member == b.*member; });
  return same;
}

Result<Project> project_from_document(const Json& document) {
  Project project;
  if (!decode(document, project)) {
    return invalid("project: a member is unknown or of the wrong type: client and daemon differ in version");
  }
  return project;
}

Result<Project> project_from_json(std::string_view json) {
  if (json.size() > kLargestProject) return invalid("project: larger than 64 MiB");
  if (json_nesting(json) > kMostDepth) return invalid("project: nested too deeply");
  try {
    const Json document = Json::parse(json.begin(), json.end());
    return project_from_document(document);
  } catch (const Json::exception& error) {
    return invalid(std::string("project: not JSON: ") + error.what());
  }
}

}  // namespace gantry::compose
