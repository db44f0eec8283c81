// Attach, resize and exec: other streams into a running container.
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

#include "base/log.h"
#include "base/strings.h"
#include "engine/container/containers_access.h"
#include "engine/container/exec.h"

namespace gantry::engine {
namespace {

// An ended exec can still be inspected for that long.
constexpr std::chrono::minutes kKeepExecs{5};
constexpr int kCannotRun = 126;

Error no_such_exec(const ExecId& id) { return not_found("No such exec instance: " + id.str()); }

std::string command_line(const ExecDetails& exec) {
  const std::vector<std::string>& arguments = exec.spec.process.arguments;
  return arguments[0] + " " + join(std::span(arguments).subspan(1), " ");
}

}  // namespace

void Containers::attach(const ContainerId& id, Reply<Fd> reply) {
  Container* container = get_or_refuse(id, reply);
  if (container == nullptr) return;
  if (auto may = may_attach(container->label(), container->status.state); !may.ok()) {
    return context_.answer(std::move(reply), std::move(may).error());
  }
  const bool runs = container->link != nullptr && !container->ended;
  if (container->starting) {
    container->attaching.push_back(std::move(reply));
    return;
  }
  if (!runs) {
    // The client gets its end now; what it writes waits in the socket for the program.
    auto pair = make_socket_pair(SOCK_STREAM);
    if (!pair.ok()) return context_.answer(std::move(reply), std::move(pair).error());
    container->attached.push_back(std::move(pair->first));
    return context_.answer(std::move(reply), std::move(pair->second));
  }
  context_.answer(std::move(reply), container->link->attach(closes_stdin(*container)));
}

Result<> Containers::resize(const ContainerId& id, uint16_t rows, uint16_t columns) {
  Container* container = get(id);
  if (container == nullptr) return no_such_container(id.str());
  TRY(may_resize(container->label(), container->status.state));
  if (container->link == nullptr) return conflict("container " + id.str() + " is not running");
  TRY(container->link->resize(rows, columns));
  emit(*container, "resize", {{"height", std::to_string(rows)}, {"width", std::to_string(columns)}});
  return {};
}

Result<ExecId> Containers::create_exec(const ContainerId& id, LocalEngine::ExecRequest request) {
  Container* container = get(id);
  if (container == nullptr) return no_such_container(id.str());
  TRY(may_exec(container->label(), container->status.state));
  ProcessSpec& process = request.spec.process;
  if (process.arguments.empty() || process.arguments[0].empty()) return invalid("No exec command specified");
  const std::string hostname =
      container->spec.hostname.empty() ? container->id.short_form() : container->spec.hostname;
  std::vector<std::string> configured = container->config.environment;
  const auto add = [&](const std::vector<std::string>& more) {
    configured.insert(configured.end(), more.begin(), more.end());
  };
  add(request.extra_environment);
  add(process.environment);
  process.environment = process_environment(configured, hostname, process.tty);
  if (process.user.empty()) process.user = container->config.user;
  if (process.working_dir.empty() || process.working_dir == "/") {
    process.working_dir = container->config.working_dir.empty() ? "/" : container->config.working_dir;
  }
  process.open_stdin = request.attach_stdin;

  auto exec = std::make_unique<Exec>();
  const ExecId exec_id = ExecId::random(context_.random);
  exec->details.id = exec_id;
  exec->details.container = id;
  exec->details.spec = std::move(request.spec);
  exec->details.attach_stdin = request.attach_stdin;
  exec->details.attach_stdout = request.attach_stdout;
  exec->details.attach_stderr = request.attach_stderr;
  exec->details.detach_keys = std::move(request.detach_keys);
  emit(*container, "exec_create: " + command_line(exec->details), {{"execID", exec_id.str()}});
  container->execs.insert(exec_id);
  execs_[exec_id] = std::move(exec);
  return exec_id;
}

void Containers::start_exec(const ExecId& id, bool detach, Reply<ExecStreams> reply) {
  auto at = execs_.find(id);
  if (at == execs_.end()) return context_.answer(std::move(reply), no_such_exec(id));
  Exec& exec = *at->second;
  Container* container = get(exec.details.container);
  const auto check = [&]() -> Result<> {
    if (exec.details.running) return conflict("exec command " + id.str() + " is already running");
    if (exec.details.started) return conflict("exec command " + id.str() + " has already run");
    TRY(may_exec(container->label(), container->status.state));
    if (container->link == nullptr || container->ended) {
      return conflict("container " + container->id.str() + " is not running");
    }
    return {};
  };
  if (auto may = check(); !may.ok()) return context_.answer(std::move(reply), std::move(may).error());
  exec.details.started = true;
  exec.details.running = true;
  exec.details.spec.detached = detach;
  if (detach) exec.details.spec.process.open_stdin = false;
  container->link->exec(
      id, exec.details.spec,
      [this, id, reply = std::move(reply)](std::variant<ExecStreams, StartFailure> result) mutable {
        exec_started(id, std::move(result), std::move(reply));
      });
}

void Containers::exec_started(const ExecId& id, std::variant<ExecStreams, StartFailure> result,
                              Reply<ExecStreams> reply) {
  auto at = execs_.find(id);
  if (at == execs_.end()) return context_.answer(std::move(reply), no_such_exec(id));
  Exec& exec = *at->second;
  Container* container = get(exec.details.container);
  if (auto* failure = std::get_if<StartFailure>(&result)) {
    exec.details.running = false;
    // dockerd looks users up itself, before its runtime is asked.
    const bool no_user = failure->message.starts_with("unable to find ");
    const int exit_code = no_user ? kCannotRun : failure->exit_code;
    exec.details.exit_code = exit_code;
    Error error = no_user ? invalid(failure->message)
                          : invalid("OCI runtime exec failed: exec failed: unable to start container process: " +
                                    failure->message + ": unknown");
    for (Reply<int>& waiting : std::exchange(exec.waiters, {})) waiting(exit_code);
    forget_later(id);
    return context_.answer(std::move(reply), std::move(error));
  }
  ExecStreams streams = std::get<ExecStreams>(std::move(result));
  if (container != nullptr) {
    if (container->link != nullptr) exec.details.pid = container->link->exec_pid(id).value_or(0);
    emit(*container, "exec_start: " + command_line(exec.details), {{"execID", id.str()}});
  }
  if (streams.terminal) {
    if (auto own = streams.terminal.duplicate(); own.ok()) exec.terminal = *std::move(own);
    if (exec.details.spec.detached && exec.terminal) drain_terminal(exec);
  }
  context_.answer(std::move(reply), std::move(streams));
}

// Nobody else reads a detached program's terminal, and a full one would stop the program.
void Containers::drain_terminal(Exec& exec) {
  exec.drain = std::make_unique<FdWatcher>(context_.loop, exec.terminal.get(), FdWatcher::readable, [&exec](int) {
    char dropped[4096];
    if (::read(exec.terminal.get(), dropped, sizeof dropped) <= 0) exec.drain->set_interest(0);
  });
}

void Containers::exec_ended(const ExecId& id, ExitReport report) {
  auto at = execs_.find(id);
  if (at == execs_.end()) return;
  Exec& exec = *at->second;
  if (!exec.details.running) return;
  exec.details.running = false;
  exec.details.exit_code = report.exit_code;
  exec.details.pid = 0;
  exec.drain.reset();
  exec.terminal.reset();
  if (Container* container = get(exec.details.container)) {
    emit(*container, "exec_die", {{"execID", id.str()}, {"exitCode", std::to_string(report.exit_code)}});
  }
  auto on_end = std::move(exec.on_end);
  for (Reply<int>& waiting : std::exchange(exec.waiters, {})) waiting(report.exit_code);
  if (on_end) {
    forget_exec(id);
    on_end(report.exit_code);
  } else {
    forget_later(id);
  }
}

// With the container everything in it ended by SIGKILL.
void Containers::end_execs(Container& container) {
  const std::set<ExecId> execs = container.execs;
  const WallTime now = context_.loop.clock().wall();
  for (const ExecId& id : execs) {
    auto at = execs_.find(id);
    if (at == execs_.end()) continue;
    at->second->on_end = {};
    exec_ended(id, {.exit_code = 128 + SIGKILL, .finished_at = now, .oom_killed = false});
  }
}

void Containers::forget_later(const ExecId& id) {
  context_.loop.after(kKeepExecs, [this, id] { forget_exec(id); });
}

void Containers::forget_exec(const ExecId& id) {
  auto at = execs_.find(id);
  if (at == execs_.end()) return;
  if (Container* container = get(at->second->details.container)) container->execs.erase(id);
  execs_.erase(at);
}

Result<ExecDetails> Containers::inspect_exec(const ExecId& id) const {
  auto at = execs_.find(id);
  if (at == execs_.end()) return no_such_exec(id);
  return at->second->details;
}

Result<> Containers::resize_exec(const ExecId& id, uint16_t rows, uint16_t columns) {
  auto at = execs_.find(id);
  if (at == execs_.end()) return no_such_exec(id);
  ExecDetails& details = at->second->details;
  if (!details.started) {  // it will start with this size
    details.spec.process.rows = rows;
    details.spec.process.columns = columns;
    return {};
  }
  if (!at->second->terminal) return invalid("exec process is not started");
  winsize size{.ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  if (ioctl(at->second->terminal.get(), TIOCSWINSZ, &size) != 0) return Error::from_errno(errno, "resize of exec");
  return {};
}

void Containers::wait_exec(const ExecId& id, Reply<int> reply) {
  auto at = execs_.find(id);
  if (at == execs_.end()) return context_.answer(std::move(reply), no_such_exec(id));
  if (at->second->details.exit_code) return context_.answer(std::move(reply), int(*at->second->details.exit_code));
  at->second->waiters.push_back(std::move(reply));
}

}  // namespace gantry::engine
