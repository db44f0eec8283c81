// Starting a container: what its spec means on this machine now, as a StartJob for a worker; then the living one.
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "base/strings.h"
#include "engine/container/container_checks.h"
#include "engine/container/containers_access.h"

namespace gantry::engine {
namespace {

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

std::string tmpfs_options(const Mount& mount) {
  std::string options = "noexec,nosuid,nodev";
  if (!mount.tmpfs_options.empty()) options += "," + mount.tmpfs_options;
  if (mount.tmpfs_size) options += ",size=" + std::to_string(*mount.tmpfs_size);
  if (mount.tmpfs_mode) {
    char text[16];
    const auto end = std::to_chars(text, text + sizeof text, *mount.tmpfs_mode, 8);
    options += ",mode=" + std::string(text, end.ptr);
  }
  return options;
}

// "seccomp=…", "no-new-privileges[=false]"; the others mean nothing on a machine without the module.
void apply_security_options(const ContainerSpec& spec, SandboxSpec& sandbox) {
  for (const std::string& option : spec.security_options) {
    const size_t at = option.find_first_of("=:");
    const std::string name = option.substr(0, at);
    const std::string value = at == std::string::npos ? "" : option.substr(at + 1);
    if (name == "no-new-privileges") sandbox.no_new_privileges = value != "false";
    if (name == "seccomp" && value != "builtin") sandbox.seccomp = value;
    if (name == "systempaths" && value == "unconfined") {
      sandbox.masked_paths.emplace();
      sandbox.read_only_paths.emplace();
    }
  }
}

NamespaceChoice own_or_host(const std::string& mode) {
  return {.kind = mode == "host" ? NamespaceChoice::Kind::host : NamespaceChoice::Kind::own, .pid = 0};
}

}  // namespace

// --- operations ---

void Containers::start(const ContainerId& id, Reply<> reply) {
  Container* container = get_or_refuse(id, reply);
  if (container == nullptr) return;
  enqueue(*container, [this, id, reply = std::move(reply)](Container* found) mutable {
    if (found == nullptr) return reply(no_such_container(id.str()));
    if (auto may = may_start(found->label(), found->status.state); !may.ok()) {
      end_operation(id);
      return reply(std::move(may));
    }
    cancel_waiting_restart(*found);
    found->status.restart_count = 0;
    found->backoff.reset();
    begin_start(*found, false, [this, id, reply = std::move(reply)](Result<> started) mutable {
      end_operation(id);
      reply(std::move(started));
    });
  });
}

// Within an operation. `done` is called later or at once.
void Containers::begin_start(Container& container, bool by_policy, Started done) {
  container.start_began = context_.loop.clock().wall();
  ended_shims_.let_go(container.id);
  const bool on_default = std::any_of(container.spec.endpoints.begin(), container.spec.endpoints.end(),
                                      [](const EndpointSpec& endpoint) { return endpoint.network == kDefaultNetwork; });
  if (on_default && container.spec.network_mode.kind == NetworkMode::Kind::networks) {
    container.working = true;
    networks_.ensure_default([this, id = container.id, by_policy, done = std::move(done)](Result<> made) mutable {
      Container* found = get(id);
      found->working = false;
      if (!made.ok()) return done(std::move(made));
      launch(*found, by_policy, std::move(done));
    });
    return;
  }
  launch(container, by_policy, std::move(done));
}

void Containers::launch(Container& container, bool by_policy, Started done) {
  auto endpoints = allocate_endpoints(container);
  Result<StartJob> job = endpoints.ok() ? make_start_job(container, *endpoints) : Result<StartJob>(endpoints.error());
  if (!job.ok()) {
    StartResult refused;
    refused.problem = StartProblem{.failure = {.exit_code = 128, .message = job.error().message()},
                                   .code = job.error().code()};
    return finish_start(container.id, endpoints.ok() ? *std::move(endpoints) : std::vector<EndpointState>(),
                        std::move(refused), by_policy, std::move(done));
  }
  for (const VolumeMount& volume : job->volumes_to_mount) ++volume_mounts_[volume.directory.string()];
  container.working = true;
  container.starting = true;
  context_.tasks.run(
      [tools = StartTools{context_.runtime, context_.stack, context_.names}, job = *std::move(job)]() mutable {
        return run_start_job(tools, std::move(job));
      },
      [this, id = container.id, endpoints = *std::move(endpoints), by_policy,
       done = std::move(done)](StartResult result) mutable {
        get(id)->working = false;
        get(id)->starting = false;
        if (result.problem) release_volumes(*get(id));
        finish_start(id, std::move(endpoints), std::move(result), by_policy, std::move(done));
      });
}

void Containers::finish_start(const ContainerId& id, std::vector<EndpointState> endpoints, StartResult result,
                              bool by_policy, Started done) {
  Container& container = *get(id);
  ended_shims_.note_activity();
  if (result.problem) {
    for (const EndpointState& endpoint : endpoints) networks_.release(endpoint);
    container.status = after_failed_start(container.status, result.problem->failure);
    save_state(container);
    auto attaching = std::exchange(container.attaching, {});
    Error error(result.problem->code, result.problem->failure.message);
    for (Reply<Fd>& waiting : attaching) waiting(error);
    return start_failed(container, by_policy, std::move(error), std::move(done));
  }
  const int restarts = container.status.restart_count;
  container.link = context_.runtime.link(context_.loop, std::move(result.sandbox), handlers(id));
  container.ports = std::move(result.ports);
  container.status = after_start(container.status, container.link->started_at(), container.config.health_check.has_value());
  container.status.restart_count = restarts;
  container.start_takes = container.status.started_at - container.start_began;
  container.status.endpoints = std::move(endpoints);
  if (container.ports) container.status.published = container.ports->ports();
  container.policy_cancelled = false;
  container.lost = false;
  save_state(container);
  for (const std::string& warning : result.warnings) log_warning("container " + container.spec.name + ": " + warning);
  for (const EndpointState& endpoint : container.status.endpoints) {
    networks_.add_member(id, container.spec.name, endpoint);
    emit_network(container, endpoint.network, "connect");
  }
  for (const ContainerMount& mount : container.record.mounts) {
    if (mount.mount.kind == Mount::Kind::volume) emit_volume(container, mount, "mount");
  }
  start_probing(container);
  // Those that came during the start itself get what comes from now on.
  for (Reply<Fd>& waiting : std::exchange(container.attaching, {})) {
    waiting(container.link->attach(closes_stdin(container)));
  }
  emit(container, "start");
  done({});
}

// A policy goes on trying what it began; a user's start that failed is over, and with --rm so is the container: whoever
// hears of the failure does not find it any more.
void Containers::start_failed(Container& container, bool by_policy, Error error, Started done) {
  if (by_policy && !container.policy_cancelled && !closing_) {
    after_end(container, std::nullopt, false);
    return done(std::move(error));
  }
  if (!container.spec.auto_remove) return done(std::move(error));
  answer_waiters(container, false);
  begin_remove(container, {.force = false, .anonymous_volumes = true},
               [error = std::move(error), done = std::move(done)](Result<> removed) mutable {
                 if (!removed.ok()) log_warning(removed.error().message());
                 done(std::move(error));
               });
}

ShimLink::Handlers Containers::handlers(const ContainerId& id) {
  ShimLink::Handlers handlers;
  handlers.exited = [this, id](ExitReport report) {
    Container* container = get(id);
    if (container == nullptr || container->ended) return;
    container->ended = report;
    // Posted: handling the end lets the link go, which is calling us.
    context_.loop.post([this, id] { advance(id); });
  };
  handlers.exec_exited = [this](ExecId exec, ExitReport report) { exec_ended(exec, report); };
  handlers.lost = [this, id] {
    Container* container = get(id);
    if (container == nullptr || container->ended) return;
    container->lost = true;
    container->ended = ExitReport{.exit_code = 255, .finished_at = context_.loop.clock().wall(), .oom_killed = false};
    context_.loop.post([this, id] { advance(id); });
  };
  return handlers;
}

// --- from spec to job ---

Result<const Container*> Containers::running_other(const std::string& reference, const char* what) const {
  const Container* other = get(TRY(find(reference)));
  if (other->link == nullptr || !is_up(other->status.state) || other->ended) {
    return conflict(std::string("cannot join ") + what + " namespace of a non running container: container " +
                    other->spec.name + " is " + to_string(other->status.state));
  }
  return other;
}

Result<> Containers::describe_namespaces(const Container& container, SandboxSpec& sandbox) const {
  const ContainerSpec& spec = container.spec;
  const auto of_process = [](const Container* other) {
    return NamespaceChoice{.kind = NamespaceChoice::Kind::of_process, .pid = other->link->pid()};
  };
  sandbox.pid = own_or_host(spec.pid_mode);
  sandbox.ipc = own_or_host(spec.ipc_mode);
  sandbox.uts = own_or_host(spec.uts_mode);
  if (spec.network_mode.kind == NetworkMode::Kind::host) sandbox.network.kind = NamespaceChoice::Kind::host;
  if (spec.network_mode.kind == NetworkMode::Kind::container) {
    sandbox.network = of_process(TRY(running_other(spec.network_mode.container, "network")));
  }
  if (spec.pid_mode.starts_with("container:")) {
    sandbox.pid = of_process(TRY(running_other(spec.pid_mode.substr(10), "PID")));
  }
  if (spec.ipc_mode.starts_with("container:")) {
    const Container* donor = TRY(running_other(spec.ipc_mode.substr(10), "IPC"));
    if (donor->spec.ipc_mode == "private" || donor->spec.ipc_mode == "none") {
      return invalid("cannot join IPC namespace of container " + donor->spec.name + ": non-shareable IPC (hint: use IpcMode:shareable for the donor container)");
    }
    sandbox.ipc = of_process(donor);
  }
  return {};
}

Result<std::vector<RuntimeMount>> Containers::describe_mounts(const Container& container, StartJob& job) const {
  std::vector<RuntimeMount> mounts;
  for (const ContainerMount& resolved : container.record.mounts) {
    const Mount& mount = resolved.mount;
    RuntimeMount runtime{.source = {},
                         .target = mount.target,
                         .read_only = mount.read_only,
                         .recursive = mount.recursive,
                         .read_only_submounts = mount.read_only_submounts,
                         .propagation = mount.propagation,
                         .tmpfs_options = {},
                         .subpath = mount.subpath};
    if (mount.kind == Mount::Kind::bind) {
      runtime.source = mount.source;
      if (mount.create_source) job.directories_to_make.emplace_back(mount.source);
    } else if (mount.kind == Mount::Kind::tmpfs) {
      runtime.kind = RuntimeMount::Kind::tmpfs;
      runtime.tmpfs_options = tmpfs_options(mount);
    } else {
      const VolumeRecord* volume = volumes_.find(mount.source);
      if (volume == nullptr) return not_found("get " + mount.source + ": no such volume");
      VolumeMount place = volumes_.mount_of(*volume);
      runtime.source = place.directory;
      if (place.own_filesystem) job.volumes_to_mount.push_back(std::move(place));
    }
    mounts.push_back(std::move(runtime));
  }
  const std::filesystem::path directory = context_.paths.container(container.id);
  for (size_t i = 0; i < container.spec.files.size(); ++i) {
    const FileMount& file = container.spec.files[i];
    const std::filesystem::path path = directory / ("file-" + std::to_string(i));
    job.files.push_back({.path = path, .content = file.content, .mode = file.mode, .uid = file.uid, .gid = file.gid});
    mounts.push_back({.source = path, .target = file.target, .read_only = true, .read_only_submounts = {},
                      .propagation = {}, .tmpfs_options = {},
                      .subpath = {}});
  }
  return mounts;
}

Result<StartJob> Containers::make_start_job(Container& container, const std::vector<EndpointState>& endpoints) {
  const ContainerSpec& spec = container.spec;
  const std::filesystem::path directory = context_.paths.container(container.id);
  StartJob job;
  SandboxSpec& sandbox = job.sandbox;
  sandbox.id = container.id;
  sandbox.run_dir = context_.paths.run(container.id);
  auto layers = TRY(context_.images.layers(container.record.image_id));
  sandbox.layers = std::move(layers.directories);
  container.layers_hold = std::move(layers.hold);
  sandbox.upper = directory / "upper";
  sandbox.work = directory / "work";
  if (spec.log.driver != "none") sandbox.log_path = log_file(directory, container.id, spec.log.driver);
  sandbox.log = TRY(log_settings(spec.log, {.id = container.id.str(),
                                            .name = spec.name,
                                            .image = spec.image,
                                            .image_id = container.record.image_id.str(),
                                            .labels = container.config.labels,
                                            .environment = container.config.environment}));

  TRY(describe_namespaces(container, sandbox));
  const bool hosts_name = spec.network_mode.kind == NetworkMode::Kind::host || spec.uts_mode == "host";
  sandbox.hostname = !spec.hostname.empty() ? spec.hostname : hosts_name ? host_name() : container.id.short_form();
  sandbox.domainname = spec.domainname;
  TRY(describe_network(container, endpoints, job));

  // In another container's network its files are shared, too.
  std::filesystem::path files = directory;
  if (spec.network_mode.kind == NetworkMode::Kind::container) {
    const Container* owner = TRY(running_other(spec.network_mode.container, "network"));
    files = context_.paths.container(owner->id);
    sandbox.hostname = owner->spec.hostname.empty() ? owner->id.short_form() : owner->spec.hostname;
    std::erase_if(job.files, [&](const StartFile& file) { return file.path.parent_path() == directory; });
  }
  for (const char* name : {"resolv.conf", "hostname", "hosts"}) {
    sandbox.mounts.push_back({.source = files / name, .target = std::string("/etc/") + name,
                              .read_only = spec.read_only, .read_only_submounts = {}, .propagation = {}, .tmpfs_options = {}, .subpath = {}});
  }
  for (RuntimeMount& mount : TRY(describe_mounts(container, job))) {
    std::erase_if(sandbox.mounts, [&](const RuntimeMount& standard) { return standard.target == mount.target; });
    sandbox.mounts.push_back(std::move(mount));
  }

  ProcessSpec& process = sandbox.process;
  process.arguments = container.config.arguments;
  process.environment = process_environment(container.config.environment, sandbox.hostname, spec.tty);
  process.user = container.config.user;
  process.group_add = spec.group_add;
  process.working_dir = container.config.working_dir.empty() ? "/" : container.config.working_dir;
  process.tty = spec.tty;
  process.rows = spec.console_rows;
  process.columns = spec.console_columns;
  process.open_stdin = spec.open_stdin;
  process.privileged = spec.privileged;
  sandbox.shm_size = spec.shm_size.value_or(uint64_t{64} << 20);
  sandbox.read_only_root = spec.read_only;
  sandbox.no_shm = spec.ipc_mode == "none";
  sandbox.cgroup_mode = spec.cgroup_mode;
  sandbox.init = spec.init;
  sandbox.cap_add = spec.cap_add;
  sandbox.cap_drop = spec.cap_drop;
  sandbox.privileged = spec.privileged;
  sandbox.masked_paths = spec.masked_paths;
  sandbox.read_only_paths = spec.read_only_paths;
  apply_security_options(spec, sandbox);
  sandbox.sysctls = spec.sysctls;
  sandbox.oom_score_adj = spec.oom_score_adj;
  sandbox.resources = spec.resources;
  job.attached = std::exchange(container.attached, {});
  job.close_stdin_at_end = closes_stdin(container);
  return job;
}

// The volumes with a filesystem of their own that this run held: unmounted after their last user.
void Containers::release_volumes(const Container& container) {
  std::vector<VolumeMount> unused = take_unused_volumes(container);
  if (unused.empty()) return;
  context_.tasks.run(
      [unused = std::move(unused)] {
        for (const VolumeMount& volume : unused) unmount_volume(volume);
      },
      [] {});
}

std::vector<VolumeMount> Containers::take_unused_volumes(const Container& container) {
  std::vector<VolumeMount> unused;
  for (const ContainerMount& mount : container.record.mounts) {
    const VolumeRecord* volume =
        mount.mount.kind == Mount::Kind::volume ? volumes_.find(mount.mount.source) : nullptr;
    if (volume == nullptr) continue;
    VolumeMount place = volumes_.mount_of(*volume);
    auto count = volume_mounts_.find(place.directory.string());
    if (!place.own_filesystem || count == volume_mounts_.end() || --count->second > 0) continue;
    volume_mounts_.erase(count);
    unused.push_back(std::move(place));
  }
  return unused;
}

}  // namespace gantry::engine
