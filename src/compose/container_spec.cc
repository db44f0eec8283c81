#include "compose/container_spec.h"

#include <cmath>
#include <limits>

#include "base/strings.h"
#include "compose/graph.h"

namespace gantry::compose {
namespace {

using engine::ContainerSpec;
using engine::EndpointSpec;
using engine::Mount;
using engine::NetworkMode;

// Errors of one attribute get its path and mark.
Error at(const Project& project, const Service& service, const std::string& attribute, Error error) {
  std::string path = "services." + service.name + "." + attribute;
  return {error.code(), path + ": " + error.message() + mark_line(project, path)};
}

#define TRY_AT(attribute, expression)                                                          \
  __extension__({                                                                              \
    auto try_at_ = (expression);                                                               \
    if (!try_at_.ok()) return at(project, service, attribute, std::move(try_at_).error());     \
    std::move(try_at_).value();                                                                \
  })

std::string indexed(const std::string& attribute, size_t index) { return attribute + "[" + std::to_string(index) + "]"; }

Result<> refuse_unsupported(const Project& project, const Service& service) {
  auto refuse = [&](const std::string& path) {
    return unsupported(path + " is not supported yet: remove it to bring " + gantry::quoted(service.name) + " up" +
                       mark_line(project, path));
  };
  if (!service.unsupported.empty()) return refuse(service.unsupported.front());
  return {};
}

void set_program(const Service& service, ContainerSpec& spec) {
  spec.entrypoint = service.entrypoint;
  spec.command = service.command;
  for (const auto& [key, value] : service.environment) spec.environment.push_back(value ? key + "=" + *value : key);
  spec.user = service.user;
  spec.group_add = service.group_add;
  spec.working_dir = service.working_dir;
  spec.tty = service.tty;
  spec.open_stdin = service.stdin_open;
  spec.init = service.init.value_or(false);
  if (!service.stop_signal.empty()) spec.stop_signal = service.stop_signal;
  // The engine counts whole seconds; a shorter wish is rounded up, so that "500ms" does not become "kill at once".
  if (service.stop_grace_period) spec.stop_timeout = std::chrono::ceil<std::chrono::seconds>(*service.stop_grace_period);
  spec.annotations = service.annotations;
}

void set_health_check(const Service& service, ContainerSpec& spec) {
  if (!service.healthcheck) return;
  const ServiceHealthCheck& check = *service.healthcheck;
  if (check.disable) {
    spec.health_check = engine::HealthCheck{.test = {"NONE"}};
    return;
  }
  engine::HealthCheck wanted{.test = check.test,
                             .interval = check.interval,
                             .timeout = check.timeout,
                             .start_period = check.start_period,
                             .start_interval = check.start_interval};
  if (check.retries) {
    wanted.retries = static_cast<int>(std::min<uint64_t>(*check.retries, std::numeric_limits<int>::max()));
  }
  spec.health_check = std::move(wanted);
}

Result<> set_restart(const Project& project, const Service& service, ContainerSpec& spec) {
  if (!service.restart.empty()) {
    spec.restart = TRY_AT("restart", parse_restart(service.restart));
    return {};
  }
  if (!service.deploy_restart) return {};
  using Kind = engine::RestartPolicy::Kind;
  const RestartRule& rule = *service.deploy_restart;
  if (rule.condition == "none") {
    spec.restart.kind = Kind::no;
  } else if (rule.condition == "on-failure") {
    uint64_t attempts = std::min<uint64_t>(rule.max_attempts.value_or(0), std::numeric_limits<int>::max());
    spec.restart = {.kind = Kind::on_failure, .maximum_retries = static_cast<int>(attempts)};
  } else if (rule.condition.empty() || rule.condition == "any") {
    spec.restart.kind = Kind::always;
  } else {
    return at(project, service, "deploy.restart_policy.condition",
              invalid(gantry::quoted(rule.condition) + " is none of none, on-failure, any"));
  }
  return {};
}

Result<Mount> bind_mount(const VolumeMount& mount) {
  if (mount.recursive == "readonly" || mount.recursive == "writable") {
    return unsupported("bind.recursive: " + mount.recursive + " is not supported yet: use enabled or disabled");
  }
  return Mount{.kind = Mount::Kind::bind,
               .source = mount.source,
               .target = mount.target,
               .read_only = mount.read_only,
               .create_source = mount.create_host_path,
               .propagation = mount.propagation,
               .recursive = mount.recursive != "disabled"};
}

Result<Mount> volume_mount(const Project& project, const VolumeMount& mount) {
  Mount result{.kind = Mount::Kind::volume,
               .target = mount.target,
               .read_only = mount.read_only,
               .no_copy = mount.no_copy,
               .subpath = mount.subpath,
               .volume_labels = mount.volume_labels};
  if (mount.source.empty()) return result;
  auto found = project.volumes.find(mount.source);
  if (found == project.volumes.end()) return invalid("refers to undefined volume " + mount.source);
  result.source = found->second.name;
  return result;
}

Mount tmpfs_mount(const VolumeMount& mount) {
  Mount result{.kind = Mount::Kind::tmpfs, .target = mount.target, .read_only = mount.read_only};
  if (mount.tmpfs_size && *mount.tmpfs_size > 0) result.tmpfs_size = static_cast<uint64_t>(*mount.tmpfs_size);
  result.tmpfs_mode = mount.tmpfs_mode;
  return result;
}

Result<Mount> mount_of(const Project& project, const VolumeMount& mount) {
  if (mount.type == "bind") return bind_mount(mount);
  if (mount.type == "volume") return volume_mount(project, mount);
  if (mount.type == "tmpfs") return tmpfs_mount(mount);
  return unsupported("mounts of type " + gantry::quoted(mount.type) + " are not supported yet");
}

Result<uint32_t> parse_owner(const std::string& text, const char* what) {
  if (text.empty()) return 0;
  auto number = parse_unsigned(text);
  if (!number || *number > std::numeric_limits<uint32_t>::max()) {
    return invalid(std::string(what) + " " + gantry::quoted(text) + " is not a number");
  }
  return static_cast<uint32_t>(*number);
}

// Secrets live in /run/secrets, configs in the root, unless the target is absolute (compose-spec, 05-services).
std::string target_of(const FileReference& reference, const std::string& folder) {
  const std::string& target = reference.target.empty() ? reference.source : reference.target;
  return target.starts_with('/') ? target : folder + target;
}

struct FileKind {
  const char* attribute;
  const char* word;
  const char* folder;
};
constexpr FileKind kSecretFile{"secrets", "secret", "/run/secrets/"};
constexpr FileKind kConfigFile{"configs", "config", "/"};

Result<> add_file(const FileKind& kind, const FileReference& reference, const FileSource& source, ContainerSpec& spec,
                  std::vector<std::string>& warnings) {
  std::string target = target_of(reference, kind.folder);
  if (source.external) {
    return unsupported(std::string("external ") + kind.word + " " + gantry::quoted(source.name) +
                       " is not supported yet: give it a file or an environment variable");
  }
  if (source.content) {
    const auto uid = TRY(parse_owner(reference.uid, "uid"));
    const auto gid = TRY(parse_owner(reference.gid, "gid"));
    spec.files.push_back({.target = target,
                          .content = *source.content,
                          .mode = reference.mode.value_or(0444),
                          .uid = uid,
                          .gid = gid});
    return {};
  }
  if (!reference.uid.empty() || !reference.gid.empty() || reference.mode) {
    warnings.push_back(std::string(kind.word) + " " + gantry::quoted(reference.source) +
                       ": uid, gid and mode do not apply, because its file is mounted as it is");
  }
  spec.mounts.push_back(
      {.kind = Mount::Kind::bind, .source = source.file, .target = target, .read_only = true, .create_source = false});
  return {};
}

Result<> set_files(const Project& project, const Service& service, const FileKind& kind,
                   const std::vector<FileReference>& references, const std::map<std::string, FileSource>& sources,
                   ContainerSpec& spec, std::vector<std::string>& warnings) {
  for (size_t i = 0; i < references.size(); ++i) {
    std::string attribute = indexed(kind.attribute, i);
    auto source = sources.find(references[i].source);
    if (source == sources.end()) {
      return at(project, service, attribute,
                invalid(std::string("refers to undefined ") + kind.word + " " + references[i].source));
    }
    TRY_AT(attribute, add_file(kind, references[i], source->second, spec, warnings));
  }
  return {};
}

Result<> set_storage(const Project& project, const Service& service, ContainerSpec& spec,
                     std::vector<std::string>& warnings) {
  for (size_t i = 0; i < service.volumes.size(); ++i) {
    spec.mounts.push_back(TRY_AT(indexed("volumes", i), mount_of(project, service.volumes[i])));
  }
  for (const std::string& text : service.tmpfs) {
    size_t colon = text.find(':');
    spec.mounts.push_back({.kind = Mount::Kind::tmpfs,
                           .target = text.substr(0, colon),
                           .tmpfs_options = colon == std::string::npos ? "" : text.substr(colon + 1)});
  }
  for (const std::string& text : service.volumes_from) {
    constexpr std::string_view kContainer = "container:";
    spec.volumes_from.push_back(text.starts_with(kContainer) ? text.substr(kContainer.size()) : "service:" + text);
  }
  TRY(set_files(project, service, kSecretFile, service.secrets, project.secrets, spec, warnings));
  TRY(set_files(project, service, kConfigFile, service.configs, project.configs, spec, warnings));
  spec.read_only = service.read_only;
  if (service.shm_size && *service.shm_size > 0) spec.shm_size = static_cast<uint64_t>(*service.shm_size);
  spec.storage_options = service.storage_opt;
  return {};
}

Result<engine::PublishedPort> published_port(const Port& port) {
  auto [first, last] = TRY(parse_port_range(port.published));
  const auto protocol = TRY(parse_protocol(port.protocol));
  return engine::PublishedPort{.container = {.port = port.target, .protocol = protocol},
                               .host_ip = port.host_ip,
                               .host_first = first,
                               .host_last = last};
}

// "80", "8000-8010", "53/udp"
Result<> add_exposed(const std::string& text, ContainerSpec& spec) {
  size_t slash = text.find('/');
  auto [first, last] = TRY(parse_port_range(text.substr(0, slash)));
  if (first == 0) return invalid("invalid port: " + gantry::quoted(text));
  auto protocol = TRY(parse_protocol(slash == std::string::npos ? "" : text.substr(slash + 1)));
  for (unsigned port = first; port <= last; ++port) {
    spec.exposed.insert({.port = static_cast<uint16_t>(port), .protocol = protocol});
  }
  return {};
}

Result<> set_ports(const Project& project, const Service& service, ContainerSpec& spec) {
  for (size_t i = 0; i < service.ports.size(); ++i) {
    spec.published.push_back(TRY_AT(indexed("ports", i), published_port(service.ports[i])));
    spec.exposed.insert(spec.published.back().container);
  }
  for (size_t i = 0; i < service.expose.size(); ++i) {
    TRY_AT(indexed("expose", i), add_exposed(service.expose[i], spec));
  }
  return {};
}

std::vector<std::string> links_of(const Service& service) {
  std::vector<std::string> links;
  for (const std::string& text : service.links) {
    size_t colon = text.find(':');
    std::string target = text.substr(0, colon);
    links.push_back("service:" + target + ":" + (colon == std::string::npos ? target : text.substr(colon + 1)));
  }
  for (const std::string& text : service.external_links) {
    links.push_back(text.find(':') == std::string::npos ? text + ":" + text : text);
  }
  return links;
}

EndpointSpec endpoint_of(const Service& service, const std::string& network,
                         const std::optional<ServiceNetwork>& given) {
  EndpointSpec endpoint{.network = network, .aliases = {service.name}, .links = links_of(service)};
  if (!given) return endpoint;
  for (const std::string& alias : given->aliases) {
    if (alias != service.name) endpoint.aliases.push_back(alias);
  }
  endpoint.ipv4_address = given->ipv4_address;
  endpoint.ipv6_address = given->ipv6_address;
  endpoint.link_local_ips = given->link_local_ips;
  endpoint.mac_address = given->mac_address;
  endpoint.interface_name = given->interface_name;
  endpoint.gw_priority = given->gw_priority;
  endpoint.priority = given->priority;
  endpoint.driver_options = given->driver_opts;
  return endpoint;
}

// The service's own mac_address belongs to its main network: the one with the highest priority, then by name.
void set_main_mac(const Service& service, ContainerSpec& spec) {
  if (service.mac_address.empty() || spec.endpoints.empty()) return;
  auto main = std::max_element(spec.endpoints.begin(), spec.endpoints.end(),
                               [](const EndpointSpec& a, const EndpointSpec& b) { return a.priority < b.priority; });
  if (main->mac_address.empty()) main->mac_address = service.mac_address;
}

Result<> set_networks(const Project& project, const Service& service, ContainerSpec& spec) {
  const std::string& mode = service.network_mode;
  if (mode == "none") {
    spec.network_mode.kind = NetworkMode::Kind::none;
  } else if (mode == "host") {
    spec.network_mode.kind = NetworkMode::Kind::host;
  } else if (mode.starts_with("service:")) {
    spec.network_mode = {.kind = NetworkMode::Kind::container, .container = mode};
  } else if (mode.starts_with("container:")) {
    spec.network_mode = {.kind = NetworkMode::Kind::container, .container = mode.substr(mode.find(':') + 1)};
  } else if (!mode.empty() && mode != "bridge" && mode != "default") {
    spec.endpoints.push_back(endpoint_of(service, mode, std::nullopt));
  }
  if (!mode.empty()) return {};
  for (const auto& [key, given] : service.networks) {
    auto found = project.networks.find(key);
    if (found == project.networks.end()) {
      return at(project, service, "networks." + key, invalid("refers to undefined network " + key));
    }
    spec.endpoints.push_back(endpoint_of(service, found->second.name, given));
  }
  set_main_mac(service, spec);
  return {};
}

void set_names(const Service& service, ContainerSpec& spec) {
  spec.hostname = service.hostname;
  spec.domainname = service.domainname;
  spec.dns = service.dns;
  spec.dns_search = service.dns_search;
  spec.dns_options = service.dns_opt;
  for (const std::string& text : service.extra_hosts) {
    std::string entry = text;
    if (size_t equals = entry.find('='); equals != std::string::npos) entry[equals] = ':';
    spec.extra_hosts.push_back(std::move(entry));
  }
}

Result<> set_isolation(const Project& project, const Service& service, ContainerSpec& spec) {
  if (service.uts.starts_with("service:")) {
    return at(project, service, "uts", unsupported("sharing another service's UTS namespace is not supported yet"));
  }
  spec.privileged = service.privileged;
  spec.cap_add = service.cap_add;
  spec.cap_drop = service.cap_drop;
  spec.security_options = service.security_opt;
  spec.pid_mode = service.pid;
  spec.ipc_mode = service.ipc;
  spec.uts_mode = service.uts;
  spec.cgroup_mode = service.cgroup;
  spec.userns_mode = service.userns_mode;
  spec.runtime = service.runtime;
  spec.sysctls = service.sysctls;
  spec.oom_score_adj = static_cast<int>(service.oom_score_adj.value_or(0));
  return {};
}

void set_resources(const Service& service, engine::Resources& resources) {
  resources.memory = service.mem_limit.value_or(0);
  resources.memory_swap = service.memswap_limit.value_or(0);
  resources.memory_reservation = service.mem_reservation.value_or(0);
  resources.memory_swappiness = service.mem_swappiness;
  if (service.cpus) resources.nano_cpus = std::llround(*service.cpus * 1e9);
  resources.cpu_shares = service.cpu_shares.value_or(0);
  resources.cpu_period = service.cpu_period.value_or(0);
  resources.cpu_quota = service.cpu_quota.value_or(0);
  resources.cpuset_cpus = service.cpuset;
  resources.pids_limit = service.pids_limit.value_or(0);
  resources.blkio_weight = static_cast<uint16_t>(service.blkio_weight.value_or(0));
  resources.oom_kill_disable = service.oom_kill_disable;
  for (const auto& [name, limit] : service.ulimits) {
    resources.ulimits.push_back({.name = name, .soft = limit.soft, .hard = limit.single ? limit.soft : limit.hard});
  }
  for (const DeviceMapping& device : service.devices) {
    resources.devices.push_back({.host_path = device.source,
                                 .container_path = device.target.empty() ? device.source : device.target,
                                 .permissions = device.permissions.empty() ? "rwm" : device.permissions});
  }
  resources.device_cgroup_rules = service.device_cgroup_rules;
  resources.cgroup_parent = service.cgroup_parent;
}

}  // namespace

std::string referenced_service(const std::string& text) {
  constexpr std::string_view kPrefix = "service:";
  if (!text.starts_with(kPrefix)) return "";
  size_t end = text.find(':', kPrefix.size());
  return text.substr(kPrefix.size(), end == std::string::npos ? end : end - kPrefix.size());
}

Result<std::pair<uint16_t, uint16_t>> parse_port_range(const std::string& text) {
  if (text.empty()) return std::pair<uint16_t, uint16_t>{0, 0};
  size_t dash = text.find('-');
  auto first = parse_unsigned(text.substr(0, dash));
  auto last = dash == std::string::npos ? first : parse_unsigned(text.substr(dash + 1));
  if (!first || !last || *first > 65535 || *last > 65535 || *first > *last) {
    return invalid("invalid port or range of ports: " + gantry::quoted(text));
  }
  return std::pair<uint16_t, uint16_t>{static_cast<uint16_t>(*first), static_cast<uint16_t>(*last)};
}

Result<engine::PortProtocol> parse_protocol(const std::string& text) {
  if (text.empty() || equals_ignoring_case(text, "tcp")) return engine::PortProtocol::tcp;
  if (equals_ignoring_case(text, "udp")) return engine::PortProtocol::udp;
  if (equals_ignoring_case(text, "sctp")) return engine::PortProtocol::sctp;
  return invalid("invalid protocol " + gantry::quoted(text) + ": use tcp, udp or sctp");
}

Result<engine::RestartPolicy> parse_restart(const std::string& text) {
  using Kind = engine::RestartPolicy::Kind;
  if (text.empty() || text == "no") return engine::RestartPolicy{};
  if (text == "always") return engine::RestartPolicy{.kind = Kind::always};
  if (text == "unless-stopped") return engine::RestartPolicy{.kind = Kind::unless_stopped};
  if (text == "on-failure") return engine::RestartPolicy{.kind = Kind::on_failure};
  constexpr std::string_view kOnFailure = "on-failure:";
  if (text.starts_with(kOnFailure)) {
    auto retries = parse_unsigned(std::string_view(text).substr(kOnFailure.size()));
    if (retries && *retries <= std::numeric_limits<int>::max()) {
      return engine::RestartPolicy{.kind = Kind::on_failure, .maximum_retries = static_cast<int>(*retries)};
    }
  }
  return invalid("invalid restart policy " + gantry::quoted(text) +
                 ": use no, always, unless-stopped, on-failure or on-failure:N");
}

Result<ContainerSpec> container_spec(const Project& project, const Service& service,
                                     std::vector<std::string>& warnings) {
  TRY(refuse_unsupported(project, service));
  ContainerSpec spec;
  spec.platform = service.platform;
  spec.labels = service.labels;
  set_program(service, spec);
  set_health_check(service, spec);
  TRY(set_restart(project, service, spec));
  TRY(set_storage(project, service, spec, warnings));
  TRY(set_ports(project, service, spec));
  TRY(set_networks(project, service, spec));
  set_names(service, spec);
  TRY(set_isolation(project, service, spec));
  set_resources(service, spec.resources);
  if (service.logging) spec.log = {.driver = service.logging->driver, .options = service.logging->options};
  return spec;
}

}  // namespace gantry::compose
