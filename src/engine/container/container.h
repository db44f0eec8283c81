// One container as the engine holds it: what the store knows, and what exists only while the daemon runs.
// A plain value with an owner (Containers); loop thread only.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/scheduler.h"
#include "engine/container/health.h"
#include "engine/container/image_merge.h"
#include "engine/container/lifecycle.h"
#include "engine/container/log_probe.h"
#include "engine/container/network_probe.h"
#include "engine/container/record.h"
#include "engine/container/probe_output.h"
#include "engine/container/restart_policy.h"
#include "engine/container/runtime.h"
#include "engine/local_engine.h"
#include "net/network.h"

namespace gantry::engine {

// A stop that waits for its container's end. Harder ones join it instead of queueing behind it.
struct Stopping {
  int signal = 0;               // the last one sent
  Scheduler::TimerId timer = 0;  // until SIGKILL
  std::vector<Function<void(Result<>)>> done;
};

// The health check's machinery while the container runs.
struct Probing {
  EffectiveCheck check;
  Scheduler::TimerId timer = 0;  // next probe, or the running one's timeout
  std::optional<ExecId> probe;   // running
  WallTime began{};
  std::unique_ptr<ProbeOutput> output;
  std::optional<int> ended;      // the probe's exit code, when that is known before its output is
  std::unique_ptr<NetworkProbe> network;  // running, of the engine's own
  std::unique_ptr<LogProbe> log;          // until its line has come
};

struct Container;
// Gets the container when its turn comes, or null if it has been removed meanwhile.
using Operation = Function<void(Container*)>;

struct Container {
  ContainerId id;
  // In the store.
  ContainerSpec spec;
  ContainerRecord record;
  ContainerStatus status;
  // Follows from the above.
  EffectiveConfig config;
  std::shared_ptr<void> layers_hold;

  // While it runs.
  std::unique_ptr<ShimLink> link;
  std::unique_ptr<net::PortReservation> ports;

  // Operations wait here for their turn. `operating`: one has begun and not ended; `working`: a worker thread is busy
  // with this container, nothing else may begin, not even the handling of its end.
  std::deque<Operation> operations;
  bool operating = false;
  bool working = false;
  std::optional<ExitReport> ended;  // the program's end, not handled yet
  bool lost = false;                // its shim went without a report

  std::optional<Stopping> stopping;
  bool policy_cancelled = false;     // a stop or kill was asked for: the next end is final
  bool being_restarted = false;      // by a user: neither policy nor auto-remove acts on this end
  RestartBackoff backoff;
  WallTime start_began{};
  std::chrono::nanoseconds start_takes{};  // the last one that worked, under this daemon
  Scheduler::TimerId restart_timer = 0;

  HealthTracker health;
  std::optional<Probing> probing;

  struct Waiter {
    WaitCondition condition;
    Reply<WaitResult> reply;
  };
  std::vector<Waiter> waiters;
  std::vector<Fd> attached;              // our ends of connections to the next run; their clients have the others
  std::vector<Reply<Fd>> attaching;      // those who came while it was being started
  bool starting = false;
  std::set<ExecId> execs;

  ContainerLabel label() const { return {id, spec.name}; }
};

}  // namespace gantry::engine
