#include "support/sim_engine.h"

#include <algorithm>
#include <cstdio>

#include "base/strings.h"
#include "compose/labels.h"

namespace gantry::test {
namespace {

using namespace std::chrono_literals;
using namespace engine;
namespace label = compose::label;

std::string label_of(const Labels& labels, const char* name) {
  auto found = labels.find(name);
  return found == labels.end() ? "" : found->second;
}

bool is_active(const ObservedContainer& c) {
  return c.state == ContainerState::running || c.state == ContainerState::paused ||
         c.state == ContainerState::restarting;
}

bool may_restart(const RestartPolicy& policy, int code, int count) {
  switch (policy.kind) {
    case RestartPolicy::Kind::no: return false;
    case RestartPolicy::Kind::always:
    case RestartPolicy::Kind::unless_stopped: return true;
    case RestartPolicy::Kind::on_failure:
      return code != 0 && (policy.maximum_retries == 0 || count < policy.maximum_retries);
  }
  return false;
}

}  // namespace

class SimEngine::SimSubscription final : public Subscription {
 public:
  SimSubscription(SimEngine& engine, uint64_t id) : engine_(engine), id_(id) {}
  ~SimSubscription() override { engine_.listeners_.erase(id_); }

 private:
  SimEngine& engine_;
  uint64_t id_;
};

// ---- the simulation

std::chrono::nanoseconds SimEngine::latency() { return world_.between(1us, faults.reply_delay_max); }

// A call that is under way when the daemon dies is lost, with its reply.
Function<void()> SimEngine::in_this_life(Function<void()> action) {
  return [this, life = life_, action = std::move(action)]() mutable {
    if (life == life_) action();
  };
}

void SimEngine::later(Function<void()> action) { world_.after(latency(), in_this_life(std::move(action))); }

// Operations on one container come one after another.
void SimEngine::later(const ContainerId& id, Function<void()> action) {
  Container* found = container(id);
  if (found == nullptr) return later(std::move(action));
  found->busy_until = std::max(found->busy_until, world_.now()) + latency();
  world_.after(found->busy_until - world_.now(), in_this_life(std::move(action)));
}

std::string SimEngine::name_of(const ContainerId& id) const {
  const auto found = containers_.find(id);
  return found == containers_.end() ? "nobody" : found->second.seen.name;
}

std::string SimEngine::name_of(const NetworkId& id) const {
  const auto found = networks_.find(id);
  return found == networks_.end() ? "no network" : found->second.name;
}

SimEngine::Container* SimEngine::container(const ContainerId& id) {
  auto found = containers_.find(id);
  return found == containers_.end() ? nullptr : &found->second;
}

SimEngine::Container* SimEngine::by_name(const std::string& name) {
  for (auto& [id, c] : containers_) {
    if (c.seen.name == name) return &c;
  }
  return nullptr;
}

const ObservedContainer* SimEngine::find(const std::string& name) const {
  for (const auto& [id, c] : containers_) {
    if (c.seen.name == name) return &c.seen;
  }
  return nullptr;
}

const ObservedNetwork* SimEngine::network_named(const std::string& name_or_id) const {
  for (const auto& [id, network] : networks_) {
    if (network.name == name_or_id || id.str() == name_or_id) return &network;
  }
  return nullptr;
}

std::vector<ContainerId> SimEngine::attached(const NetworkId& network) const {
  std::vector<ContainerId> ids;
  for (const auto& [id, c] : containers_) {
    const auto& networks = c.seen.networks;
    if (std::find(networks.begin(), networks.end(), network) != networks.end()) ids.push_back(id);
  }
  return ids;
}

void SimEngine::record(const std::string& text) {
  char time[32];
  std::snprintf(time, sizeof(time), "%.3f ", std::chrono::duration<double>(world_.now() - 1h).count());
  history.push_back(time + text);
}

size_t SimEngine::index_of(const std::string& action) const {
  for (size_t i = 0; i < history.size(); ++i) {
    if (history[i].substr(history[i].find(' ') + 1) == action) return i;
  }
  return std::string::npos;
}

void SimEngine::emit(const Container& c, const std::string& action, std::map<std::string, std::string> more) {
  record(action + " " + c.seen.name);
  Event event{.time = world_.clock().wall(), .action = action, .actor_id = c.seen.id.str(), .attributes = c.seen.labels};
  event.attributes["name"] = c.seen.name;
  event.attributes["image"] = c.seen.image;
  event.attributes.merge(more);
  auto listeners = listeners_;
  for (auto& [id, listener] : listeners) listener->on_event(event);
}

// One replica is one running container, whatever happens.
void SimEngine::check_replicas(const Container& started) {
  const Labels& labels = started.seen.labels;
  if (label_of(labels, label::kOneOff) != "False") return;
  for (const auto& [id, c] : containers_) {
    bool same = id != started.seen.id && is_active(c.seen) &&
                label_of(c.seen.labels, label::kProject) == label_of(labels, label::kProject) &&
                label_of(c.seen.labels, label::kService) == label_of(labels, label::kService) &&
                label_of(c.seen.labels, label::kContainerNumber) == label_of(labels, label::kContainerNumber);
    if (same) violations.push_back("two running containers of one replica: " + started.seen.name + ", " + c.seen.name);
  }
}

Result<> SimEngine::begin_run(const ContainerId& id) {
  Container& c = *container(id);
  for (const EndpointSpec& endpoint : c.spec.endpoints) {
    const ObservedNetwork* network = network_named(endpoint.network);
    const auto& configured = c.seen.networks;
    bool known = network != nullptr && std::find(configured.begin(), configured.end(), network->id) != configured.end();
    if (!known) return not_found("network " + endpoint.network + " not found");
  }
  if (c.spec.network_mode.kind == NetworkMode::Kind::container) {
    const ObservedContainer* other = find(c.spec.network_mode.container);
    if (other == nullptr || !is_active(*other)) {
      return conflict("cannot join network of a non running container: " + c.spec.network_mode.container);
    }
  }
  c.seen.state = ContainerState::running;
  c.seen.error.clear();
  c.seen.started_at = world_.clock().wall();
  c.seen.stopped_by_user = false;
  c.seen.health = c.seen.has_health_check ? HealthState::starting : HealthState::none;
  ++c.run;
  check_replicas(c);
  schedule_program(id);
  emit(c, "start");
  return {};
}

void SimEngine::schedule_program(const ContainerId& id) {
  Container& c = *container(id);
  Behaviour behaviour = behaviours[label_of(c.seen.labels, label::kService)];
  auto in_this_run = [this, id, run = c.run](auto action) {
    return [this, id, run, action]() mutable {
      Container* c = container(id);
      if (c != nullptr && c->run == run && c->seen.state == ContainerState::running) action(*c);
    };
  };
  if (world_.chance(faults.dies_early)) {
    world_.after(world_.between(1ms, 3s), in_this_run([this, id](Container&) { end_run(id, 255, false, true); }));
  }
  if (behaviour.lost_after) {
    world_.after(*behaviour.lost_after, in_this_run([this, id](Container&) { end_run(id, 255, false, true); }));
  }
  if (behaviour.exits_after) {
    world_.after(*behaviour.exits_after,
                 in_this_run([this, id, behaviour](Container&) { end_run(id, behaviour.exit_code, false, false); }));
  }
  if (!c.seen.has_health_check) return;
  auto report = [this](Container& c, HealthState state) {
    c.seen.health = state;
    emit(c, std::string("health_status: ") + (state == HealthState::healthy ? "healthy" : "unhealthy"));
  };
  if (behaviour.unhealthy_after) {
    // Unless its program was cured meanwhile.
    world_.after(*behaviour.unhealthy_after, in_this_run([this, report](Container& c) {
                   const bool still = behaviours[label_of(c.seen.labels, label::kService)].unhealthy_after.has_value();
                   report(c, still ? HealthState::unhealthy : HealthState::healthy);
                 }));
  } else if (behaviour.healthy_after) {
    world_.after(*behaviour.healthy_after, in_this_run([report](Container& c) { report(c, HealthState::healthy); }));
  }
}

void SimEngine::end_run(const ContainerId& id, int code, bool asked, bool lost) {
  Container& c = *container(id);
  ++c.run;
  c.seen.exit_code = code;
  c.seen.finished_at = world_.clock().wall();
  c.seen.stopped_by_user = asked;
  c.seen.health = c.seen.has_health_check ? HealthState::unhealthy : HealthState::none;
  bool again = !asked && may_restart(c.spec.restart, code, c.seen.restart_count);
  c.seen.state = again ? ContainerState::restarting : lost ? ContainerState::dead : ContainerState::exited;
  if (again) {
    ++c.seen.restart_count;
    auto delay = std::min<std::chrono::nanoseconds>(100ms * (1 << std::min(c.seen.restart_count, 9)), 60s);
    world_.after(delay, [this, id, run = c.run] {
      Container* c = container(id);
      if (c == nullptr || c->run != run || c->seen.state != ContainerState::restarting) return;
      if (!begin_run(id).ok()) end_run(id, 128, false, false);
    });
  }
  bool gone = c.spec.auto_remove && !again;
  emit(c, "die", {{"exitCode", std::to_string(code)}});
  if (gone) erase(id);
}

void SimEngine::erase(const ContainerId& id) {
  auto found = containers_.find(id);
  if (found == containers_.end()) return;
  Container gone = std::move(found->second);
  containers_.erase(found);
  emit(gone, "destroy");
}

// ---- what tests do

void SimEngine::add_image(const std::string& reference, bool health) {
  images_[reference] = {.id = ImageId("sha256:" + sha256_hex(reference + random_hex(world_.random(), 4)))};
  if (health) images_with_health_.insert(reference);
}

void SimEngine::remove_behind_back(const std::string& name) {
  Container* c = by_name(name);
  if (c == nullptr) return;
  ContainerId id = c->seen.id;
  if (is_active(c->seen)) end_run(id, 137, true, false);
  erase(id);
}

void SimEngine::lose_supervisor(const std::string& name) {
  if (Container* c = by_name(name); c != nullptr && is_active(c->seen)) end_run(c->seen.id, 255, false, true);
}

void SimEngine::heal() {
  for (auto& [id, c] : containers_) {
    if (c.seen.state != ContainerState::running || c.seen.health != HealthState::unhealthy) continue;
    c.seen.health = HealthState::healthy;
    emit(c, "health_status: healthy");
  }
}

void SimEngine::exit_by_itself(const std::string& name, int code) {
  if (Container* c = by_name(name); c != nullptr && is_active(c->seen)) end_run(c->seen.id, code, false, false);
}

std::vector<std::string> SimEngine::container_names() const {
  std::vector<std::string> names;
  for (const auto& [id, c] : containers_) names.push_back(c.seen.name);
  std::sort(names.begin(), names.end());
  return names;
}

std::string SimEngine::inventory() const {
  static const char* const kStates[] = {"created", "running", "paused", "restarting", "removing", "exited", "dead"};
  static const char* const kHealth[] = {"", " starting", " healthy", " unhealthy"};
  std::string text;
  for (const std::string& name : container_names()) {
    const ObservedContainer& c = *find(name);
    text += name + " " + kStates[static_cast<int>(c.state)];
    if (c.state == ContainerState::running) text += kHealth[static_cast<int>(c.health)];
    if (c.state == ContainerState::exited || c.state == ContainerState::dead) {
      text += " (" + std::to_string(c.exit_code) + ")";
    }
    text += "\n";
  }
  std::set<std::string> names;
  for (const auto& [id, network] : networks_) names.insert(network.name);
  for (const std::string& name : names) text += "network " + name + "\n";
  for (const auto& [name, volume] : volumes_) text += "volume " + name + "\n";
  return text;
}

// ---- the interface

void SimEngine::observe(ObserveRequest request, Reply<Snapshot> reply) {
  ++observations;
  later([this, request = std::move(request), reply = std::move(reply)]() mutable {
    if (world_.chance(faults.observe_fails)) return reply(Error(Code::unavailable, "the engine is busy"));
    Snapshot snapshot;
    auto belongs = [&request](const Labels& labels) { return label_of(labels, label::kProject) == request.project; };
    for (const auto& [id, c] : containers_) {
      if (belongs(c.seen.labels)) snapshot.containers.push_back(c.seen);
    }
    std::sort(snapshot.containers.begin(), snapshot.containers.end(),
              [](const ObservedContainer& a, const ObservedContainer& b) { return a.name < b.name; });
    for (const auto& [id, network] : networks_) {
      ObservedNetwork seen = network;
      seen.containers = attached(id);
      if (belongs(network.labels)) snapshot.networks.push_back(seen);
      const auto& names = request.networks;
      if (std::find(names.begin(), names.end(), network.name) != names.end()) {
        snapshot.named_networks[network.name] = std::move(seen);
      }
    }
    std::sort(snapshot.networks.begin(), snapshot.networks.end(),
              [](const ObservedNetwork& a, const ObservedNetwork& b) { return a.name < b.name; });
    for (const auto& [name, volume] : volumes_) {
      if (belongs(volume.labels)) snapshot.volumes.push_back(volume);
    }
    for (const std::string& name : request.volumes) {
      if (volumes_.contains(name)) snapshot.named_volumes[name] = volumes_[name];
    }
    for (const std::string& reference : request.images) {
      if (images_.contains(reference)) snapshot.images[reference] = images_[reference];
    }
    // The engine looks, then the answer travels: events may overtake it.
    later([snapshot = std::move(snapshot), reply = std::move(reply)]() mutable { reply(std::move(snapshot)); });
  });
}

std::unique_ptr<Engine::Subscription> SimEngine::subscribe(Function<void(const Event&)> on_event) {
  uint64_t id = ++next_listener_;
  listeners_[id] = std::make_shared<Listener>(Listener{std::move(on_event)});
  return std::make_unique<SimSubscription>(*this, id);
}

void SimEngine::create_network(NetworkSpec spec, Reply<NetworkId> reply) {
  calls.push_back("create network " + spec.name);
  later([this, spec = std::move(spec), reply = std::move(reply)]() mutable {
    if (network_named(spec.name) != nullptr) return reply(conflict("network with name " + spec.name + " already exists"));
    NetworkId id = NetworkId::random(world_.random());
    networks_[id] = {.id = id, .name = spec.name, .labels = spec.labels};
    record("create network " + spec.name);
    reply(id);
  });
}

void SimEngine::remove_network(NetworkId network, Reply<> reply) {
  calls.push_back("remove network " + name_of(network));
  later([this, network, reply = std::move(reply)]() mutable {
    auto found = networks_.find(network);
    if (found == networks_.end()) return reply(not_found("network " + network.str() + " not found"));
    for (const ContainerId& id : attached(network)) {
      if (!is_active(container(id)->seen)) continue;
      return reply(conflict("error while removing network: network " + found->second.name + " has active endpoints"));
    }
    record("remove network " + found->second.name);
    networks_.erase(found);
    reply({});
  });
}

void SimEngine::create_volume(VolumeSpec spec, Reply<std::string> reply) {
  calls.push_back("create volume " + spec.name);
  later([this, spec = std::move(spec), reply = std::move(reply)]() mutable {
    if (!volumes_.contains(spec.name)) {
      volumes_[spec.name] = {.name = spec.name, .labels = spec.labels};
      record("create volume " + spec.name);
    }
    reply(spec.name);
  });
}

void SimEngine::remove_volume(std::string name, Reply<> reply) {
  calls.push_back("remove volume " + name);
  later([this, name = std::move(name), reply = std::move(reply)]() mutable {
    if (!volumes_.contains(name)) return reply(not_found("no such volume: " + name));
    for (const auto& [id, c] : containers_) {
      for (const auto& [target, volume] : c.seen.volumes) {
        if (volume == name) return reply(conflict("volume is in use - [" + id.str() + "]"));
      }
    }
    volumes_.erase(name);
    record("remove volume " + name);
    reply({});
  });
}

void SimEngine::pull_image(std::string reference, std::string, OnProgress progress, Reply<ImageId> reply) {
  calls.push_back("pull " + reference);
  later([this, reference = std::move(reference), progress = std::move(progress), reply = std::move(reply)]() mutable {
    record("pull " + reference);
    if (world_.chance(faults.pull_fails)) return reply(Error(Code::unavailable, "the registry does not answer"));
    if (!registry.contains(reference)) return reply(not_found("manifest for " + reference + " not found"));
    if (progress) progress({.id = "0123456789ab", .status = "Pull complete"});
    if (!images_.contains(reference)) add_image(reference);
    reply(images_[reference].id);
  });
}

void SimEngine::remove_image(std::string reference, bool, Reply<> reply) {
  calls.push_back("remove image " + reference);
  later([this, reference = std::move(reference), reply = std::move(reply)]() mutable {
    if (images_.erase(reference) == 0) return reply(not_found("No such image: " + reference));
    record("remove image " + reference);
    reply({});
  });
}

void SimEngine::check_ports(PortCheck check, Reply<std::vector<PortConflict>> reply) {
  std::vector<PortConflict> conflicts;
  for (size_t i = 0; i < check.users.size(); ++i) {
    for (const PublishedPort& port : check.users[i].spec.published) {
      auto taken = taken_ports.find(port.host_first);
      if (taken == taken_ports.end()) continue;
      conflicts.push_back(
          {.user = i,
           .error = Error(Code::conflict, "Bind for 0.0.0.0:" + std::to_string(port.host_first) +
                                              " failed: port is already allocated (held by " + taken->second + ")")});
    }
  }
  world_.post(in_this_life(
      [conflicts = std::move(conflicts), reply = std::move(reply)]() mutable { reply(std::move(conflicts)); }));
}

void SimEngine::create_container(ContainerSpec spec, Reply<CreatedContainer> reply) {
  calls.push_back("create " + spec.name);
  later([this, spec = std::move(spec), reply = std::move(reply)]() mutable {
    if (world_.chance(faults.create_fails)) return reply(Error(Code::exhausted, "no space left on device"));
    auto image = images_.find(spec.image);
    if (image == images_.end()) return reply(not_found("No such image: " + spec.image));
    if (const Container* other = by_name(spec.name)) {
      return reply(conflict("Conflict. The container name \"/" + spec.name + "\" is already in use by container \"" +
                            other->seen.id.str() + "\". You have to remove (or rename) that container to be able to "
                            "reuse that name."));
    }
    ContainerId id = ContainerId::random(world_.random());
    Container c;
    c.seen = {.id = id, .name = spec.name, .labels = spec.labels, .image = spec.image, .image_id = image->second.id};
    c.seen.created_at = world_.clock().wall();
    bool from_spec = spec.health_check && !spec.health_check->test.empty();
    c.seen.has_health_check =
        from_spec ? spec.health_check->test.front() != "NONE" : images_with_health_.contains(spec.image);
    for (const EndpointSpec& endpoint : spec.endpoints) {
      if (const ObservedNetwork* network = network_named(endpoint.network)) c.seen.networks.push_back(network->id);
    }
    for (const Mount& mount : spec.mounts) {
      if (mount.kind != Mount::Kind::volume) continue;
      std::string name = mount.source.empty() ? random_hex(world_.random(), 32) : mount.source;
      if (!volumes_.contains(name)) volumes_[name] = {.name = name};
      c.seen.volumes[mount.target] = name;
      if (mount.source.empty()) anonymous_.insert(name);
      if (anonymous_.contains(name)) c.seen.anonymous_volumes[mount.target] = name;
    }
    c.spec = std::move(spec);
    const Container& stored = containers_[id] = std::move(c);
    emit(stored, "create");
    reply(CreatedContainer{.id = id});
  });
}

void SimEngine::start_container(ContainerId id, Reply<> reply) {
  calls.push_back("start " + name_of(id));
  later(id, [this, id, reply = std::move(reply)]() mutable {
    Container* c = container(id);
    if (c == nullptr) return reply(not_found("No such container: " + id.str()));
    if (is_active(c->seen)) return reply(Error(Code::not_modified, "already running"));
    if (c->seen.state == ContainerState::dead) return reply(conflict("container is marked for removal"));
    Result<> started;
    if (world_.chance(faults.start_fails)) started = Error(Code::internal, "simulated: cannot start");
    if (started.ok()) started = begin_run(id);
    if (!started.ok()) {
      c->seen.error = started.error().message();
      c->seen.exit_code = 128;
      record("fail to start " + c->seen.name);
    }
    later([reply = std::move(reply), started = std::move(started)]() mutable { reply(std::move(started)); });
  });
}

void SimEngine::stop_container(ContainerId id, StopOptions, Reply<> reply) {
  calls.push_back("stop " + name_of(id));
  later(id, [this, id, reply = std::move(reply)]() mutable {
    Container* c = container(id);
    if (c == nullptr) return reply(not_found("No such container: " + id.str()));
    if (!is_active(c->seen)) return reply(Error(Code::not_modified, "not running"));
    if (world_.chance(faults.stop_fails)) return reply(Error(Code::unavailable, "simulated: cannot stop"));
    record("stopping " + c->seen.name);
    auto takes = behaviours[label_of(c->seen.labels, label::kService)].stops_in;
    c->busy_until = std::max(c->busy_until, world_.now() + takes);
    world_.after(takes, [this, life = life_, id, reply = std::move(reply)]() mutable {
      if (Container* c = container(id); c != nullptr && is_active(c->seen)) end_run(id, 143, true, false);
      if (life == life_) reply({});
    });
  });
}

void SimEngine::kill_container(ContainerId id, std::string, Reply<> reply) {
  calls.push_back("kill " + name_of(id));
  later(id, [this, id, reply = std::move(reply)]() mutable {
    Container* c = container(id);
    if (c == nullptr) return reply(not_found("No such container: " + id.str()));
    if (!is_active(c->seen)) return reply(conflict("container " + id.str() + " is not running"));
    end_run(id, 137, true, false);
    reply({});
  });
}

void SimEngine::restart_container(ContainerId id, StopOptions, Reply<> reply) {
  calls.push_back("restart " + name_of(id));
  later(id, [this, id, reply = std::move(reply)]() mutable {
    Container* c = container(id);
    if (c == nullptr) return reply(not_found("No such container: " + id.str()));
    if (is_active(c->seen)) end_run(id, 143, true, false);
    reply(begin_run(id));
  });
}

void SimEngine::pause_container(ContainerId id, Reply<> reply) {
  later(id, [this, id, reply = std::move(reply)]() mutable {
    Container* c = container(id);
    if (c == nullptr) return reply(not_found("No such container: " + id.str()));
    c->seen.state = ContainerState::paused;
    emit(*c, "pause");
    reply({});
  });
}

void SimEngine::unpause_container(ContainerId id, Reply<> reply) {
  later(id, [this, id, reply = std::move(reply)]() mutable {
    Container* c = container(id);
    if (c == nullptr) return reply(not_found("No such container: " + id.str()));
    c->seen.state = ContainerState::running;
    emit(*c, "unpause");
    reply({});
  });
}

compose::CommandRunner SimEngine::command_runner() {
  return [this](const ContainerId& id, compose::CommandSpec command, auto reply) {
    later(id, [this, id, command = std::move(command), reply = std::move(reply)]() mutable {
      const Container* c = container(id);
      if (c == nullptr) return reply(not_found("No such container: " + id.str()));
      if (c->seen.state != ContainerState::running) {
        return reply(conflict("container " + c->seen.name + " is not running"));
      }
      commands.push_back(c->seen.name + ": " + join(command.arguments, " "));
      const auto behaviour = behaviours.find(label_of(c->seen.labels, label::kService));
      reply(compose::CommandOutcome{.exit_code = behaviour == behaviours.end() ? 0 : behaviour->second.command_exit_code});
    });
  };
}

void SimEngine::rename_container(ContainerId id, std::string name, Reply<> reply) {
  calls.push_back("rename to " + name);
  later(id, [this, id, name = std::move(name), reply = std::move(reply)]() mutable {
    Container* c = container(id);
    if (c == nullptr) return reply(not_found("No such container: " + id.str()));
    if (by_name(name) != nullptr) return reply(conflict("the name " + name + " is taken"));
    record("rename " + c->seen.name + " " + name);
    c->seen.name = name;
    c->spec.name = name;
    reply({});
  });
}

void SimEngine::remove_container(ContainerId id, RemoveOptions options, Reply<> reply) {
  calls.push_back("remove " + name_of(id));
  later(id, [this, id, options, reply = std::move(reply)]() mutable {
    Container* c = container(id);
    if (c == nullptr) return reply(not_found("No such container: " + id.str()));
    if (world_.chance(faults.remove_fails)) return reply(Error(Code::internal, "simulated: cannot remove"));
    if (is_active(c->seen) && !options.force) return reply(conflict("container is running"));
    if (is_active(c->seen)) end_run(id, 137, true, false);
    std::map<std::string, std::string> anonymous;
    if (c = container(id); c != nullptr) anonymous = c->seen.anonymous_volumes;
    erase(id);
    if (options.anonymous_volumes) {
      for (const auto& [target, name] : anonymous) volumes_.erase(name);
    }
    reply({});
  });
}

void SimEngine::connect_network(NetworkId network, ContainerId id, EndpointSpec, Reply<> reply) {
  calls.push_back("connect " + name_of(id) + " to " + name_of(network));
  later(id, [this, network, id, reply = std::move(reply)]() mutable {
    Container* c = container(id);
    if (c == nullptr || !networks_.contains(network)) return reply(not_found("network or container not found"));
    c->seen.networks.push_back(network);
    record("connect " + c->seen.name);
    reply({});
  });
}

void SimEngine::disconnect_network(NetworkId network, ContainerId id, bool, Reply<> reply) {
  calls.push_back("disconnect " + name_of(id) + " from " + name_of(network));
  later(id, [this, network, id, reply = std::move(reply)]() mutable {
    Container* c = container(id);
    if (c == nullptr) return reply(not_found("No such container: " + id.str()));
    std::erase(c->seen.networks, network);
    record("disconnect " + c->seen.name);
    reply({});
  });
}

}  // namespace gantry::test
