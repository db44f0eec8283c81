// Running the health check's probes: an exec, its output, its time limit. What the results mean is in health.h.
#include <fcntl.h>

#include <algorithm>
#include <csignal>

#include "base/log.h"
#include "base/processors.h"
#include "engine/container/containers_access.h"
#include "engine/container/exec.h"
#include "engine/container/log_config.h"
#include "engine/container/network_probe.h"
#include "engine/container/probe_output.h"

namespace gantry::engine {
namespace {

bool is_asked_quickly(const Container& container) {
  return container.probing && container.probing->check.quick && container.health.state() == HealthState::starting;
}

std::string timeout_text(const EffectiveCheck& check) {
  const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(check.timeout);
  const bool is_whole = limit.count() % 1000 == 0;
  return "Health check exceeded timeout (" +
         (is_whole ? std::to_string(limit.count() / 1000) + "s" : std::to_string(limit.count()) + "ms") + "): ";
}

}  // namespace

void Containers::start_probing(Container& container) {
  auto check = effective_check(container.config.health_check, container.config.shell);
  if (!check) return;
  container.health.started(container.status.started_at);
  container.status.health = container.health.state();
  container.probing.emplace();
  container.probing->check = *std::move(check);
  if (container.probing->check.arguments[0] == "LOG" && container.probing->check.is_own) follow_log(container);
  schedule_probe(container);
}

void Containers::stop_probing(Container& container) {
  if (!container.probing) return;
  context_.loop.cancel(std::exchange(container.probing->timer, 0));
  container.probing->output.reset();
  container.probing->network.reset();
  container.probing->log.reset();
  if (!container.probing->probe) return;
  // It may go on until the container's end; nobody asks for its result any more.
  if (auto at = execs_.find(*container.probing->probe); at != execs_.end()) at->second->on_end = {};
  container.probing->probe.reset();
}

double Containers::asked_quickly_per_processor() const {
  const auto count = std::ranges::count_if(containers_, [](const auto& entry) { return is_asked_quickly(*entry.second); });
  return static_cast<double>(count) / processors();
}

void Containers::schedule_probe(Container& container) {
  Probing& probing = *container.probing;
  context_.loop.cancel(probing.timer);
  const double starting = is_asked_quickly(container) ? asked_quickly_per_processor() : 0;
  const auto delay = container.health.next_delay(probing.check, context_.loop.clock().wall(), starting);
  probing.timer = context_.loop.after(delay, [this, id = container.id] { run_probe(id); });
}

void Containers::run_probe(const ContainerId& id) {
  Container* container = get(id);
  if (container == nullptr || !container->probing || container->link == nullptr || container->ended) return;
  if (container->status.state != ContainerState::running) return;
  Probing& probing = *container->probing;
  if (probing.check.is_own) return run_own_probe(*container);
  LocalEngine::ExecRequest request;
  request.spec.process.arguments = probing.check.arguments;
  auto exec = create_exec(id, std::move(request));
  if (!exec.ok()) return schedule_probe(*container);
  const WallTime begun = context_.loop.clock().wall();
  probing.probe = *exec;
  probing.began = begun;
  probing.ended.reset();
  execs_.at(*exec)->on_end = [this, id, exec_id = *exec](int code) {
    Container* found = get(id);
    if (found == nullptr || !found->probing || found->probing->probe != exec_id) return;
    found->probing->ended = code;
    if (found->probing->output != nullptr) finish_probe(id, exec_id, code, {});
  };
  probing.timer = context_.loop.after(probing.check.timeout, [this, id, exec_id = *exec] { probe_timed_out(id, exec_id); });
  start_exec(*exec, false, [this, id, exec_id = *exec](Result<ExecStreams> streams) {
    Container* found = get(id);
    if (found == nullptr || !found->probing || found->probing->probe != exec_id) return;
    if (!streams.ok()) return finish_probe(id, exec_id, -1, streams.error().message());
    found->probing->output = std::make_unique<ProbeOutput>(context_.loop, *std::move(streams));
    if (found->probing->ended) finish_probe(id, exec_id, *found->probing->ended, {});
  });
}

// --- probes of the engine's own ---

void Containers::run_own_probe(Container& container) {
  Probing& probing = *container.probing;
  probing.began = context_.loop.clock().wall();
  if (probing.check.arguments[0] == "LOG") {
    // The line's arrival is told by follow_log(): this is only the time without it.
    if (probing.log == nullptr) {  // after a pause
      follow_log(container);
      return schedule_probe(container);
    }
    return record_probe(container, 1, "no line of the log matches " + gantry::quoted(probing.check.arguments[1]) + " yet");
  }
  const Fd netns(::open(("/proc/" + std::to_string(container.link->pid()) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
  auto target = parse_network_target(probing.check.arguments);
  if (!netns || !target.ok()) {
    return record_probe(container, -1, target.ok() ? "the container's network is gone" : target.error().message());
  }
  auto probe = NetworkProbe::start(context_.loop, netns, *std::move(target),
                                   [this, id = container.id](int code, std::string text) {
                                     Container* found = get(id);
                                     if (found == nullptr || !found->probing) return;
                                     // It is what calls this: it ends when this is over.
                                     const auto over = std::move(found->probing->network);
                                     record_probe(*found, code, std::move(text));
                                   });
  if (!probe.ok()) return record_probe(container, 1, probe.error().message());
  probing.network = *std::move(probe);
  probing.timer = context_.loop.after(probing.check.timeout, [this, id = container.id] {
    Container* found = get(id);
    if (found == nullptr || !found->probing || found->probing->network == nullptr) return;
    found->probing->network.reset();
    record_probe(*found, -1, timeout_text(found->probing->check));
  });
}

void Containers::follow_log(Container& container) {
  Probing& probing = *container.probing;
  // The program may have written before its start was noted: what came after the end of the run before is this one's.
  const WallTime since = container.status.finished_at == WallTime{}
                             ? WallTime{}
                             : container.status.finished_at + std::chrono::nanoseconds(1);
  const std::string driver = container.spec.log.driver.empty() ? "json-file" : container.spec.log.driver;
  auto probe = LogProbe::start(context_.tasks, log_file(context_.paths.container(container.id), container.id, driver),
                               since, probing.check.arguments[1],
                               [this, id = container.id](const std::string& line) {
                                 Container* found = get(id);
                                 if (found == nullptr || !found->probing) return;
                                 found->probing->began = context_.loop.clock().wall();
                                 record_probe(*found, 0, "matched: " + line);
                               });
  if (probe.ok()) {
    probing.log = *std::move(probe);
  } else {
    log_warning("container " + container.spec.name + ": health check: " + probe.error().message());
  }
}

void Containers::record_probe(Container& container, int exit_code, std::string text) {
  Probing& probing = *container.probing;
  context_.loop.cancel(std::exchange(probing.timer, 0));
  const bool changed = container.health.record(probing.check, {.start = probing.began,
                                                               .end = context_.loop.clock().wall(),
                                                               .exit_code = exit_code,
                                                               .output = std::move(text)});
  // What the log said once stays true for this run.
  const bool is_over = probing.log != nullptr && exit_code == 0;
  if (is_over) {
    probing.log.reset();
  } else {
    schedule_probe(container);
  }
  if (!changed) return;
  container.status.health = container.health.state();
  save_state(container);
  emit(container, std::string("health_status: ") + to_string(container.status.health));
}

void Containers::probe_timed_out(const ContainerId& id, const ExecId& exec) {
  Container* container = get(id);
  if (container == nullptr || !container->probing || container->probing->probe != exec) return;
  if (container->link != nullptr) (void)container->link->signal_exec(exec, SIGKILL).ok();  // it may end just now
  if (auto at = execs_.find(exec); at != execs_.end()) at->second->on_end = {};
  finish_probe(id, exec, -1, timeout_text(container->probing->check));
}

// `text` goes before what the probe has printed.
void Containers::finish_probe(const ContainerId& id, const ExecId& exec, int exit_code, std::string text) {
  Container* container = get(id);
  if (container == nullptr || !container->probing || container->probing->probe != exec) return;
  Probing& probing = *container->probing;
  if (probing.output != nullptr) text += probing.output->take();
  probing.output.reset();
  probing.probe.reset();
  record_probe(*container, exit_code, std::move(text));
}

}  // namespace gantry::engine
