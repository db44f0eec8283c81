#include "compose/desired.h"

#include <algorithm>

#include "base/strings.h"
#include "base/version.h"
#include "compose/config_hash.h"
#include "compose/container_spec.h"
#include "compose/labels.h"

namespace gantry::compose {
namespace {

DesiredNetwork desire_network(const Project& project, const Network& network) {
  DesiredNetwork result{.key = network.key,
                        .external = network.external,
                        .hash = config_hash(network),
                        .where = mark_line(project, "networks." + network.key)};
  result.spec = {.name = network.name,
                 .driver = network.driver,
                 .options = network.driver_opts,
                 .ipam_driver = network.ipam_driver,
                 .ipam_options = network.ipam_options,
                 .internal = network.internal,
                 .attachable = network.attachable,
                 .enable_ipv4 = network.enable_ipv4.value_or(true),
                 .enable_ipv6 = network.enable_ipv6.value_or(false),
                 .labels = network.labels};
  for (const NetworkPool& pool : network.pools) {
    result.spec.pools.push_back({.subnet = pool.subnet,
                                 .ip_range = pool.ip_range,
                                 .gateway = pool.gateway,
                                 .aux_addresses = pool.aux_addresses});
  }
  result.spec.labels[label::kProject] = project.name;
  result.spec.labels[label::kNetwork] = network.key;
  result.spec.labels[label::kVersion] = kVersion;
  result.spec.labels[label::kConfigHash] = result.hash;
  return result;
}

DesiredVolume desire_volume(const Project& project, const Volume& volume) {
  DesiredVolume result{.key = volume.key,
                       .external = volume.external,
                       .hash = config_hash(volume),
                       .where = mark_line(project, "volumes." + volume.key)};
  result.spec = {
      .name = volume.name, .driver = volume.driver, .options = volume.driver_opts, .labels = volume.labels};
  result.spec.labels[label::kProject] = project.name;
  result.spec.labels[label::kVolume] = volume.key;
  result.spec.labels[label::kVersion] = kVersion;
  result.spec.labels[label::kConfigHash] = result.hash;
  return result;
}

void add_labels(const Project& project, const DesiredService& service, engine::Labels& labels) {
  labels[label::kProject] = project.name;
  labels[label::kService] = service.name;
  labels[label::kConfigHash] = service.hash;
  labels[label::kOneOff] = "False";
  labels[label::kVersion] = kVersion;
  labels[label::kWorkingDir] = project.working_dir;
  labels[label::kConfigFiles] = join(project.config_files, ",");
  labels[label::kDependsOn] = depends_on_label(service.depends_on);
  if (!project.environment_files.empty()) labels[label::kEnvironmentFile] = join(project.environment_files, ",");
}

std::vector<std::string> shared_services(const engine::ContainerSpec& spec) {
  std::set<std::string> services;
  for (const std::string* text : {&spec.network_mode.container, &spec.pid_mode, &spec.ipc_mode}) {
    services.insert(referenced_service(*text));
  }
  for (const std::string& text : spec.volumes_from) services.insert(referenced_service(text));
  services.erase("");
  return {services.begin(), services.end()};
}

Result<std::string> checked_pull_policy(const Project& project, const Service& service) {
  const std::string& policy = service.pull_policy;
  if (policy == "if_not_present") return std::string("missing");
  if (policy.empty() || policy == "always" || policy == "missing" || policy == "never" || policy == "build") {
    return policy;
  }
  std::string path = "services." + service.name + ".pull_policy";
  return unsupported(path + ": " + gantry::quoted(policy) +
                     " is not supported yet: use always, missing, never or build" + mark_line(project, path));
}

Result<int> replicas_of(const Project& project, const Service& service, const std::map<std::string, int>& scale) {
  auto asked = scale.find(service.name);
  int replicas = asked != scale.end() ? asked->second : service.scale.value_or(1);
  if (replicas > 1 && !service.container_name.empty()) {
    std::string path = "services." + service.name + ".container_name";
    return invalid(path + ": " + gantry::quoted(service.container_name) + " cannot name " + std::to_string(replicas) +
                   " replicas: remove container_name, or scale to 1" + mark_line(project, path));
  }
  return replicas;
}

CommandSpec command_of(const Hook& hook) {
  CommandSpec command{.arguments = hook.command,
                              .user = hook.user,
                              .working_dir = hook.working_dir,
                              .privileged = hook.privileged};
  for (const auto& [name, value] : hook.environment) {
    if (value) command.environment.push_back(name + "=" + *value);
  }
  return command;
}

Result<DesiredService> desire_service(const Project& project, const Service& service,
                                      const std::map<std::string, int>& scale, Desired& desired) {
  const int replicas = TRY(replicas_of(project, service, scale));
  const std::string pull_policy = TRY(checked_pull_policy(project, service));
  DesiredService result{.name = service.name,
                        .replicas = replicas,
                        .hash = config_hash(service),
                        .image = image_of(project, service),
                        .pull_policy = pull_policy,
                        .platform = service.platform,
                        .has_build = service.build.has_value(),
                        .attached = service.attach.value_or(true),
                        .fixed_name = service.container_name,
                        .separator = project.separator};
  for (const auto& [name, dependency] : service.depends_on) {
    if (project.services.contains(name)) result.depends_on[name] = dependency;
  }
  result.spec = TRY(container_spec(project, service, desired.warnings));
  result.spec.image = result.image;
  add_labels(project, result, result.spec.labels);
  for (const engine::EndpointSpec& endpoint : result.spec.endpoints) result.networks.push_back(endpoint.network);
  for (const VolumeMount& mount : service.volumes) {
    auto found = mount.type == "volume" ? desired.volumes.find(mount.source) : desired.volumes.end();
    if (found == desired.volumes.end()) continue;
    found->second.used = true;
    result.volumes[mount.target] = found->second.spec.name;
  }
  for (const Hook& hook : service.post_start) result.post_start.push_back(command_of(hook));
  for (const Hook& hook : service.pre_stop) result.pre_stop.push_back(command_of(hook));
  result.shares = shared_services(result.spec);
  return result;
}

Result<> check_scale(const Project& project, const std::map<std::string, int>& scale) {
  for (const auto& [name, replicas] : scale) {
    if (!project.services.contains(name)) return not_found("no such service: " + name);
  }
  return {};
}

void resolve(std::string& text, const std::map<std::string, std::string>& name_of, const std::string& prefix) {
  std::string service = referenced_service(text);
  auto found = service.empty() ? name_of.end() : name_of.find(service);
  if (found == name_of.end()) return;
  text = prefix + found->second + text.substr(sizeof("service:") - 1 + service.size());
}

}  // namespace

Result<Desired> desire(const Project& project, const std::map<std::string, int>& scale) {
  TRY(check_scale(project, scale));
  TRY(build_graph(project));
  Desired desired{.project = project.name};
  desired.disabled.insert(project.disabled_services.begin(), project.disabled_services.end());
  for (const auto& [key, network] : project.networks) desired.networks[key] = desire_network(project, network);
  for (const auto& [key, volume] : project.volumes) desired.volumes[key] = desire_volume(project, volume);
  for (const auto& [name, service] : project.services) {
    desired.services[name] = TRY(desire_service(project, service, scale, desired));
  }
  return desired;
}

std::string image_of(const Project& project, const Service& service) {
  return service.image.empty() ? project.name + project.separator + service.name : service.image;
}

std::string container_name(const std::string& project, const DesiredService& service, int number) {
  if (!service.fixed_name.empty()) return service.fixed_name;
  return project + service.separator + service.name + service.separator + std::to_string(number);
}

std::string display_name(const std::string& project, const std::string& container) {
  const bool has_prefix = container.starts_with(project + "-") || container.starts_with(project + "_");
  return has_prefix ? container.substr(project.size() + 1) : container;
}

ServiceDependencies dependencies_of(const Desired& desired) {
  ServiceDependencies dependencies;
  for (const auto& [name, service] : desired.services) dependencies[name] = service.depends_on;
  return dependencies;
}

void resolve_references(engine::ContainerSpec& spec, const std::map<std::string, std::string>& name_of) {
  resolve(spec.network_mode.container, name_of, "");
  resolve(spec.pid_mode, name_of, "container:");
  resolve(spec.ipc_mode, name_of, "container:");
  for (std::string& text : spec.volumes_from) resolve(text, name_of, "");
  for (engine::EndpointSpec& endpoint : spec.endpoints) {
    for (std::string& text : endpoint.links) resolve(text, name_of, "");
  }
}

}  // namespace gantry::compose
