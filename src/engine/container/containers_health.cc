// Running the health check's probes: an exec, its output, its time limit. What the results mean is in health.h.
#include <csignal>

#include "base/log.h"
#include "engine/container/containers_access.h"
#include "engine/container/exec.h"
#include "engine/container/probe_output.h"

namespace gantry::engine {

void Containers::start_probing(Container& container) {
  auto check = effective_check(container.config.health_check, container.config.shell);
  if (!check) return;
  container.health.started(container.status.started_at);
  container.status.health = container.health.state();
  container.probing.emplace();
  container.probing->check = *std::move(check);
  schedule_probe(container);
}

void Containers::stop_probing(Container& container) {
  if (!container.probing) return;
  context_.loop.cancel(std::exchange(container.probing->timer, 0));
  container.probing->output.reset();
  if (!container.probing->probe) return;
  // It may go on until the container's end; nobody asks for its result any more.
  if (auto at = execs_.find(*container.probing->probe); at != execs_.end()) at->second->on_end = {};
  container.probing->probe.reset();
}

void Containers::schedule_probe(Container& container) {
  Probing& probing = *container.probing;
  context_.loop.cancel(probing.timer);
  const auto delay = container.health.next_delay(probing.check, context_.loop.clock().wall());
  probing.timer = context_.loop.after(delay, [this, id = container.id] { run_probe(id); });
}

void Containers::run_probe(const ContainerId& id) {
  Container* container = get(id);
  if (container == nullptr || !container->probing || container->link == nullptr || container->ended) return;
  if (container->status.state != ContainerState::running) return;
  Probing& probing = *container->probing;
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

void Containers::probe_timed_out(const ContainerId& id, const ExecId& exec) {
  Container* container = get(id);
  if (container == nullptr || !container->probing || container->probing->probe != exec) return;
  if (container->link != nullptr) (void)container->link->signal_exec(exec, SIGKILL).ok();  // it may end just now
  if (auto at = execs_.find(exec); at != execs_.end()) at->second->on_end = {};
  const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(container->probing->check.timeout);
  std::string text = "Health check exceeded timeout (" + std::to_string(limit.count()) + "ms): ";
  if (limit.count() % 1000 == 0) {
    text = "Health check exceeded timeout (" + std::to_string(limit.count() / 1000) + "s): ";
  }
  finish_probe(id, exec, -1, std::move(text));
}

// `text` goes before what the probe has printed.
void Containers::finish_probe(const ContainerId& id, const ExecId& exec, int exit_code, std::string text) {
  Container* container = get(id);
  if (container == nullptr || !container->probing || container->probing->probe != exec) return;
  Probing& probing = *container->probing;
  context_.loop.cancel(std::exchange(probing.timer, 0));
  if (probing.output != nullptr) text += probing.output->take();
  probing.output.reset();
  probing.probe.reset();
  const bool changed = container->health.record(probing.check, {.start = probing.began,
                                                                .end = context_.loop.clock().wall(),
                                                                .exit_code = exit_code,
                                                                .output = std::move(text)});
  schedule_probe(*container);
  if (!changed) return;
  container->status.health = container->health.state();
  save_state(*container);
  emit(*container, std::string("health_status: ") + to_string(container->status.health));
}

}  // namespace gantry::engine
