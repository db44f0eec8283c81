// What all of the containers' parts use: look-up, the queue of operations, store and events.
#include "engine/container/containers.h"

#include <algorithm>

#include "base/log.h"
#include "engine/container/containers_access.h"
#include "engine/container/exec.h"
#include "engine/container/record_json.h"
#include "engine/iface/spec_json.h"

namespace gantry::engine {

Containers::Containers(Context& context, Networks& networks, VolumeStore& volumes)
    : context_(context), networks_(networks), volumes_(volumes), ended_shims_(context.loop, [this] { return is_busy(); }) {}
Containers::~Containers() = default;

bool Containers::is_busy() const {
  return !networks_.idle() || std::ranges::any_of(containers_, [](const auto& one) {
           return one.second->operating || one.second->working;
         });
}

Container* Containers::get(const ContainerId& id) {
  auto at = containers_.find(id);
  return at == containers_.end() ? nullptr : at->second.get();
}
const Container* Containers::get(const ContainerId& id) const {
  auto at = containers_.find(id);
  return at == containers_.end() ? nullptr : at->second.get();
}

void Containers::enqueue(Container& container, Operation operation, bool next) {
  if (next) {
    container.operations.push_front(std::move(operation));
  } else {
    container.operations.push_back(std::move(operation));
  }
  // Not at once: a reply must not come inside the call.
  context_.loop.post([this, id = container.id] { advance(id); });
}

void Containers::advance(const ContainerId& id) {
  Container* container = get(id);
  if (container == nullptr || container->working) return;
  if (container->ended && (!container->operating || container->stopping)) {
    handle_end(*container);
    return;
  }
  if (container->operating || container->operations.empty()) return;
  container->operating = true;
  auto operation = std::move(container->operations.front());
  container->operations.pop_front();
  operation(container);
}

void Containers::end_operation(const ContainerId& id) {
  if (Container* container = get(id)) {
    container->operating = false;
    context_.loop.post([this, id] { advance(id); });
  }
  if (closing_) context_.went_idle();
}

void Containers::save_state(Container& container) {
  auto saved = context_.database.save_container_state(container.id, to_json(container.status));
  if (!saved.ok()) log_error("container " + container.spec.name + ": " + saved.error().message());
}

void Containers::save_spec(Container& container) {
  auto saved = context_.database.save_container_spec(container.id, to_json(container.spec));
  if (!saved.ok()) log_error("container " + container.spec.name + ": " + saved.error().message());
}

void Containers::emit(const Container& container, std::string action, std::map<std::string, std::string> more) {
  Event event;
  event.type = Event::Type::container;
  event.action = std::move(action);
  event.actor_id = container.id.str();
  event.attributes = std::move(more);
  event.attributes.insert(container.config.labels.begin(), container.config.labels.end());
  event.attributes["image"] = container.spec.image;
  event.attributes["name"] = container.spec.name;
  context_.events.emit(std::move(event));
}

void Containers::emit_network(const Container& container, const NetworkId& network, const char* action) {
  const NetworkRecord* record = networks_.get(network);
  Event event;
  event.type = Event::Type::network;
  event.action = action;
  event.actor_id = network.str();
  event.attributes = {{"container", container.id.str()},
                      {"name", record == nullptr ? "" : record->spec.name},
                      {"type", record == nullptr ? "" : record->spec.driver}};
  context_.events.emit(std::move(event));
}

void Containers::emit_volume(const Container& container, const ContainerMount& mount, const char* action) {
  Event event;
  event.type = Event::Type::volume;
  event.action = action;
  event.actor_id = mount.mount.source;
  event.attributes = {{"container", container.id.str()}, {"driver", "local"}};
  if (std::string_view(action) == "mount") {
    event.attributes["destination"] = mount.mount.target;
    event.attributes["read/write"] = mount.mount.read_only ? "false" : "true";
    event.attributes["propagation"] = mount.mount.propagation;
  }
  context_.events.emit(std::move(event));
}

void Containers::index(const Container& container) {
  if (auto project = container.config.labels.find(kProjectLabel); project != container.config.labels.end()) {
    by_project_[project->second].insert(container.id);
  }
  for (const EndpointSpec& endpoint : container.spec.endpoints) by_network_[endpoint.network].insert(container.id);
  for (const ContainerMount& mount : container.record.mounts) {
    if (mount.mount.kind == Mount::Kind::volume) by_volume_[mount.mount.source].insert(container.id);
  }
  by_image_[container.record.image_id].insert(container.id);
}

void Containers::unindex(const Container& container) {
  const auto drop = [&](auto& index, const auto& key) {
    auto at = index.find(key);
    if (at == index.end()) return;
    at->second.erase(container.id);
    if (at->second.empty()) index.erase(at);
  };
  if (auto project = container.config.labels.find(kProjectLabel); project != container.config.labels.end()) {
    drop(by_project_, project->second);
  }
  for (const EndpointSpec& endpoint : container.spec.endpoints) drop(by_network_, endpoint.network);
  for (const ContainerMount& mount : container.record.mounts) {
    if (mount.mount.kind == Mount::Kind::volume) drop(by_volume_, mount.mount.source);
  }
  drop(by_image_, container.record.image_id);
}

void Containers::rename(const ContainerId& id, std::string name, Reply<> reply) {
  Container* container = get_or_refuse(id, reply);
  if (container == nullptr) return;
  enqueue(*container, [this, id, name = std::move(name), reply = std::move(reply)](Container* found) mutable {
    if (found == nullptr) return reply(no_such_container(id.str()));
    const auto change = [&]() -> Result<> {
      if (name.starts_with('/')) name.erase(0, 1);
      if (name.empty()) return invalid("Neither old nor new names may be empty");
      if (name == found->spec.name) return invalid("Renaming a container with the same name as its current name");
      auto claimed = claim_name(name, id);
      if (!claimed.ok()) return std::move(claimed).error().within("Error when allocating new name");
      const std::string old = std::exchange(found->spec.name, name);
      names_.erase(old);
      save_spec(*found);
      networks_.rename_member(id, name);
      for (const EndpointState& endpoint : found->status.endpoints) {
        if (networks_.is_default(endpoint.network)) continue;
        const auto publish = [&]() -> Result<> {
          return TRY(context_.names.get())->publish(endpoint.endpoint_id, name_record(*found, endpoint));
        };
        if (auto renamed = publish(); !renamed.ok()) log_warning("names of " + name + ": " + renamed.error().message());
      }
      emit(*found, "rename", {{"oldName", "/" + old}});
      return {};
    };
    Result<> changed = change();
    end_operation(id);
    reply(std::move(changed));
  });
}

void Containers::wait(const ContainerId& id, WaitCondition condition, Reply<WaitResult> reply) {
  Container* container = get_or_refuse(id, reply);
  if (container == nullptr) return;
  const bool ended = !counts_as_running(container->status.state) && !container->ended && !container->being_restarted;
  if (condition == WaitCondition::not_running && ended) {
    return context_.answer(std::move(reply),
                           WaitResult{.exit_code = container->status.exit_code, .error = container->status.error});
  }
  container->waiters.push_back({.condition = condition, .reply = std::move(reply)});
}

void Containers::answer_waiters(Container& container, bool removed) {
  std::vector<Container::Waiter> waiting;
  for (Container::Waiter& waiter : std::exchange(container.waiters, {})) {
    const bool due = removed || waiter.condition != WaitCondition::removed;
    (due ? waiting : container.waiters).push_back(std::move(waiter));
  }
  // Who waits for the removal has heard of a failed start from the start itself.
  const WaitResult result{.exit_code = container.status.exit_code, .error = removed ? "" : container.status.error};
  for (Container::Waiter& waiter : waiting) waiter.reply(result);
}

void Containers::stop_accepting() {
  closing_ = true;
  for (auto& [id, container] : containers_) {
    if (container->restart_timer != 0) context_.loop.cancel(std::exchange(container->restart_timer, 0));
    stop_probing(*container);
  }
}

bool Containers::idle() const {
  if (creating_ != 0) return false;
  for (const auto& [id, container] : containers_) {
    // A stop may wait for ever; it goes on as nothing when the daemon is gone.
    if (container->working || (container->operating && !container->stopping)) return false;
  }
  return true;
}

bool Containers::any_up() const {
  for (const auto& [id, container] : containers_) {
    if (container->link != nullptr) return true;
  }
  return false;
}

}  // namespace gantry::engine
