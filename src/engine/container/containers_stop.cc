// Stop, kill, restart, pause: what a user asks of a running container.
#include <csignal>

#include "base/log.h"
#include "engine/container/containers_access.h"
#include "engine/container/signal_name.h"
#include "engine/container/signal_reaction.h"

namespace gantry::engine {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr seconds kDefaultGrace{10};
// Label: "patient" = wait out the grace whatever PID 1 does about the signal.
constexpr char kStopManner[] = "dev.gantry.stop";
constexpr char kPatient[] = "patient";
constexpr std::chrono::milliseconds kFirstMoments{500};  // of a run, in which programs install their handlers
// After SIGKILL the end should be immediate; a process stuck in the kernel (dead NFS) may never end.
constexpr seconds kKillPatience{10};

}  // namespace

int Containers::stop_signal_of(const Container& container) const {
  if (container.config.stop_signal.empty()) return SIGTERM;
  auto number = parse_signal(container.config.stop_signal);
  return number.ok() ? *number : SIGTERM;
}

Result<> Containers::send_signal(Container& container, int number) {
  if (container.link == nullptr || container.ended) return {};  // it has gone by itself
  TRY(container.link->signal(number));
  emit(container, "kill", {{"signal", std::to_string(number)}});
  // A frozen process gets nothing: it has to be thawed for the signals that are meant to end it.
  const bool thaws = number == SIGKILL || number == stop_signal_of(container);
  if (container.status.state == ContainerState::paused && thaws) {
    TRY(container.link->unpause());
    container.status.state = ContainerState::running;
    save_state(container);
    emit(container, "unpause");
  }
  return {};
}

void Containers::cancel_waiting_restart(Container& container) {
  if (container.restart_timer != 0) context_.loop.cancel(std::exchange(container.restart_timer, 0));
  if (container.status.state != ContainerState::restarting) return;
  container.status.state = ContainerState::exited;
  save_state(container);
}

// --- stop ---

void Containers::stop(const ContainerId& id, StopOptions options, Reply<> reply) {
  Container* container = get_or_refuse(id, reply);
  if (container == nullptr) return;
  if (options.signal) {
    if (auto signal = parse_signal(*options.signal); !signal.ok()) {
      return context_.answer(std::move(reply), std::move(signal).error().within("cannot stop container: " + id.str()));
    }
  }
  if (container->stopping) {
    container->stopping->done.push_back(std::move(reply));
    harden_stop(*container, options);
    return;
  }
  enqueue(*container, [this, id, options = std::move(options), reply = std::move(reply)](Container* container) mutable {
    if (container == nullptr) return reply(no_such_container(id.str()));
    begin_stop(*container, options, [this, id, reply = std::move(reply)](Result<> stopped) mutable {
      Container* found = get(id);
      if (found != nullptr && stopped.ok()) emit(*found, "stop");
      end_operation(id);
      reply(std::move(stopped));
    });
  });
}

// PID 1 would never hear of the signal: a shell or `sleep` without a handler takes the whole grace for nothing.
bool Containers::waits_in_vain(const Container& container, int signal) const {
  if (container.link == nullptr || container.ended || signal == SIGKILL) return false;
  if (container.status.state != ContainerState::running) return false;
  const auto manner = container.spec.labels.find(kStopManner);
  if (manner != container.spec.labels.end() && manner->second == kPatient) return false;
  return process_drops_signal(container.link->pid(), signal);
}

// Within an operation; `done` is called at the container's end, or at once if there is nothing to end.
void Containers::begin_stop(Container& container, const StopOptions& options, Function<void(Result<>)> done) {
  if (auto may = may_stop(container.label(), container.status.state); !may.ok()) return done(std::move(may));
  if (!container.being_restarted) {
    container.policy_cancelled = true;
    container.status.stopped_by_user = true;
  }
  if (container.status.state == ContainerState::restarting) {
    cancel_waiting_restart(container);
    answer_waiters(container, false);
    return done({});
  }
  save_state(container);
  container.stopping.emplace();
  container.stopping->done.push_back(std::move(done));
  int signal = stop_signal_of(container);
  if (options.signal) signal = parse_signal(*options.signal).value_or(SIGTERM);
  seconds grace = options.timeout.value_or(container.spec.stop_timeout.value_or(kDefaultGrace));
  if (grace.count() == 0) return escalate(container.id, 0);
  const nanoseconds age = context_.loop.clock().wall() - container.status.started_at;
  if (grace.count() > 0 && waits_in_vain(container, signal)) {
    if (age >= kFirstMoments) return escalate(container.id, 0);
    return stop_again_at(container, signal, grace, kFirstMoments - age);
  }
  send_stop(container, signal, grace.count() < 0 ? std::nullopt : std::optional<nanoseconds>(grace));
}

// A program that has only just begun may not have come to its handlers: it hears the signal once more.
void Containers::stop_again_at(Container& container, int signal, seconds grace, nanoseconds delay) {
  send_stop(container, signal, grace);
  if (!container.stopping || container.ended || container.stopping->signal == SIGKILL) return;
  context_.loop.cancel(container.stopping->timer);
  container.stopping->timer = context_.loop.after(delay, [this, id = container.id, signal, grace] {
    Container* found = get(id);
    if (found == nullptr || !found->stopping || found->ended) return;
    found->stopping->timer = 0;
    if (waits_in_vain(*found, signal)) return escalate(id, 0);
    send_stop(*found, signal, grace);
  });
}

void Containers::send_stop(Container& container, int signal, std::optional<nanoseconds> grace) {
  container.stopping->signal = signal;
  if (auto sent = send_signal(container, signal); !sent.ok()) {
    log_warning("container " + container.spec.name + ": stop signal: " + sent.error().message());
    return escalate(container.id, 0);
  }
  if (container.ended) return advance(container.id);
  if (!grace) return;
  container.stopping->timer = context_.loop.after(*grace, [this, id = container.id] { escalate(id, 0); });
}

// A second stop, while one waits: its signal is sent, and the shorter of both times counts.
void Containers::harden_stop(Container& container, const StopOptions& options) {
  const seconds grace = options.timeout.value_or(container.spec.stop_timeout.value_or(kDefaultGrace));
  if (grace.count() == 0) return escalate(container.id, 0);
  if (options.signal) (void)send_signal(container, parse_signal(*options.signal).value_or(SIGTERM)).ok();
  if (grace.count() < 0 || container.stopping->signal == SIGKILL) return;
  context_.loop.after(grace, [this, id = container.id, started = container.status.started_at] {
    Container* found = get(id);
    if (found != nullptr && found->stopping && found->status.started_at == started) escalate(id, 0);
  });
}

// SIGKILL; if even that does not end it, everything in it, then the user is told.
void Containers::escalate(const ContainerId& id, int attempt) {
  Container* container = get(id);
  if (container == nullptr || !container->stopping) return;
  context_.loop.cancel(std::exchange(container->stopping->timer, 0));
  if (container->ended || container->link == nullptr) return;
  if (attempt == 2) {
    auto waiting = std::move(container->stopping->done);
    container->stopping.reset();
    for (auto& done : waiting) {
      done(internal_error("cannot stop container: " + container->spec.name +
                          ": its process did not end after SIGKILL; it may be stuck in the kernel (state D in ps)"));
    }
    return;
  }
  container->stopping->signal = SIGKILL;
  Result<> sent = attempt == 0 ? send_signal(*container, SIGKILL) : container->link->kill_all();
  if (!sent.ok()) log_warning("container " + container->spec.name + ": SIGKILL: " + sent.error().message());
  container->stopping->timer =
      context_.loop.after(kKillPatience, [this, id, attempt] { escalate(id, attempt + 1); });
}

// --- kill ---

void Containers::kill(const ContainerId& id, std::string signal_name, Reply<> reply) {
  Container* container = get_or_refuse(id, reply);
  if (container == nullptr) return;
  auto signal = parse_signal(signal_name.empty() ? "KILL" : signal_name);
  if (!signal.ok()) return context_.answer(std::move(reply), std::move(signal).error());
  if (container->stopping) {
    if (*signal == SIGKILL) {
      container->stopping->done.push_back(std::move(reply));
      return escalate(id, 0);
    }
    return context_.answer(std::move(reply), send_signal(*container, *signal));
  }
  enqueue(*container, [this, id, number = *signal, reply = std::move(reply)](Container* container) mutable {
    if (container == nullptr) return reply(no_such_container(id.str()));
    Container& found = *container;
    const auto finish = [this, id](Reply<> answer, Result<> killed) {
      end_operation(id);
      answer(std::move(killed));
    };
    if (auto may = may_kill(found.label(), found.status.state); !may.ok()) return finish(std::move(reply), std::move(may));
    // Docker's rule: any signal ends the policy if the image names no stop signal, else only that one and KILL.
    if (number == SIGKILL || number == stop_signal_of(found) || found.config.stop_signal.empty()) {
      found.policy_cancelled = true;
    }
    found.status.stopped_by_user = true;
    if (found.status.state == ContainerState::restarting) {
      cancel_waiting_restart(found);
      answer_waiters(found, false);
      return finish(std::move(reply), {});
    }
    save_state(found);
    if (number != SIGKILL) {
      auto sent = send_signal(found, number);
      return finish(std::move(reply), std::move(sent));
    }
    found.stopping.emplace();
    found.stopping->done.push_back([finish, reply = std::move(reply)](Result<> killed) mutable {
      finish(std::move(reply), std::move(killed));
    });
    escalate(id, 0);
  });
}

// --- restart ---

void Containers::restart(const ContainerId& id, StopOptions options, Reply<> reply) {
  Container* container = get_or_refuse(id, reply);
  if (container == nullptr) return;
  enqueue(*container, [this, id, options = std::move(options), reply = std::move(reply)](Container* container) mutable {
    if (container == nullptr) return reply(no_such_container(id.str()));
    Container& found = *container;
    found.being_restarted = true;
    const auto finish = [this, id](Reply<> answer, Result<> restarted) {
      if (Container* again = get(id)) {
        again->being_restarted = false;
        if (restarted.ok()) emit(*again, "restart");
      }
      end_operation(id);
      if (!restarted.ok()) restarted = std::move(restarted).within("Cannot restart container " + id.str());
      answer(std::move(restarted));
    };
    begin_stop(found, options, [this, id, finish, reply = std::move(reply)](Result<> stopped) mutable {
      Container* ended = get(id);
      if (!stopped.ok() && stopped.error().code() != Code::not_modified) return finish(std::move(reply), std::move(stopped));
      if (stopped.ok()) emit(*ended, "stop");
      if (auto may = may_start(ended->label(), ended->status.state); !may.ok()) return finish(std::move(reply), std::move(may));
      ended->status.restart_count = 0;
      ended->backoff.reset();
      begin_start(*ended, false, [finish, reply = std::move(reply)](Result<> started) mutable {
        finish(std::move(reply), std::move(started));
      });
    });
  });
}

// --- pause ---

void Containers::pause(const ContainerId& id, Reply<> reply) {
  Container* container = get_or_refuse(id, reply);
  if (container == nullptr) return;
  enqueue(*container, [this, id, reply = std::move(reply)](Container* container) mutable {
    if (container == nullptr) return reply(no_such_container(id.str()));
    Container& found = *container;
    Result<> done = may_pause(found.label(), found.status.state);
    if (done.ok()) done = found.link->pause();
    if (done.ok()) {
      found.status.state = ContainerState::paused;
      stop_probing(found);
      found.health.suspended();
      found.status.health = found.health.state();
      save_state(found);
      emit(found, "pause");
    }
    end_operation(id);
    reply(std::move(done));
  });
}

void Containers::unpause(const ContainerId& id, Reply<> reply) {
  Container* container = get_or_refuse(id, reply);
  if (container == nullptr) return;
  enqueue(*container, [this, id, reply = std::move(reply)](Container* container) mutable {
    if (container == nullptr) return reply(no_such_container(id.str()));
    Container& found = *container;
    Result<> done = may_unpause(found.label(), found.status.state);
    if (done.ok()) done = found.link->unpause();
    if (done.ok()) {
      found.status.state = ContainerState::running;
      save_state(found);
      emit(found, "unpause");
      if (found.probing) schedule_probe(found);
    }
    end_operation(id);
    reply(std::move(done));
  });
}

}  // namespace gantry::engine
