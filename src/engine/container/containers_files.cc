// What the API needs to reach into a container from outside: its files, its limits, its events.
#include <algorithm>

#include "base/processors.h"
#include "engine/container/cgroup_update.h"
#include "engine/container/container_checks.h"
#include "engine/container/container_root.h"
#include "engine/container/containers_access.h"

namespace gantry::engine {
namespace {

template <class T>
void take_if_given(T& old, const T& wanted) {
  if (wanted != T{}) old = wanted;
}

// Zero means "as it was" (API: update).
Resources merged(Resources old, const Resources& wanted) {
  take_if_given(old.memory, wanted.memory);
  take_if_given(old.memory_swap, wanted.memory_swap);
  take_if_given(old.memory_reservation, wanted.memory_reservation);
  take_if_given(old.memory_swappiness, wanted.memory_swappiness);
  take_if_given(old.cpu_shares, wanted.cpu_shares);
  // Two ways to say the same: the newer one holds.
  if (wanted.nano_cpus != 0) old.cpu_period = old.cpu_quota = 0;
  if (wanted.cpu_period != 0 || wanted.cpu_quota != 0) old.nano_cpus = 0;
  take_if_given(old.nano_cpus, wanted.nano_cpus);
  take_if_given(old.cpu_period, wanted.cpu_period);
  take_if_given(old.cpu_quota, wanted.cpu_quota);
  take_if_given(old.cpuset_cpus, wanted.cpuset_cpus);
  take_if_given(old.cpuset_mems, wanted.cpuset_mems);
  take_if_given(old.pids_limit, wanted.pids_limit);
  take_if_given(old.blkio_weight, wanted.blkio_weight);
  take_if_given(old.ulimits, wanted.ulimits);
  return old;
}

}  // namespace

Result<RootSource> Containers::root_source(const ContainerId& id) const {
  const Container* container = get(id);
  if (container == nullptr) return no_such_container(id.str());
  RootSource source;
  source.id = id;
  source.directory = context_.paths.container(id);
  source.read_only_root = container->spec.read_only;
  auto layers = TRY(context_.images.layers(container->record.image_id));
  source.layers = std::move(layers.directories);
  source.layers_hold = std::move(layers.hold);
  if (container->link != nullptr && !container->ended) source.pid = container->link->pid();
  for (const ContainerMount& resolved : container->record.mounts) {
    const Mount& mount = resolved.mount;
    RootSource::Bind bind{.source = mount.source,
                          .subpath = mount.subpath,
                          .target = mount.target,
                          .read_only = mount.read_only,
                          .recursive = mount.recursive,
                          .volume = {}};
    if (mount.kind == Mount::Kind::tmpfs) continue;  // exists only while it runs
    if (mount.kind == Mount::Kind::volume) {
      const VolumeRecord* volume = volumes_.find(mount.source);
      if (volume == nullptr) continue;
      bind.volume = volumes_.mount_of(*volume);
      bind.source = bind.volume.directory;
    }
    source.binds.push_back(std::move(bind));
  }
  for (const char* name : {"hostname", "hosts", "resolv.conf"}) {  // there since its first start
    const bool replaced = std::any_of(source.binds.begin(), source.binds.end(), [&](const RootSource::Bind& bind) {
      return bind.target == "/etc/" + std::string(name);
    });
    if (replaced) continue;
    source.binds.push_back(
        {.source = source.directory / name, .subpath = {}, .target = "/etc/" + std::string(name), .volume = {}});
  }
  return source;
}

void Containers::emit_about(const ContainerId& id, std::string action, std::map<std::string, std::string> attributes) {
  if (const Container* container = get(id)) emit(*container, std::move(action), std::move(attributes));
}

void Containers::update(const ContainerId& id, LocalEngine::Update update, Reply<std::vector<std::string>> reply) {
  Container* container = get_or_refuse(id, reply);
  if (container == nullptr) return;
  enqueue(*container, [this, id, update = std::move(update), reply = std::move(reply)](Container* found) mutable {
    if (found == nullptr) return reply(no_such_container(id.str()));
    const auto finish = [this, id](Reply<std::vector<std::string>> answer, Result<> done) {
      end_operation(id);
      if (!done.ok()) return answer(std::move(done).error());
      answer(std::vector<std::string>());
    };
    ContainerSpec wanted = found->spec;
    wanted.resources = merged(found->spec.resources, update.resources);
    const auto check = [&]() -> Result<> {
      if (update.restart) {
        if (wanted.auto_remove && update.restart->kind != RestartPolicy::Kind::no) {
          return conflict("Cannot update container " + id.str() +
                          ": Restart policy cannot be updated because AutoRemove is enabled for the container");
        }
        wanted.restart = *update.restart;
      }
      const Resources& old = found->spec.resources;
      if (update.resources.memory > 0 && update.resources.memory_swap == 0 && old.memory_swap > 0 &&
          update.resources.memory > old.memory_swap) {
        return conflict("Cannot update container " + id.str() +
                        ": Memory limit should be smaller than already set memoryswap limit, update the memoryswap at "
                        "the same time");
      }
      return check_container_spec(wanted, {.processors = static_cast<int>(processors())});
    };
    if (auto checked = check(); !checked.ok()) return finish(std::move(reply), std::move(checked));
    const auto keep = [this, id](ContainerSpec spec) {
      Container& changed = *get(id);
      changed.spec.resources = std::move(spec.resources);
      changed.spec.restart = spec.restart;
      save_spec(changed);
      emit(changed, "update");
    };
    if (found->link == nullptr || found->ended || wanted.resources == found->spec.resources) {
      keep(std::move(wanted));
      return finish(std::move(reply), {});
    }
    found->working = true;
    context_.tasks.run(
        [&runtime = context_.runtime, id, pid = found->link->pid(), resources = wanted.resources,
         privileged = wanted.privileged] { return runtime.update(id, pid, resources, privileged); },
        [this, id, keep, finish, wanted = std::move(wanted), reply = std::move(reply)](Result<bool> updated) mutable {
          Container& changed = *get(id);
          changed.working = false;
          if (updated.ok()) {
            changed.status.regrouped = changed.status.regrouped || *updated;
            if (*updated) save_state(changed);
            keep(std::move(wanted));
            return finish(std::move(reply), {});
          }
          finish(std::move(reply), std::move(updated).error().within("Cannot update container " + id.str()));
        });
  });
}

}  // namespace gantry::engine
