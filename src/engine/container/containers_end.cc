// A container's end and what follows from it: clean-up, events, restart policy, removal.
#include <algorithm>

#include "base/fault.h"
#include "base/log.h"
#include "base/remove_tree.h"
#include "base/strings.h"
#include "engine/container/containers_access.h"
#include "engine/container/exec.h"
#include "engine/container/log_config.h"

namespace gantry::engine {

namespace {

EndJob end_job(const Container& container, const Networks& networks) {
  EndJob job;
  for (const EndpointState& endpoint : container.status.endpoints) {
    StartEndpoint ended{.config = networks.endpoint_config(endpoint), .key = endpoint.endpoint_id, .record = {}};
    if (!networks.is_default(endpoint.network)) ended.record.emplace();
    ended.config.ports = container.status.published;
    job.endpoints.push_back(std::move(ended));
  }
  if (!job.endpoints.empty()) job.dns_client = container.id.str();
  return job;
}

}  // namespace

void Containers::handle_end(Container& container) {
  container.working = true;
  if (container.stopping) context_.loop.cancel(std::exchange(container.stopping->timer, 0));
  stop_probing(container);
  EndJob job = end_job(container, networks_);
  job.volumes_to_unmount = take_unused_volumes(container);
  std::vector<EndpointState> endpoints = container.status.endpoints;
  struct CleanUp {
    Runtime* runtime;
    ContainerId id;
    std::filesystem::path run_dir;
    bool needed;
  };
  // A dead shim has not removed what the container left in the kernel; a living one not what it does not know of, nor
  // what was still busy when it gave up.
  CleanUp clean_up{&context_.runtime, container.id, context_.paths.run(container.id),
                   container.lost || container.status.regrouped};
  context_.tasks.run(
      [tools = StartTools{context_.runtime, context_.stack, context_.names}, job = std::move(job),
       ports = std::move(container.ports), clean_up = std::move(clean_up)]() mutable {
        if (!clean_up.needed) clean_up.run_dir.clear();  // which a shim that lives needs
        auto done = clean_up.runtime->clean_up(clean_up.id, clean_up.run_dir);
        if (!done.ok()) log_warning("after a container's end: " + done.error().message());
        run_end_job(tools, std::move(job), std::move(ports));
      },
      [this, id = container.id, endpoints = std::move(endpoints)]() mutable { finish_end(id, std::move(endpoints)); });
}

void Containers::finish_end(const ContainerId& id, std::vector<EndpointState> endpoints) {
  const std::shared_ptr<Container> keep = containers_.at(id);  // a waiter may remove it
  Container& container = *keep;
  const ExitReport report = *std::exchange(container.ended, std::nullopt);
  const bool was_lost = std::exchange(container.lost, false);
  for (const EndpointState& endpoint : endpoints) {
    networks_.release(endpoint);
    networks_.remove_member(endpoint.network, id);
  }
  if (container.link != nullptr && !was_lost) {
    container.link->retire();
    ended_shims_.add(id, [link = std::move(container.link)] { link->release(); });
  }
  container.link.reset();
  end_execs(container);
  container.health.suspended();

  const auto ran_for = report.finished_at - container.status.started_at;
  const bool restarts = !container.being_restarted && !closing_ &&
                        should_restart(container.spec.restart, {.exit_code = report.exit_code,
                                                                .restarts_so_far = container.status.restart_count,
                                                                .cancelled = container.policy_cancelled});
  container.status = gantry::engine::after_end(container.status, report, was_lost && !restarts);
  if (restarts) container.status.state = ContainerState::restarting;
  save_state(container);

  for (const EndpointState& endpoint : endpoints) emit_network(container, endpoint.network, "disconnect");
  for (const ContainerMount& mount : container.record.mounts) {
    if (mount.mount.kind == Mount::Kind::volume) emit_volume(container, mount, "unmount");
  }
  if (report.oom_killed) emit(container, "oom");
  answer_waiters(container, false);
  const auto seconds = std::max<int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(ran_for).count());
  emit(container, "die",
       {{"exitCode", std::to_string(report.exit_code)}, {"execDuration", std::to_string(seconds)}});

  container.working = false;
  if (container.stopping) {
    auto waiting = std::move(container.stopping->done);
    container.stopping.reset();
    for (auto& done : waiting) done({});
  }
  if (get(id) == nullptr) return;
  after_end(container, report.finished_at, was_lost);
  advance(id);
  if (closing_) context_.went_idle();
}

// The container has ended (or its policy's start failed: then it has no time of an end): what comes by itself now.
void Containers::after_end(Container& container, std::optional<WallTime> ended_at, bool was_lost) {
  const bool restarts = !container.being_restarted && !closing_ &&
                        should_restart(container.spec.restart, {.exit_code = container.status.exit_code,
                                                                .restarts_so_far = container.status.restart_count,
                                                                .cancelled = container.policy_cancelled});
  if (!restarts) {
    if (container.status.state == ContainerState::restarting) {  // a policy's start failed for the last time
      container.status.state = was_lost ? ContainerState::dead : ContainerState::exited;
      save_state(container);
    }
    if (container.spec.auto_remove && !container.being_restarted && !closing_) remove_automatically(container);
    return;
  }
  if (container.status.state != ContainerState::restarting) {
    container.status.state = ContainerState::restarting;
    save_state(container);
  }
  using std::chrono::nanoseconds;
  nanoseconds pause = container.backoff.next(ended_at ? *ended_at - container.status.started_at : nanoseconds{});
  if (ended_at) {
    pause = until_start(pause, {.ended_at = *ended_at, .start_takes = container.start_takes}, context_.loop.clock().wall());
  }
  container.restart_timer = context_.loop.after(pause, [this, id = container.id] {
    Container* found = get(id);
    if (found == nullptr) return;
    found->restart_timer = 0;
    enqueue(*found, [this, id](Container* container) {
      if (container == nullptr) return;
      Container& waiting = *container;
      // A user's operation came first.
      if (waiting.status.state != ContainerState::restarting || closing_) return end_operation(id);
      ++waiting.status.restart_count;
      begin_start(waiting, true, [this, id](Result<> started) {
        if (!started.ok()) log_warning("container " + id.short_form() + ": restart: " + started.error().message());
        end_operation(id);
      });
    });
  });
}

// --- removal ---

void Containers::remove_automatically(Container& container) {
  enqueue(
      container,
      [this, id = container.id](Container* found) {
        if (found == nullptr) return;
        begin_remove(*found, {.force = false, .anonymous_volumes = true}, [this, id](Result<> removed) {
          if (!removed.ok()) log_warning("container " + id.short_form() + ": " + removed.error().message());
          end_operation(id);
        });
      },
      true);
}

void Containers::remove(const ContainerId& id, RemoveOptions options, Reply<> reply) {
  Container* container = get_or_refuse(id, reply);
  if (container == nullptr) return;
  // What is being stopped gently is now ended at once.
  if (options.force && container->stopping) escalate(id, 0);
  enqueue(*container, [this, id, options, reply = std::move(reply)](Container* container) mutable {
    if (container == nullptr) return reply(no_such_container(id.str()));
    Container& found = *container;
    const auto finish = [this, id](Reply<> answer, Result<> removed) {
      end_operation(id);
      answer(std::move(removed));
    };
    if (auto may = may_remove(found.label(), found.status.state, options.force); !may.ok()) {
      return finish(std::move(reply), std::move(may));
    }
    if (!counts_as_running(found.status.state)) {
      return begin_remove(found, options, [finish, reply = std::move(reply)](Result<> removed) mutable {
        finish(std::move(reply), std::move(removed));
      });
    }
    begin_stop(found, {.signal = {}, .timeout = std::chrono::seconds(0)},
               [this, id, options, finish, reply = std::move(reply)](Result<> stopped) mutable {
                 if (!stopped.ok()) return finish(std::move(reply), std::move(stopped));
                 begin_remove(*get(id), options, [finish, reply = std::move(reply)](Result<> removed) mutable {
                   finish(std::move(reply), std::move(removed));
                 });
               });
  });
}

// Of replicas that ran: what their project's `logs` may be asked for later.
std::optional<PastRun> Containers::run_to_keep(const Container& container) const {
  const auto label = [&](const char* name) {
    const auto found = container.config.labels.find(std::string("com.docker.compose.") + name);
    return found != container.config.labels.end() ? found->second : std::string();
  };
  const std::string project = label("project");
  const bool has_log = container.spec.log.driver != "none" && container.status.started_at != WallTime{};
  if (project.empty() || !has_log || label("oneoff") == "True" || !context_.keeps_logs_of) return std::nullopt;
  if (!context_.keeps_logs_of(project)) return std::nullopt;
  return PastRun{.project = project,
                 .service = label("service"),
                 .replica = static_cast<int>(parse_unsigned(label("container-number")).value_or(1)),
                 .container_id = container.id.str(),
                 .container_name = container.spec.name,
                 .started_at = container.status.started_at,
                 .finished_at = container.status.finished_at,
                 .exit_code = container.status.exit_code,
                 .tty = container.spec.tty,
                 .log_name = {}};
}

// Within an operation, not running. The row says "removing" until everything else has gone.
void Containers::begin_remove(Container& container, RemoveOptions options, Function<void(Result<>)> done) {
  auto kept = run_to_keep(container);
  container.status.state = ContainerState::removing;
  save_state(container);
  std::vector<std::string> volumes;
  std::vector<std::filesystem::path> directories = {context_.paths.container(container.id)};
  for (const ContainerMount& mount : container.record.mounts) {
    if (!options.anonymous_volumes || !mount.anonymous) continue;
    auto users = by_volume_.find(mount.mount.source);
    const bool shared = users != by_volume_.end() && users->second.size() > 1;
    if (shared || is_volume_in_creation(mount.mount.source)) continue;
    volumes.push_back(mount.mount.source);
    directories.push_back(volumes_.directory_of(mount.mount.source));
  }
  container.working = true;
  context_.tasks.run(
      [directories = std::move(directories), kept = std::move(kept), archive = LogArchive(context_.paths.logs()),
       log = log_file(context_.paths.container(container.id), container.id, container.spec.log.driver)]() -> Result<> {
        if (kept) {
          const auto moved = archive.keep(*kept, log);
          if (!moved.ok()) log_warning("the log of " + kept->container_name + " is lost: " + moved.error().message());
        }
        for (const std::filesystem::path& directory : directories) {
          TRY(remove_tree(directory));
        }
        fault_point("container files removed");
        return {};
      },
      [this, id = container.id, volumes = std::move(volumes), done = std::move(done)](Result<> removed) mutable {
        finish_remove(id, volumes, std::move(removed), std::move(done));
      });
}

void Containers::finish_remove(const ContainerId& id, const std::vector<std::string>& volumes, Result<> removed,
                               Function<void(Result<>)> done) {
  const std::shared_ptr<Container> container = containers_.at(id);
  container->working = false;
  ended_shims_.note_activity();
  if (removed.ok()) {
    removed = context_.database.transaction([&]() -> Result<> {
      for (const std::string& volume : volumes) TRY(volumes_.forget(volume));
      return context_.database.remove_container(id);
    });
  }
  if (!removed.ok()) {
    container->status.state = ContainerState::dead;
    container->status.error = removed.error().message();
    save_state(*container);
    return done(std::move(removed).within("cannot remove container \"" + container->spec.name + "\""));
  }
  unindex(*container);
  names_.erase(container->spec.name);
  containers_.erase(id);
  for (const ExecId& exec : container->execs) execs_.erase(exec);
  for (const std::string& volume : volumes) {
    Event event;
    event.type = Event::Type::volume;
    event.action = "destroy";
    event.actor_id = volume;
    event.attributes = {{"driver", "local"}};
    context_.events.emit(std::move(event));
  }
  answer_waiters(*container, true);
  for (Reply<Fd>& waiting : std::exchange(container->attaching, {})) waiting(no_such_container(id.str()));
  emit(*container, "destroy");
  done({});
  for (Operation& operation : std::exchange(container->operations, {})) operation(nullptr);
}

}  // namespace gantry::engine
