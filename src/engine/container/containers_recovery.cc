// After the daemon's own start: what the store says against what there is. Blocking, before the loop runs.
//
//   recorded as        found                            becomes
//   running, paused    shim lives, program too          linked again: ports, addresses and names taken back
//                      exit report                      exited with its code, as if it had ended just now
//                      nothing                          exited with 255 (the machine was restarted, say)
//   restarting         (nothing runs)                   its policy goes on
//   removing           whatever                         removed
//   any other          a half-started sandbox           killed and cleaned up: nobody was told that it runs
#include <algorithm>
#include <sstream>

#include "base/log.h"
#include "base/remove_tree.h"
#include "engine/container/containers_access.h"
#include "engine/container/record_json.h"
#include "engine/iface/spec_json.h"
#include "shim/protocol.h"

namespace gantry::engine {
namespace {

constexpr int kUnknownExit = 255;

std::optional<ExitReport> read_report(const std::filesystem::path& run_dir) {
  auto text = read_file(run_dir / shim::kReportName, 256);
  if (!text.ok()) return std::nullopt;
  std::istringstream in(*text);
  int code = 0;
  int64_t finished = 0;
  int oom = 0;
  if (!(in >> code >> finished >> oom)) return std::nullopt;
  return ExitReport{.exit_code = code,
                    .finished_at = WallTime(std::chrono::nanoseconds(finished)),
                    .oom_killed = oom != 0};
}

bool is_there(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

std::vector<net::PortRequest> same_ports(const std::vector<net::PortForward>& ports) {
  std::vector<net::PortRequest> requests;
  for (const net::PortForward& port : ports) {
    requests.push_back({.protocol = port.protocol, .host_ip = port.host_ip, .host_first = port.host_port,
                        .host_last = port.host_port, .container_port = port.container_port});
  }
  return requests;
}

}  // namespace

Result<> Containers::load() {
  for (const ContainerRow& row : TRY(context_.database.load_containers())) {
    const std::string what = "container " + row.id.short_form();
    auto container = std::make_shared<Container>();
    container->id = row.id;
    container->spec = TRY(container_spec_from_json(row.spec).within(what));
    container->record = TRY(container_record_from_json(row.details).within(what));
    container->status = TRY(container_status_from_json(row.state).within(what));
    container->config = TRY(merge_with_image(container->spec, container->record.image_config).within(what));
    // Without its image it cannot start, but it can be looked at and removed.
    if (auto layers = context_.images.layers(container->record.image_id); layers.ok()) {
      container->layers_hold = std::move(layers->hold);
    }
    names_[container->spec.name] = row.id;
    index(*container);
    containers_[row.id] = std::move(container);
  }
  return {};
}

bool Containers::any_recorded_up() const {
  return std::any_of(containers_.begin(), containers_.end(),
                     [](const auto& entry) { return is_up(entry.second->status.state); });
}

std::vector<net::EndpointConfig> Containers::live_endpoints() const {
  std::vector<net::EndpointConfig> live;
  for (const auto& [id, container] : containers_) {
    for (const EndpointState& endpoint : container->status.endpoints) {
      live.push_back(networks_.endpoint_config(endpoint));
      live.back().ports = container->status.published;
    }
  }
  return live;
}

void Containers::recover() {
  std::vector<ContainerId> ids;
  for (const auto& [id, container] : containers_) ids.push_back(id);
  for (const ContainerId& id : ids) recover_one(*get(id));
  remove_stray_directories();
  remove_stray_cgroups();
}

void Containers::recover_one(Container& container) {
  const std::filesystem::path run_dir = context_.paths.run(container.id);
  if (container.status.state == ContainerState::removing) return finish_removal(container);
  if (!is_up(container.status.state)) {
    if (is_there(run_dir)) report_clean_up(container);
    return;
  }
  const auto report = read_report(run_dir);
  auto link = context_.runtime.reconnect(context_.loop, container.id, run_dir, handlers(container.id));
  if (link.ok() && !report) return relink(container, *std::move(link));
  if (link.ok()) (*link)->release();
  report_clean_up(container);
  for (const EndpointState& endpoint : container.status.endpoints) {
    auto detached = context_.stack.detach(networks_.endpoint_config(endpoint));
    if (!detached.ok()) log_warning("container " + container.spec.name + ": " + detached.error().message());
  }
  const ExitReport unknown{.exit_code = kUnknownExit, .finished_at = context_.loop.clock().wall(), .oom_killed = false};
  container.status = gantry::engine::after_end(container.status, report.value_or(unknown), false);
  save_state(container);
  log_info("container " + container.spec.name + " ended while no daemon ran, with code " +
           std::to_string(container.status.exit_code));
}

void Containers::report_clean_up(const Container& container) {
  auto cleaned = context_.runtime.clean_up(container.id, context_.paths.run(container.id));
  if (!cleaned.ok()) log_warning("container " + container.spec.name + ": " + cleaned.error().message());
}

void Containers::relink(Container& container, std::unique_ptr<ShimLink> link) {
  const auto complain = [&](const Error& error) {
    log_warning("container " + container.spec.name + " goes on, but: " + error.message());
  };
  container.link = std::move(link);
  for (const EndpointState& endpoint : container.status.endpoints) {
    if (auto reclaimed = networks_.reclaim(endpoint); !reclaimed.ok()) complain(reclaimed.error());
    networks_.add_member(container.id, container.spec.name, endpoint);
  }
  if (!container.status.published.empty()) {
    net::PortOwner owner = port_owner(container, container.status.endpoints);
    owner.again = true;
    auto ports = context_.stack.reserve_ports(same_ports(container.status.published), owner);
    if (ports.ok()) container.ports = *std::move(ports);
    if (!ports.ok()) complain(ports.error());
  }
  if (container.spec.network_mode.kind == NetworkMode::Kind::networks) {
    auto sockets = container.link->netns_sockets();
    Result<> repaired = sockets.ok() ? repair_endpoints(container, *sockets) : Result<>(sockets.error());
    if (!repaired.ok()) complain(repaired.error());
    Result<> told = sockets.ok() ? tell_names(container, *std::move(sockets)) : Result<>();
    if (!told.ok()) complain(told.error());
  }
  for (const ContainerMount& mount : container.record.mounts) {
    const VolumeRecord* volume = mount.mount.kind == Mount::Kind::volume ? volumes_.find(mount.mount.source) : nullptr;
    if (volume != nullptr && volumes_.mount_of(*volume).own_filesystem) {
      ++volume_mounts_[volumes_.mount_of(*volume).directory.string()];
    }
  }
  const HealthState health = container.status.health;
  if (container.status.state != ContainerState::running) return;
  start_probing(container);
  container.health.restore(health, container.status.started_at);
  container.status.health = health;
}

// A join or a leave that the crash interrupted: nobody was told that it is done. A network that is wanted but was not
// recorded as joined is left again (its interface goes with all that is not recorded); an interface that went before
// that was recorded comes back; default route and ports are put where the record says.
Result<> Containers::repair_endpoints(Container& container, const NetnsSockets& sockets) {
  const auto is_joined = [&](const EndpointSpec& spec) {
    return std::any_of(container.status.endpoints.begin(), container.status.endpoints.end(),
                       [&](const EndpointState& endpoint) {
                         return endpoint_spec(container, endpoint.network) == &spec;
                       });
  };
  std::vector<NetworkId> unfinished;
  for (const EndpointSpec& spec : container.spec.endpoints) {
    auto id = networks_.find(spec.network);
    if (id.ok() && !is_joined(spec)) unfinished.push_back(*id);
  }
  for (const NetworkId& id : unfinished) drop_endpoint(container, id);
  const net::NetnsAccess access{sockets.route.get(), sockets.netfilter.get(), sockets.netns.get()};
  for (const EndpointState& endpoint : container.status.endpoints) {
    StartEndpoint attached = start_endpoint(container, endpoint);
    attached.config.ports = container.status.published;
    const bool leads = endpoint.gateway4 || endpoint.gateway6;
    const auto found = context_.stack.is_attached(attached.config);
    const bool is_there = found.ok() && *found;
    if (is_there && !(leads && !unfinished.empty())) continue;
    TRY(context_.stack.attach(attached.config, access));
  }
  return {};
}

Result<> Containers::tell_names(Container& container, NetnsSockets sockets) {
  if (container.status.endpoints.empty()) return {};
  net::NameService* names = TRY(context_.names.get());
  const net::NameService::Client client = dns_client(container, container.status.endpoints);
  TRY(names->add_client(client, std::move(sockets.dns_udp), std::move(sockets.dns_tcp),
                        client.own_upstreams ? std::move(sockets.netns) : Fd()));
  for (const EndpointState& endpoint : container.status.endpoints) {
    if (!networks_.is_default(endpoint.network)) {
      TRY(names->publish(endpoint.endpoint_id, name_record(container, endpoint)));
    }
  }
  return carry_ports(*names, container.ports.get());
}

void Containers::finish_removal(Container& container) {
  report_clean_up(container);
  if (auto gone = remove_tree(context_.paths.container(container.id)); !gone.ok()) {
    log_warning("container " + container.spec.name + " cannot be removed: " + gone.error().message());
    container.status.state = ContainerState::dead;
    return save_state(container);
  }
  const auto removed =
      context_.database.transaction([&]() -> Result<> { return context_.database.remove_container(container.id); });
  if (!removed.ok()) {
    log_error(removed.error().message());
    return;
  }
  const std::shared_ptr<Container> keep = containers_.at(container.id);
  unindex(container);
  names_.erase(container.spec.name);
  containers_.erase(keep->id);
}

// Of creates that a crash interrupted.
void Containers::remove_stray_directories() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(context_.paths.containers(), error)) {
    if (containers_.contains(ContainerId(entry.path().filename()))) continue;
    (void)remove_tree(entry.path()).ok();
  }
}

// Of containers and build steps whose shim died with the daemon before the store had heard of them, or that could not be
// removed when they ended.
void Containers::remove_stray_cgroups() {
  for (const ContainerId& id : context_.runtime.with_cgroups()) {
    const Container* container = get(id);
    if (container != nullptr && is_up(container->status.state)) continue;
    auto cleaned = context_.runtime.clean_up(id, context_.paths.run(id));
    if (!cleaned.ok()) log_warning("cgroup of " + id.short_form() + ": " + cleaned.error().message());
  }
}

// --- restart policies ---

void Containers::apply_restart_policies() {
  // Those that live in another's namespaces come after it.
  std::vector<ContainerId> second;
  auto first_left = std::make_shared<int>(1);
  const auto start_second = [this, first_left](std::vector<ContainerId> ids) {
    if (--*first_left > 0) return;
    for (const ContainerId& id : ids) {
      if (Container* container = get(id)) start_by_policy(*container, [] {});
    }
  };
  std::vector<ContainerId> first;
  for (auto& [id, container] : containers_) {
    const ContainerStatus& status = container->status;
    if (is_up(status.state) || status.started_at == WallTime{}) continue;
    if (container->spec.auto_remove) {
      remove_automatically(*container);
      continue;
    }
    const bool was_waiting = status.state == ContainerState::restarting;
    if (!was_waiting && !should_start_with_daemon(container->spec.restart,
                                                  {.exit_code = status.exit_code,
                                                   .restarts_so_far = status.restart_count,
                                                   .stopped_by_user = status.stopped_by_user})) {
      continue;
    }
    const bool depends = container->spec.network_mode.kind == NetworkMode::Kind::container ||
                         container->spec.pid_mode.starts_with("container:") ||
                         container->spec.ipc_mode.starts_with("container:");
    (depends ? second : first).push_back(id);
  }
  *first_left += static_cast<int>(first.size());
  for (const ContainerId& id : first) {
    start_by_policy(*get(id), [start_second, second] { start_second(second); });
  }
  start_second(second);
}

void Containers::start_by_policy(Container& container, Function<void()> then) {
  container.status.state = ContainerState::restarting;
  save_state(container);
  enqueue(container, [this, id = container.id, then = std::move(then)](Container* found) mutable {
    if (found == nullptr) return then();
    if (found->status.state != ContainerState::restarting || closing_) {
      end_operation(id);
      return then();
    }
    ++found->status.restart_count;
    begin_start(*found, true, [this, id, then = std::move(then)](Result<> started) mutable {
      if (!started.ok()) log_warning("container " + id.short_form() + ": restart: " + started.error().message());
      end_operation(id);
      then();
    });
  });
}

}  // namespace gantry::engine
