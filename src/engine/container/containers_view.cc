// Look-ups: containers as values for inspect, list, ps and the controller.
#include <algorithm>

#include "base/strings.h"
#include "engine/container/containers_access.h"
#include "engine/network_options.h"

namespace gantry::engine {

Result<ContainerId> Containers::find(const std::string& reference) const {
  if (containers_.contains(ContainerId(reference))) return ContainerId(reference);
  const std::string name = reference.starts_with('/') ? reference.substr(1) : reference;
  if (auto at = names_.find(name); at != names_.end() && containers_.contains(at->second)) return at->second;
  std::optional<ContainerId> found;
  if (!reference.empty()) {
    for (auto at = containers_.lower_bound(ContainerId(reference));
         at != containers_.end() && at->first.str().starts_with(reference); ++at) {
      if (found) return invalid("multiple IDs found with provided prefix: " + reference);
      found = at->first;
    }
  }
  if (!found) return no_such_container(reference);
  return *found;
}

ObservedContainer Containers::observed(const Container& container) const {
  ObservedContainer seen;
  seen.id = container.id;
  seen.name = container.spec.name;
  seen.labels = container.config.labels;
  seen.image = container.spec.image;
  seen.image_id = container.record.image_id;
  seen.state = container.status.state;
  seen.health = container.status.health;
  seen.has_health_check = container.config.health_check.has_value();
  seen.exit_code = container.status.exit_code;
  seen.error = container.status.error;
  seen.oom_killed = container.status.oom_killed;
  seen.stopped_by_user = container.status.stopped_by_user;
  seen.created_at = container.record.created_at;
  seen.started_at = container.status.started_at;
  seen.finished_at = container.status.finished_at;
  seen.restart_count = container.status.restart_count;
  for (const EndpointSpec& endpoint : container.spec.endpoints) {
    if (auto id = networks_.find(endpoint.network); id.ok()) seen.networks.push_back(*id);
  }
  for (const ContainerMount& mount : container.record.mounts) {
    if (mount.mount.kind != Mount::Kind::volume) continue;
    seen.volumes[mount.mount.target] = mount.mount.source;
    if (mount.anonymous) seen.anonymous_volumes[mount.mount.target] = mount.mount.source;
  }
  return seen;
}

EndpointDetails Containers::endpoint_details(const Container& container, const EndpointSpec& spec) const {
  EndpointDetails details;
  details.network_name = spec.network;
  details.spec = spec;
  auto id = networks_.find(spec.network);
  if (!id.ok()) return details;
  const NetworkRecord* network = networks_.get(*id);
  details.network_id = *id;
  details.network_name = network->spec.name;
  EndpointState as_named;
  as_named.network = *id;
  details.dns_names = name_record(container, as_named).names;
  for (const EndpointState& endpoint : container.status.endpoints) {
    if (endpoint.network != *id) continue;
    const AddressPlace place4 = place_of(*network, endpoint.address4);
    const AddressPlace place6 = place_of(*network, endpoint.address6);
    details.endpoint_id = endpoint.endpoint_id;
    details.mac_address = endpoint.mac;
    details.ipv4_address = endpoint.address4;
    details.ipv6_address = endpoint.address6;
    const bool has_gateway = leads_out(network->spec);
    if (place4.subnet) details.ipv4_prefix = place4.subnet->prefix();
    if (place4.gateway && has_gateway) details.gateway = place4.gateway->to_string();
    if (place6.subnet) details.ipv6_prefix = place6.subnet->prefix();
    if (place6.gateway && has_gateway) details.ipv6_gateway = place6.gateway->to_string();
  }
  return details;
}

ListedContainer Containers::listed(const Container& container) const {
  ListedContainer listed;
  listed.observed = observed(container);
  listed.arguments = container.config.arguments;
  listed.network_mode = container.spec.network_mode;
  for (const EndpointSpec& endpoint : container.spec.endpoints) {
    if (listed.endpoints.empty()) listed.first_network = endpoint.network;
    listed.endpoints.push_back(endpoint_details(container, endpoint));
  }
  std::sort(listed.endpoints.begin(), listed.endpoints.end(),
            [](const EndpointDetails& a, const EndpointDetails& b) { return a.network_name < b.network_name; });
  listed.published = container.status.published;
  listed.exposed = container.config.exposed;
  for (const ContainerMount& resolved : container.record.mounts) {
    const Mount& mount = resolved.mount;
    MountDetails shown;
    shown.kind = mount.kind;
    shown.source = mount.source;
    shown.destination = mount.target;
    shown.writable = !mount.read_only;
    if (mount.kind == Mount::Kind::volume) {
      shown.name = mount.source;
      shown.driver = "local";
      shown.mode = "z";
      if (const VolumeRecord* volume = volumes_.find(mount.source)) {
        shown.source = (volumes_.directory_of(volume->spec.name) / "_data").string();
      }
    } else if (mount.kind == Mount::Kind::bind) {
      shown.propagation = mount.propagation.empty() ? "rprivate" : mount.propagation;
      shown.mode = mount.read_only ? "ro" : "";
    }
    listed.mounts.push_back(std::move(shown));
  }
  listed.upper_dir = context_.paths.container(container.id) / "upper";
  return listed;
}

ContainerDetails Containers::details(const Container& container) const {
  ContainerDetails details{listed(container)};
  details.spec = container.spec;
  details.environment = container.config.environment;
  details.image_config = container.record.image_config;
  details.pid = container.link != nullptr && is_up(container.status.state) ? container.link->pid() : 0;
  details.health_check = container.config.health_check;
  details.health_failing_streak = container.health.failing_streak();
  for (const ProbeResult& probe : container.health.log()) {
    details.health_log.push_back(
        {.start = probe.start, .end = probe.end, .exit_code = probe.exit_code, .output = probe.output});
  }
  details.log_driver = container.spec.log.driver.empty() ? "json-file" : container.spec.log.driver;
  details.log_path = log_file(context_.paths.container(container.id), container.id, details.log_driver);
  for (const ExecId& exec : container.execs) {
    auto info = inspect_exec(exec);
    if (info.ok() && info->running) details.exec_ids.push_back(exec.str());
  }
  return details;
}

Result<ContainerDetails> Containers::inspect(const ContainerId& id) const {
  const Container* container = get(id);
  if (container == nullptr) return no_such_container(id.str());
  return details(*container);
}

std::vector<ListedContainer> Containers::newest_first(std::vector<const Container*> chosen) const {
  std::sort(chosen.begin(), chosen.end(), [](const Container* a, const Container* b) {
    if (a->record.created_at != b->record.created_at) return a->record.created_at > b->record.created_at;
    return a->id < b->id;
  });
  std::vector<ListedContainer> all;
  all.reserve(chosen.size());
  for (const Container* container : chosen) all.push_back(listed(*container));
  return all;
}

std::vector<ListedContainer> Containers::list() const {
  std::vector<const Container*> all;
  all.reserve(containers_.size());
  for (const auto& [id, container] : containers_) all.push_back(container.get());
  return newest_first(std::move(all));
}

std::vector<ListedContainer> Containers::list(const std::string& project) const {
  std::vector<const Container*> chosen;
  if (const auto found = by_project_.find(project); found != by_project_.end()) {
    for (const ContainerId& id : found->second) chosen.push_back(get(id));
  }
  return newest_first(std::move(chosen));
}

std::vector<ObservedContainer> Containers::observe(const std::string& project) const {
  auto at = by_project_.find(project);
  if (at == by_project_.end()) return {};
  std::vector<const Container*> chosen;
  chosen.reserve(at->second.size());
  for (const ContainerId& id : at->second) chosen.push_back(get(id));
  std::sort(chosen.begin(), chosen.end(),
            [](const Container* a, const Container* b) { return a->spec.name < b->spec.name; });
  std::vector<ObservedContainer> seen;
  seen.reserve(chosen.size());
  for (const Container* container : chosen) seen.push_back(observed(*container));
  return seen;
}

ObservedNetwork Containers::observe(const NetworkRecord& network) const {
  ObservedNetwork seen{.id = network.id, .name = network.spec.name, .labels = network.spec.labels, .containers = {}};
  std::set<ContainerId> configured;
  for (const std::string& reference : {network.spec.name, network.id.str()}) {
    auto at = by_network_.find(reference);
    if (at != by_network_.end()) configured.insert(at->second.begin(), at->second.end());
  }
  seen.containers.assign(configured.begin(), configured.end());
  return seen;
}

std::vector<std::string> Containers::users_of_image(const ImageId& image) const {
  std::vector<std::string> names;
  auto at = by_image_.find(image);
  if (at == by_image_.end()) return names;
  for (const ContainerId& id : at->second) names.push_back(get(id)->spec.name);
  return names;
}

std::map<ImageId, std::vector<std::string>> Containers::image_users() const {
  std::map<ImageId, std::vector<std::string>> users;
  for (const auto& [image, ids] : by_image_) users[image] = users_of_image(image);
  return users;
}

std::vector<ContainerId> Containers::users_of_volume(const std::string& volume) const {
  auto at = by_volume_.find(volume);
  if (at == by_volume_.end()) return {};
  return {at->second.begin(), at->second.end()};
}

bool Containers::is_volume_in_creation(const std::string& volume) const {
  auto at = volumes_in_creation_.find(volume);
  return at != volumes_in_creation_.end() && at->second > 0;
}

}  // namespace gantry::engine
