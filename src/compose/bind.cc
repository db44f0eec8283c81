#include "compose/bind.h"

#include "base/strings.h"
#include "compose/extensions.h"
#include "compose/output.h"
#include "compose/scalar.h"
#include "compose/values.h"

namespace gantry::compose {
namespace {

std::string text(const Node& map, const char* key) { return map.text_of(key); }
bool flag(const Node& map, const char* key) {
  const Node* node = map.find(key);
  return node != nullptr && node->is_true();
}

std::optional<bool> optional_flag(const Node& map, const char* key) {
  const Node* node = map.find(key);
  if (node == nullptr || node->is_null()) return std::nullopt;
  return node->is_true();
}

std::optional<int64_t> integer(const Node& map, const char* key) {
  const Node* node = map.find(key);
  return node == nullptr ? std::nullopt : parse_integer(node->text);
}

std::optional<uint64_t> count(const Node& map, const char* key) {
  auto value = integer(map, key);
  return value ? std::optional<uint64_t>(static_cast<uint64_t>(*value)) : std::nullopt;
}

std::optional<Duration> duration(const Node& map, const char* key) {
  const Node* node = map.find(key);
  if (node == nullptr || !node->is_string()) return std::nullopt;
  auto value = parse_duration(node->text);
  return value.ok() ? std::optional(*value) : std::nullopt;
}

std::optional<uint32_t> mode(const Node& map, const char* key) {
  const Node* node = map.find(key);
  if (node == nullptr) return std::nullopt;
  return static_cast<uint32_t>(std::strtoul(node->text.c_str(), nullptr, node->is_string() ? 8 : 10));
}

std::vector<std::string> texts(const Node* list) {
  std::vector<std::string> out;
  if (list == nullptr) return out;
  out.reserve(list->items.size());
  for (const Node& item : list->items) out.push_back(item.text);
  return out;
}
std::vector<std::string> texts(const Node& map, const char* key) { return texts(map.find(key)); }

std::optional<std::vector<std::string>> optional_texts(const Node& map, const char* key) {
  const Node* node = map.find(key);
  if (node == nullptr || node->is_null()) return std::nullopt;
  return texts(node);
}

StringMap text_map(const Node& map, const char* key) {
  StringMap out;
  if (const Node* node = map.find(key)) {
    for (const Entry& entry : node->entries) out.emplace(entry.key, entry.value.text);
  }
  return out;
}

std::map<std::string, std::optional<std::string>> environment_map(const Node& map) {
  std::map<std::string, std::optional<std::string>> out;
  if (const Node* node = map.find("environment")) {
    for (const Entry& entry : node->entries) {
      out.emplace(entry.key, entry.value.is_null() ? std::nullopt : std::optional(entry.value.text));
    }
  }
  return out;
}

template <class T, class F>
std::vector<T> each(const Node& map, const char* key, F read) {
  std::vector<T> out;
  if (const Node* list = map.find(key)) {
    out.reserve(list->items.size());
    for (const Node& item : list->items) out.push_back(read(item));
  }
  return out;
}

Port port(const Node& node) {
  return {.name = text(node, "name"),
          .mode = text(node, "mode"),
          .host_ip = text(node, "host_ip"),
          .target = static_cast<uint16_t>(integer(node, "target").value_or(0)),
          .published = text(node, "published"),
          .protocol = text(node, "protocol"),
          .app_protocol = text(node, "app_protocol")};
}

VolumeMount mount(const Node& node) {
  VolumeMount out{.type = text(node, "type"),
                  .source = text(node, "source"),
                  .target = text(node, "target"),
                  .read_only = flag(node, "read_only"),
                  .consistency = text(node, "consistency")};
  if (const Node* bind = node.find("bind")) {
    out.has_bind = true;
    out.propagation = text(*bind, "propagation");
    out.create_host_path = optional_flag(*bind, "create_host_path").value_or(true);
    out.recursive = text(*bind, "recursive");
    out.selinux = text(*bind, "selinux");
  }
  if (const Node* volume = node.find("volume")) {
    out.has_volume = true;
    out.no_copy = flag(*volume, "nocopy");
    out.subpath = text(*volume, "subpath");
    out.volume_labels = text_map(*volume, "labels");
  }
  if (const Node* tmpfs = node.find("tmpfs")) {
    out.has_tmpfs = true;
    out.tmpfs_size = integer(*tmpfs, "size");
    out.tmpfs_mode = mode(*tmpfs, "mode");
  }
  if (const Node* image = node.find("image")) out.image_subpath = text(*image, "subpath");
  return out;
}

FileReference file_reference(const Node& node) {
  return {.source = text(node, "source"),
          .target = text(node, "target"),
          .uid = text(node, "uid"),
          .gid = text(node, "gid"),
          .mode = mode(node, "mode")};
}

std::map<std::string, ServiceLimit> limits(const Node& map) {
  std::map<std::string, ServiceLimit> out;
  const Node* node = map.find("ulimits");
  if (node == nullptr) return out;
  for (const Entry& entry : node->entries) {
    if (entry.value.is_map()) {
      out[entry.key] = {integer(entry.value, "soft").value_or(0), integer(entry.value, "hard").value_or(0), false};
    } else {
      int64_t value = parse_integer(entry.value.text).value_or(0);
      out[entry.key] = {value, value, true};
    }
  }
  return out;
}

BuildConfig build(const Node& node) {
  BuildConfig out;
  out.context = text(node, "context");
  out.dockerfile = text(node, "dockerfile");
  if (node.has("dockerfile_inline")) out.dockerfile_inline = text(node, "dockerfile_inline");
  out.args = text_map(node, "args");
  out.labels = text_map(node, "labels");
  out.additional_contexts = text_map(node, "additional_contexts");
  out.cache_from = texts(node, "cache_from");
  out.cache_to = texts(node, "cache_to");
  out.tags = texts(node, "tags");
  out.platforms = texts(node, "platforms");
  out.entitlements = texts(node, "entitlements");
  out.extra_hosts = texts(node, "extra_hosts");
  out.no_cache_filter = texts(node, "no_cache_filter");
  for (const std::string& id : texts(node, "ssh")) {
    size_t equals = std::min(id.find('='), id.size());
    out.ssh[id.substr(0, equals)] = id.substr(std::min(equals + 1, id.size()));
  }
  out.secrets = each<FileReference>(node, "secrets", file_reference);
  out.network = text(node, "network");
  out.target = text(node, "target");
  out.isolation = text(node, "isolation");
  out.provenance = text(node, "provenance");
  out.sbom = text(node, "sbom");
  out.shm_size = integer(node, "shm_size");
  for (const auto& [name, limit] : limits(node)) out.ulimits[name] = {limit.soft, limit.hard};
  out.no_cache = flag(node, "no_cache");
  out.pull = flag(node, "pull");
  out.privileged = flag(node, "privileged");
  return out;
}

ServiceHealthCheck health(const Node& node) {
  return {.test = texts(node, "test"),
          .interval = duration(node, "interval"),
          .timeout = duration(node, "timeout"),
          .start_period = duration(node, "start_period"),
          .start_interval = duration(node, "start_interval"),
          .retries = count(node, "retries"),
          .disable = flag(node, "disable")};
}

Hook hook(const Node& node) {
  return {.command = texts(node, "command"),
          .user = text(node, "user"),
          .working_dir = text(node, "working_dir"),
          .environment = environment_map(node),
          .privileged = flag(node, "privileged")};
}

std::optional<ServiceNetwork> attachment(const Node& node) {
  if (!node.is_map()) return std::nullopt;
  return ServiceNetwork{.aliases = texts(node, "aliases"),
                        .ipv4_address = text(node, "ipv4_address"),
                        .ipv6_address = text(node, "ipv6_address"),
                        .link_local_ips = texts(node, "link_local_ips"),
                        .mac_address = text(node, "mac_address"),
                        .interface_name = text(node, "interface_name"),
                        .priority = static_cast<int>(integer(node, "priority").value_or(0)),
                        .gw_priority = static_cast<int>(integer(node, "gw_priority").value_or(0)),
                        .driver_opts = text_map(node, "driver_opts")};
}

Dependency dependency(const Node& node) {
  const std::string& condition = node.text_of("condition");
  Dependency out{.restart = flag(node, "restart"), .required = optional_flag(node, "required").value_or(true)};
  if (condition == "service_healthy") out.condition = DependencyCondition::healthy;
  if (condition == "service_completed_successfully") out.condition = DependencyCondition::completed_successfully;
  return out;
}

std::optional<double> fraction(const Node& map, const char* key) {
  const Node* node = map.find(key);
  return node == nullptr ? std::nullopt : parse_number(node->text);
}

void bind_deploy(const Node& node, Service& service) {
  auto replicas = integer(node, "replicas");
  if (!service.scale && replicas) service.scale = static_cast<int>(*replicas);
  if (const Node* restart = node.find("restart_policy")) {
    service.deploy_restart = RestartRule{.condition = text(*restart, "condition"),
                                         .delay = duration(*restart, "delay"),
                                         .max_attempts = count(*restart, "max_attempts"),
                                         .window = duration(*restart, "window")};
  }
  const Node* resources = node.find("resources");
  if (resources == nullptr) return;
  if (const Node* limits = resources->find("limits")) {
    if (!service.cpus) service.cpus = fraction(*limits, "cpus");
    if (!service.mem_limit) service.mem_limit = integer(*limits, "memory");
    if (!service.pids_limit) service.pids_limit = integer(*limits, "pids");
  }
  if (const Node* reservations = resources->find("reservations")) {
    if (!service.mem_reservation) service.mem_reservation = integer(*reservations, "memory");
  }
}

// What the format allows and the engine has no means for.
std::vector<std::string> unsupported_parts(const Node& node, const std::string& path) {
  std::vector<std::string> out;
  auto refuse = [&](const std::string& what) { out.push_back(path + "." + what); };
  for (const char* key : {"gpus", "models", "provider", "pre_start", "credential_spec", "cpu_rt_period",
                          "cpu_rt_runtime", "cpu_count", "cpu_percent", "storage_opt"}) {
    const Node* found = node.find(key);
    if (found != nullptr && !(found->items.empty() && found->entries.empty() && !found->is_scalar())) refuse(key);
  }
  if (flag(node, "use_api_socket")) refuse("use_api_socket");
  const std::string& isolation = node.text_of("isolation");
  if (!isolation.empty() && isolation != "default") refuse("isolation");
  if (const Node* blkio = node.find("blkio_config")) {
    for (const Entry& entry : blkio->entries) {
      if (entry.key != "weight" && !entry.value.items.empty()) refuse("blkio_config." + entry.key);
    }
  }
  if (const Node* volumes = node.find("volumes")) {
    for (size_t i = 0; i < volumes->items.size(); ++i) {
      const std::string& type = volumes->items[i].text_of("type");
      if (type != "bind" && type != "volume" && type != "tmpfs") refuse("volumes[" + std::to_string(i) + "]");
    }
  }
  if (const Node* deploy = node.find("deploy")) {
    const std::string& mode = deploy->text_of("mode");
    if (!mode.empty() && mode != "replicated" && mode != "global") refuse("deploy.mode");
    const Node* resources = deploy->find("resources");
    const Node* reservations = resources == nullptr ? nullptr : resources->find("reservations");
    for (const char* key : {"devices", "generic_resources"}) {
      const Node* found = reservations == nullptr ? nullptr : reservations->find(key);
      if (found != nullptr && !found->items.empty()) refuse(std::string("deploy.resources.reservations.") + key);
    }
  }
  return out;
}

void bind_program(const Node& node, Service& out) {
  out.command = optional_texts(node, "command");
  out.entrypoint = optional_texts(node, "entrypoint");
  out.environment = environment_map(node);
  out.labels = text_map(node, "labels");
  out.annotations = text_map(node, "annotations");
  out.user = text(node, "user");
  out.group_add = texts(node, "group_add");
  out.working_dir = text(node, "working_dir");
  out.tty = flag(node, "tty");
  out.stdin_open = flag(node, "stdin_open");
  out.init = optional_flag(node, "init");
  out.attach = optional_flag(node, "attach");
  out.stop_signal = text(node, "stop_signal");
  out.stop_grace_period = duration(node, "stop_grace_period");
  out.restart = text(node, "restart");
  if (const Node* check = node.find("healthcheck")) out.healthcheck = health(*check);
  out.post_start = each<Hook>(node, "post_start", hook);
  out.pre_stop = each<Hook>(node, "pre_stop", hook);
}

void bind_network(const Node& node, Service& out) {
  if (const Node* networks = node.find("networks")) {
    for (const Entry& entry : networks->entries) out.networks.emplace(entry.key, attachment(entry.value));
  }
  out.network_mode = text(node, "network_mode");
  out.ports = each<Port>(node, "ports", port);
  out.expose = texts(node, "expose");
  out.links = texts(node, "links");
  out.external_links = texts(node, "external_links");
  out.extra_hosts = texts(node, "extra_hosts");
  out.dns = texts(node, "dns");
  out.dns_search = texts(node, "dns_search");
  out.dns_opt = texts(node, "dns_opt");
  out.hostname = text(node, "hostname");
  out.domainname = text(node, "domainname");
  out.mac_address = text(node, "mac_address");
}

void bind_storage(const Node& node, Service& out) {
  out.volumes = each<VolumeMount>(node, "volumes", mount);
  out.volumes_from = texts(node, "volumes_from");
  out.tmpfs = texts(node, "tmpfs");
  out.secrets = each<FileReference>(node, "secrets", file_reference);
  out.configs = each<FileReference>(node, "configs", file_reference);
  out.read_only = flag(node, "read_only");
  out.shm_size = integer(node, "shm_size");
  out.storage_opt = text_map(node, "storage_opt");
}

void bind_isolation(const Node& node, Service& out) {
  out.privileged = flag(node, "privileged");
  out.cap_add = texts(node, "cap_add");
  out.cap_drop = texts(node, "cap_drop");
  out.security_opt = texts(node, "security_opt");
  out.pid = text(node, "pid");
  out.ipc = text(node, "ipc");
  out.uts = text(node, "uts");
  out.cgroup = text(node, "cgroup");
  out.cgroup_parent = text(node, "cgroup_parent");
  out.userns_mode = text(node, "userns_mode");
  out.runtime = text(node, "runtime");
  out.isolation = text(node, "isolation");
  out.sysctls = text_map(node, "sysctls");
  out.ulimits = limits(node);
  out.devices = each<DeviceMapping>(node, "devices", [](const Node& device) {
    std::string permissions = text(device, "permissions");
    return DeviceMapping{text(device, "source"), text(device, "target"), permissions.empty() ? "rwm" : permissions};
  });
  out.device_cgroup_rules = texts(node, "device_cgroup_rules");
}

void bind_resources(const Node& node, Service& out) {
  out.cpus = fraction(node, "cpus");
  out.cpu_shares = integer(node, "cpu_shares");
  out.cpu_period = integer(node, "cpu_period");
  out.cpu_quota = integer(node, "cpu_quota");
  out.cpuset = text(node, "cpuset");
  out.mem_limit = integer(node, "mem_limit");
  out.mem_reservation = integer(node, "mem_reservation");
  out.memswap_limit = integer(node, "memswap_limit");
  out.mem_swappiness = integer(node, "mem_swappiness");
  out.pids_limit = integer(node, "pids_limit");
  out.oom_score_adj = integer(node, "oom_score_adj");
  out.oom_kill_disable = flag(node, "oom_kill_disable");
  if (const Node* blkio = node.find("blkio_config")) out.blkio_weight = integer(*blkio, "weight");
  if (const Node* logging = node.find("logging"); logging != nullptr && logging->is_map()) {
    out.logging = Logging{text(*logging, "driver"), text_map(*logging, "options")};
  }
}

Service bind_service(const Entry& entry, const Node& services) {
  const Node& node = entry.value;
  Service out;
  out.name = entry.key;
  out.image = text(node, "image");
  if (const Node* config = node.find("build"); config != nullptr && config->is_map()) out.build = build(*config);
  out.pull_policy = text(node, "pull_policy");
  out.platform = text(node, "platform");
  out.container_name = text(node, "container_name");
  out.profiles = texts(node, "profiles");
  if (auto scale = integer(node, "scale")) out.scale = static_cast<int>(*scale);
  if (const Node* dependencies = node.find("depends_on")) {
    for (const Entry& on : dependencies->entries) {
      // An optional dependency on a service that does not take part is none.
      if (services.has(on.key)) out.depends_on.emplace(on.key, dependency(on.value));
    }
  }
  bind_program(node, out);
  bind_network(node, out);
  bind_storage(node, out);
  bind_isolation(node, out);
  bind_resources(node, out);
  if (const Node* deploy = node.find("deploy"); deploy != nullptr && deploy->is_map()) bind_deploy(*deploy, out);
  out.canonical_json = to_hashed_json(node, service_shape());
  bind_extensions(node, out);
  out.unsupported = unsupported_parts(node, "services." + entry.key);
  return out;
}

Network bind_network_resource(const Entry& entry) {
  const Node& node = entry.value;
  Network out{.key = entry.key,
              .name = text(node, "name"),
              .driver = text(node, "driver"),
              .driver_opts = text_map(node, "driver_opts"),
              .external = flag(node, "external"),
              .internal = flag(node, "internal"),
              .attachable = flag(node, "attachable"),
              .enable_ipv4 = optional_flag(node, "enable_ipv4"),
              .enable_ipv6 = optional_flag(node, "enable_ipv6"),
              .labels = text_map(node, "labels"),
              .canonical_json = to_hashed_json(node, network_shape())};
  if (const Node* ipam = node.find("ipam")) {
    out.ipam_driver = text(*ipam, "driver");
    out.ipam_options = text_map(*ipam, "options");
    out.pools = each<NetworkPool>(*ipam, "config", [](const Node& pool) {
      return NetworkPool{text(pool, "subnet"), text(pool, "ip_range"), text(pool, "gateway"),
                         text_map(pool, "aux_addresses")};
    });
  }
  return out;
}

Volume bind_volume(const Entry& entry) {
  const Node& node = entry.value;
  return {.key = entry.key,
          .name = text(node, "name"),
          .driver = text(node, "driver"),
          .driver_opts = text_map(node, "driver_opts"),
          .external = flag(node, "external"),
          .labels = text_map(node, "labels"),
          .canonical_json = to_hashed_json(node, volume_shape())};
}

FileSource bind_source(const Entry& entry, const Environment& environment) {
  const Node& node = entry.value;
  FileSource out{.key = entry.key,
                 .name = text(node, "name"),
                 .file = text(node, "file"),
                 .content = {},
                 .external = flag(node, "external")};
  if (node.has("content")) out.content = text(node, "content");
  if (const Node* variable = node.find("environment")) {
    auto found = environment.find(variable->text);
    if (found != environment.end()) out.content = found->second;
  }
  return out;
}

// Marks of elements, their attributes, and one level into these: deeper ones fall back on the nearest above.
class MarkCollector {
 public:
  explicit MarkCollector(const Report& report) : report_(report) {}

  std::map<std::string, Mark> collect(const Node& tree) {
    add_below(tree, 4);
    return std::move(marks_);
  }

 private:
  // By key: nearly all marks then come in the order of the map, whose end needs no search.
  void add_below(const Node& node, int levels) {
    if (levels == 0) return;
    const size_t length = path_.size();
    for (const Entry* entry : by_key(node)) {
      if (!path_.empty()) path_ += '.';
      path_ += entry->key;
      const bool scalar = entry->value.place.line > 0 && entry->value.is_scalar();
      add(scalar ? entry->value.place : entry->place);
      add_below(entry->value, levels - 1);
      path_.resize(length);
    }
    for (size_t i = 0; i < node.items.size(); ++i) {
      path_.append("[").append(std::to_string(i)).append("]");
      add(node.items[i].place);
      path_.resize(length);
    }
  }

  static std::vector<const Entry*> by_key(const Node& node) {
    std::vector<const Entry*> sorted;
    sorted.reserve(node.entries.size());
    for (const Entry& entry : node.entries) sorted.push_back(&entry);
    std::sort(sorted.begin(), sorted.end(), [](const Entry* a, const Entry* b) { return a->key < b->key; });
    return sorted;
  }

  void add(const Place& place) {
    if (place.file >= 0) marks_.emplace_hint(marks_.end(), path_, report_.mark(place));
  }

  const Report& report_;
  std::string path_;  // of where we are
  std::map<std::string, Mark> marks_;
};

template <class T, class F>
std::map<std::string, T> section(const Node& tree, const char* name, F read) {
  std::map<std::string, T> out;
  if (const Node* found = tree.find(name)) {
    for (const Entry& entry : found->entries) out.emplace(entry.key, read(entry));
  }
  return out;
}

}  // namespace

Project bind_project(const Node& tree, const Environment& environment, const Report& report) {
  static const Node kNone = Node::mapping();
  const Node* services = tree.find("services");
  if (services == nullptr) services = &kNone;
  auto source = [&](const Entry& entry) { return bind_source(entry, environment); };
  Project out;
  out.name = text(tree, "name");
  out.services = section<Service>(tree, "services", [&](const Entry& e) { return bind_service(e, *services); });
  out.networks = section<Network>(tree, "networks", bind_network_resource);
  out.volumes = section<Volume>(tree, "volumes", bind_volume);
  out.secrets = section<FileSource>(tree, "secrets", source);
  out.configs = section<FileSource>(tree, "configs", source);
  out.marks = MarkCollector(report).collect(tree);
  return out;
}

}  // namespace gantry::compose
