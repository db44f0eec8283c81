// Making a container: checks, name, mounts, directories. Half-made ones are not in the store, and their directories go
// at the next start of the daemon.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/fault.h"
#include "base/log.h"
#include "base/processors.h"
#include "base/remove_tree.h"
#include "base/strings.h"
#include "engine/container/container_checks.h"
#include "engine/container/container_name.h"
#include "engine/container/containers_access.h"
#include "engine/container/privileges.h"
#include "engine/container/record_json.h"
#include "engine/iface/spec_json.h"
#include "engine/volume/copy_up.h"

namespace gantry::engine {

// The disk work of a create, on a worker.
struct CreateJob {
  std::filesystem::path directory;
  std::vector<std::filesystem::path> layers;
  struct Volume {
    VolumeMount mount;
    std::filesystem::path root;
    std::string copy_target;  // where the image's content is; empty: nothing to copy
    std::string copy_into;    // subpath
  };
  std::vector<Volume> volumes;
  std::vector<std::filesystem::path> must_exist;  // bind sources that are not made
};

namespace {

std::string normal_path(const std::string& path) {
  std::string normal = std::filesystem::path(path).lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

Result<> make_container_directory(const CreateJob& job) {
  for (const std::filesystem::path& directory : {job.directory, job.directory / "upper", job.directory / "work"}) {
    if (mkdir(directory.c_str(), 0700) != 0) return Error::from_errno(errno, "mkdir", directory.string());
  }
  // The container's "/" has the owner and mode of the image's, which may be 0555 or 0700.
  struct stat root {};
  if (stat(job.layers.front().c_str(), &root) != 0) {
    return Error::from_errno(errno, "stat", job.layers.front().string());
  }
  fault_point("container directory made");
  const std::filesystem::path upper = job.directory / "upper";
  if (chown(upper.c_str(), root.st_uid, root.st_gid) != 0 || chmod(upper.c_str(), root.st_mode & 07777) != 0) {
    return Error::from_errno(errno, "chmod", upper.string());
  }
  return {};
}

Result<> run_create_job(const CreateJob& job) {
  for (const std::filesystem::path& source : job.must_exist) {
    struct stat status {};
    if (stat(source.c_str(), &status) == 0) continue;
    return invalid("invalid mount config for type \"bind\": bind source path does not exist: " + source.string());
  }
  TRY(make_container_directory(job));
  for (const CreateJob::Volume& volume : job.volumes) {
    TRY(make_volume_directory(volume.mount, volume.root));
    if (volume.copy_target.empty() || volume.mount.own_filesystem) continue;
    std::filesystem::path into = volume.mount.directory;
    if (!volume.copy_into.empty()) into /= volume.copy_into;
    if (std::filesystem::is_directory(into)) TRY(copy_up(job.layers, volume.copy_target, into));
  }
  return {};
}

// At once and not when the program is started, so that no container is left of it.
Result<> check_capabilities(const ContainerSpec& spec) {
  if (auto added = capability_mask(spec.cap_add, {}, false); !added.ok()) {
    return invalid("invalid CapAdd: " + added.error().message());
  }
  if (auto dropped = capability_mask({}, spec.cap_drop, false); !dropped.ok()) {
    return invalid("invalid CapDrop: " + dropped.error().message());
  }
  return {};
}

Result<> check_platform(const ContainerSpec& spec, const Image& image) {
  if (spec.platform.empty()) return {};
  std::string own = image.os + "/" + image.architecture;
  if (!image.variant.empty()) own += "/" + image.variant;
  // "linux/arm64" asks for any variant.
  if (own == spec.platform || own.starts_with(spec.platform + "/")) return {};
  return not_found("image with reference " + spec.image + " was found but its platform (" + own +
                   ") does not match the specified platform (" + spec.platform + ")");
}

void sort_parents_first(std::vector<ContainerMount>& mounts) {
  std::stable_sort(mounts.begin(), mounts.end(), [](const ContainerMount& a, const ContainerMount& b) {
    return std::count(a.mount.target.begin(), a.mount.target.end(), '/') <
           std::count(b.mount.target.begin(), b.mount.target.end(), '/');
  });
}

}  // namespace

Result<std::string> Containers::claim_name(const std::string& wanted, const ContainerId& id) {
  std::string name = wanted;
  for (int attempt = 0; wanted.empty() && (name.empty() || names_.contains(name)); ++attempt) {
    name = invent_container_name(context_.random, attempt);
  }
  TRY(check_container_name(name));
  auto [at, claimed] = names_.emplace(name, id);
  if (!claimed) {
    return conflict("Conflict. The container name \"/" + name + "\" is already in use by container \"" +
                    at->second.str() + "\". You have to remove (or rename) that container to be able to reuse that name.");
  }
  return name;
}

// A container that a create names. Not "not found" if it is missing: clients take that for a missing image, and pull.
Result<ContainerId> Containers::find_mentioned(const std::string& reference) const {
  auto found = find(reference);
  if (!found.ok()) return invalid(found.error().message());
  return found;
}

// "container:NAME" becomes "container:ID", so that a later rename does not matter.
Result<> Containers::resolve_references(ContainerSpec& spec) const {
  if (spec.network_mode.kind == NetworkMode::Kind::container) {
    spec.network_mode.container = TRY(find_mentioned(spec.network_mode.container)).str();
  }
  for (std::string* mode : {&spec.pid_mode, &spec.ipc_mode}) {
    if (mode->starts_with("container:")) *mode = "container:" + TRY(find_mentioned(mode->substr(10))).str();
  }
  if (spec.network_mode.kind == NetworkMode::Kind::networks && spec.endpoints.empty()) {
    spec.endpoints.emplace_back().network = kDefaultNetwork;
  }
  std::set<std::string> networks;
  for (EndpointSpec& endpoint : spec.endpoints) {
    if (endpoint.network == "default") endpoint.network = kDefaultNetwork;
    if (!networks.insert(endpoint.network).second) {
      return invalid("network " + endpoint.network + " is given twice");
    }
    if (endpoint.network == kDefaultNetwork && !endpoint.aliases.empty()) {
      return invalid("network-scoped aliases are only supported for user-defined networks");
    }
  }
  return {};
}

// Own mounts, then what volumes_from brings, then anonymous volumes where nothing else is mounted.
Result<std::vector<ContainerMount>> Containers::resolve_mounts(const ContainerSpec& spec, const EffectiveConfig& config,
                                                               std::vector<VolumeRecord>& to_make) {
  std::vector<ContainerMount> mounts;
  std::set<std::string> targets;
  const WallTime now = context_.loop.clock().wall();
  const auto volume = [&](VolumeSpec wanted) -> Result<std::string> {
    TRY(check_volume_spec(wanted));
    const bool known = std::any_of(to_make.begin(), to_make.end(),
                                   [&](const VolumeRecord& record) { return record.spec.name == wanted.name; });
    if (known || volumes_.find(wanted.name) != nullptr) return wanted.name;
    to_make.push_back(volumes_.describe(std::move(wanted), now, context_.random));
    return to_make.back().spec.name;
  };
  for (const FileMount& file : spec.files) targets.insert(normal_path(file.target));
  for (const Mount& own : spec.mounts) {
    ContainerMount resolved{.mount = own, .anonymous = own.kind == Mount::Kind::volume && own.source.empty()};
    resolved.mount.target = normal_path(own.target);
    if (own.kind == Mount::Kind::volume) {
      resolved.mount.source = TRY(volume(
          {.name = own.source, .driver = own.volume_driver, .options = own.volume_options, .labels = own.volume_labels}));
    }
    targets.insert(resolved.mount.target);
    mounts.push_back(std::move(resolved));
  }
  for (const std::string& entry : spec.volumes_from) {
    const size_t colon = entry.find(':');
    const std::string mode = colon == std::string::npos ? "" : entry.substr(colon + 1);
    if (mode != "" && mode != "rw" && mode != "ro") return invalid("invalid mode: " + mode);
    const Container* source = get(TRY(find_mentioned(entry.substr(0, colon))));
    for (ContainerMount taken : source->record.mounts) {
      if (!targets.insert(taken.mount.target).second) continue;
      taken.mount.read_only = taken.mount.read_only || mode == "ro";
      taken.mount.no_copy = true;
      mounts.push_back(std::move(taken));
    }
  }
  for (const std::string& target : config.volumes) {
    if (!targets.insert(normal_path(target)).second) continue;
    ContainerMount anonymous{.mount = {}, .anonymous = true};
    anonymous.mount.kind = Mount::Kind::volume;
    anonymous.mount.source = TRY(volume({}));
    anonymous.mount.target = normal_path(target);
    mounts.push_back(std::move(anonymous));
  }
  sort_parents_first(mounts);
  return mounts;
}

void Containers::create(ContainerSpec spec, Reply<CreatedContainer> reply) {
  if (closing_) return context_.answer(std::move(reply), Error(Code::unavailable, "the daemon is shutting down"));
  auto container = std::make_shared<Container>();
  std::vector<VolumeRecord> to_make;
  std::vector<std::string> warnings;
  auto job = std::make_shared<CreateJob>();
  const auto prepare = [&]() -> Result<> {
    TRY(check_container_spec(spec, {.processors = static_cast<int>(processors())}));
    TRY(check_capabilities(spec));
    TRY(resolve_references(spec));
    if (spec.network_mode.kind == NetworkMode::Kind::host && !spec.published.empty()) {
      warnings.emplace_back("Published ports are discarded when using host network mode");
    }
    if (!spec.cgroup_mode.empty()) {
      warnings.push_back("The cgroup namespace mode \"" + spec.cgroup_mode +
                         "\" is not applied: it is private with cgroup v2 and the host's with v1");
    }
    const Image image = TRY(context_.images.find(spec.image));
    TRY(check_platform(spec, image));
    auto layers = TRY(context_.images.layers(image.id));
    container->config = TRY(merge_with_image(spec, image.config));
    TRY(check_effective_config(container->config));
    container->record.image_id = image.id;
    container->record.image_config = image.config;
    container->record.created_at = context_.loop.clock().wall();
    container->record.mounts = TRY(resolve_mounts(spec, container->config, to_make));
    container->layers_hold = std::move(layers.hold);
    container->id = ContainerId::random(context_.random);
    if (spec.name.starts_with('/')) spec.name.erase(0, 1);
    spec.name = TRY(claim_name(spec.name, container->id));  // the last step that can fail
    job->layers = std::move(layers.directories);
    return {};
  };
  if (auto prepared = prepare(); !prepared.ok()) {
    return context_.answer(std::move(reply), std::move(prepared).error());
  }
  container->spec = std::move(spec);
  job->directory = context_.paths.container(container->id);
  std::map<std::string, const VolumeRecord*> fresh;
  for (const VolumeRecord& record : to_make) fresh[record.spec.name] = &record;
  for (const ContainerMount& mount : container->record.mounts) {
    const Mount& wanted = mount.mount;
    if (wanted.kind == Mount::Kind::bind && !wanted.create_source) job->must_exist.emplace_back(wanted.source);
    if (wanted.kind != Mount::Kind::volume) continue;
    auto at = fresh.find(wanted.source);
    const VolumeRecord& record = at != fresh.end() ? *at->second : *volumes_.find(wanted.source);
    job->volumes.push_back({.mount = volumes_.mount_of(record),
                            .root = volumes_.directory_of(wanted.source),
                            .copy_target = wanted.no_copy || !record.spec.options.empty() ? "" : wanted.target,
                            .copy_into = wanted.subpath});
    ++volumes_in_creation_[wanted.source];
  }
  ++creating_;
  context_.tasks.run(
      [job] {
        Result<> made = run_create_job(*job);
        if (!made.ok()) (void)remove_tree(job->directory).ok();
        return made;
      },
      [this, container, to_make = std::move(to_make), warnings = std::move(warnings),
       reply = std::move(reply)](Result<> made) mutable {
        created(std::move(container), std::move(to_make), std::move(made), std::move(warnings), std::move(reply));
      });
}

void Containers::created(std::shared_ptr<Container> container, std::vector<VolumeRecord> made, Result<> done,
                         std::vector<std::string> warnings, Reply<CreatedContainer> reply) {
  --creating_;
  if (closing_) context_.went_idle();
  for (const ContainerMount& mount : container->record.mounts) {
    if (mount.mount.kind != Mount::Kind::volume) continue;
    if (--volumes_in_creation_[mount.mount.source] == 0) volumes_in_creation_.erase(mount.mount.source);
  }
  std::vector<VolumeRecord> kept;  // another create may have been quicker with the same volume
  if (done.ok()) {
    done = context_.database.transaction([&]() -> Result<> {
      for (const VolumeRecord& record : made) {
        if (volumes_.find(record.spec.name) != nullptr) continue;
        TRY(volumes_.keep(record));
        kept.push_back(record);
      }
      return context_.database.save_container({.id = container->id,
                                               .spec = to_json(container->spec),
                                               .details = to_json(container->record),
                                               .state = to_json(container->status)});
    });
  }
  if (!done.ok()) {
    names_.erase(container->spec.name);
    for (const VolumeRecord& record : kept) (void)volumes_.forget(record.spec.name).ok();
    discard_volumes(made);
    return reply(std::move(done).error());
  }
  containers_[container->id] = container;
  index(*container);
  for (const VolumeRecord& record : kept) {
    Event event;
    event.type = Event::Type::volume;
    event.action = "create";
    event.actor_id = record.spec.name;
    event.attributes = {{"driver", "local"}};
    context_.events.emit(std::move(event));
  }
  emit(*container, "create");
  reply(CreatedContainer{.id = container->id, .warnings = std::move(warnings)});
}

// After a failed create: the directories of volumes that nobody has come to own.
void Containers::discard_volumes(const std::vector<VolumeRecord>& made) {
  std::vector<std::filesystem::path> directories;
  for (const VolumeRecord& record : made) {
    const std::string& name = record.spec.name;
    if (volumes_.find(name) == nullptr && !is_volume_in_creation(name)) {
      directories.push_back(volumes_.directory_of(name));
    }
  }
  if (directories.empty()) return;
  context_.tasks.run(
      [directories = std::move(directories)] {
        for (const auto& directory : directories) (void)remove_tree(directory).ok();
      },
      [] {});
}

}  // namespace gantry::engine
