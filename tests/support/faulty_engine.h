// An engine in front of another one: whatever is asked of it may fail, hang, or succeed and say that it failed. Which
// call meets which fault is told beforehand; the calls are counted, so that a test can say what was met.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "compose/command_runner.h"
#include "engine/iface/engine.h"
#include "support/sim_engine.h"
#include "support/sim_world.h"

namespace gantry::test {

enum class Op {
  observe,
  create_network,
  remove_network,
  create_volume,
  remove_volume,
  pull,
  remove_image,
  create,
  start,
  stop,
  kill,
  restart,
  rename,
  remove,
  connect,
  disconnect,
  hook,
};
enum class Fault {
  fail,    // nothing is done, an error comes back
  half,    // all is done, yet an error comes back
  hang,    // is done and answered only after two minutes
  exit,    // while it is under way, a container's program ends
  lose,    // … a container's supervisor is killed
  vanish,  // … a container is removed behind the daemon's back
  crash,   // … the daemon dies
};
constexpr int kOps = static_cast<int>(Op::hook) + 1;
constexpr int kFaults = static_cast<int>(Fault::crash) + 1;
const char* to_string(Op op);
const char* to_string(Fault fault);
std::optional<Op> op_named(std::string_view name);
std::optional<Fault> fault_named(std::string_view name);
// Looking changes nothing, so it cannot be done half.
constexpr bool can_meet(Op op, Fault fault) { return op != Op::observe || fault != Fault::half; }

class FaultyEngine final : public engine::Engine {
 public:
  // What was asked for: the container (if it is about one that exists) or the name of what is made.
  struct Call {
    Op op;
    ContainerId container;
    std::string name;
  };

  FaultyEngine(SimWorld& world, SimEngine& inner) : world_(world), inner_(inner) {}

  // The next call of `op` that no earlier fault waits for meets this one.
  void arm(Op op, Fault fault) { armed_[op].push_back(fault); }
  void disarm() { armed_.clear(); }
  // What hangs goes on.
  void release();
  // The daemon dies: nobody waits for the replies any more.
  void die();

  std::function<void(const Call&)> on_call;
  std::function<void(Fault)>
      on_outside_fault;  // exit, lose, vanish, crash: some time after the call they were armed for
  std::function<bool(const engine::Event&)> hears = [](const engine::Event&) { return true; };
  std::map<std::pair<Op, Fault>, uint64_t> met;

  compose::CommandRunner command_runner();

  void observe(engine::ObserveRequest request, engine::Reply<engine::Snapshot> reply) override;
  std::unique_ptr<Subscription> subscribe(Function<void(const engine::Event&)> on_event) override;
  void create_network(engine::NetworkSpec spec, engine::Reply<NetworkId> reply) override;
  void remove_network(NetworkId network, engine::Reply<> reply) override;
  void create_volume(engine::VolumeSpec spec, engine::Reply<std::string> reply) override;
  void remove_volume(std::string name, engine::Reply<> reply) override;
  void pull_image(std::string reference, std::string platform, engine::OnProgress progress,
                  engine::Reply<ImageId> reply) override;
  void remove_image(std::string reference, bool force, engine::Reply<> reply) override;
  void check_ports(engine::PortCheck check, engine::Reply<std::vector<engine::PortConflict>> reply) override {
    inner_.check_ports(std::move(check), std::move(reply));
  }
  void create_container(engine::ContainerSpec spec, engine::Reply<engine::CreatedContainer> reply) override;
  void start_container(ContainerId container, engine::Reply<> reply) override;
  void stop_container(ContainerId container, engine::StopOptions options, engine::Reply<> reply) override;
  void kill_container(ContainerId container, std::string signal, engine::Reply<> reply) override;
  void restart_container(ContainerId container, engine::StopOptions options, engine::Reply<> reply) override;
  void pause_container(ContainerId container, engine::Reply<> reply) override {
    inner_.pause_container(container, std::move(reply));
  }
  void unpause_container(ContainerId container, engine::Reply<> reply) override {
    inner_.unpause_container(container, std::move(reply));
  }
  void rename_container(ContainerId container, std::string name, engine::Reply<> reply) override;
  void remove_container(ContainerId container, engine::RemoveOptions options, engine::Reply<> reply) override;
  void connect_network(NetworkId network, ContainerId container, engine::EndpointSpec endpoint,
                       engine::Reply<> reply) override;
  void disconnect_network(NetworkId network, ContainerId container, bool force, engine::Reply<> reply) override;

 private:
  template <class T>
  void meet(Call call, engine::Reply<T> reply, Function<void(engine::Reply<T>)> perform);
  std::optional<Fault> take(Op op);
  void after(std::chrono::nanoseconds delay, Function<void()> action);  // unless the daemon dies before

  SimWorld& world_;
  SimEngine& inner_;
  std::map<Op, std::deque<Fault>> armed_;
  std::map<uint64_t, Function<void()>> held_;
  uint64_t next_held_ = 0;
  uint64_t life_ = 0;
};

}  // namespace gantry::test
