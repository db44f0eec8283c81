// An engine that behaves like one: names, ids, states, networks, volumes, health, exits, restart policies, and the
// events of all of them, on virtual time. Latencies and faults come from the world's seed. It keeps a history, and
// looks for what must never happen.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compose/command_runner.h"
#include "engine/iface/engine.h"
#include "support/sim_world.h"

namespace gantry::test {

// What a service's program does once it runs.
struct Behaviour {
  std::optional<std::chrono::nanoseconds> exits_after;
  int exit_code = 0;
  int command_exit_code = 0;  // of commands that are run in it
  std::optional<std::chrono::nanoseconds> healthy_after = std::chrono::milliseconds(500);  // if it has a health check
  std::optional<std::chrono::nanoseconds> unhealthy_after;
  std::optional<std::chrono::nanoseconds> lost_after;  // its supervisor is killed
  std::chrono::nanoseconds stops_in = std::chrono::milliseconds(100);
};

struct Faults {
  double create_fails = 0;
  double start_fails = 0;
  double stop_fails = 0;
  double remove_fails = 0;
  double observe_fails = 0;
  double pull_fails = 0;
  double dies_early = 0;  // a started container loses its supervisor soon after
  std::chrono::nanoseconds reply_delay_max = std::chrono::milliseconds(5);
};

class SimEngine final : public engine::Engine {
 public:
  explicit SimEngine(SimWorld& world) : world_(world) {}

  Faults faults;
  std::map<std::string, Behaviour> behaviours;  // by service

  // Makes an image known; `health` brings a health check along.
  void add_image(const std::string& reference, bool health = false);
  void remove_image_here(const std::string& reference) { images_.erase(reference); }
  std::set<std::string> registry;  // what pull finds

  // Behind the controller's back.
  void remove_behind_back(const std::string& name);
  void lose_supervisor(const std::string& name);
  void heal();  // whoever is unhealthy gets well
  void exit_by_itself(const std::string& name, int code);

  // The daemon dies: calls under way are lost; containers live on.
  void die() { ++life_; }

  // "web-1 running healthy" lines, sorted by name, then networks and volumes.
  std::string inventory() const;
  std::vector<std::string> container_names() const;
  const engine::ObservedContainer* find(const std::string& name) const;
  template <class See>
  void for_each_container(See see) const {
    for (const auto& [id, c] : containers_) see(c.seen);
  }
  std::string name_of(const ContainerId& id) const;
  std::string name_of(const NetworkId& id) const;
  std::vector<std::string> history;     // "1.250 start web-1"
  std::vector<std::string> calls;       // what was asked of it: "create shop-web-1", "stop shop-web-1"
  std::vector<std::string> commands;    // that were run in containers: "shop-web-1: echo up"
  std::vector<std::string> violations;  // what must never happen
  size_t index_of(const std::string& action) const;  // first in the history; npos: never
  int observations = 0;
  std::map<uint16_t, std::string> taken_ports;  // of the host, by others → by whom

  void observe(engine::ObserveRequest request, engine::Reply<engine::Snapshot> reply) override;
  std::unique_ptr<Subscription> subscribe(Function<void(const engine::Event&)> on_event) override;
  void create_network(engine::NetworkSpec spec, engine::Reply<NetworkId> reply) override;
  void remove_network(NetworkId network, engine::Reply<> reply) override;
  void create_volume(engine::VolumeSpec spec, engine::Reply<std::string> reply) override;
  void remove_volume(std::string name, engine::Reply<> reply) override;
  void pull_image(std::string reference, std::string platform, engine::OnProgress progress,
                  engine::Reply<ImageId> reply) override;
  void remove_image(std::string reference, bool force, engine::Reply<> reply) override;
  void check_ports(engine::PortCheck check, engine::Reply<std::vector<engine::PortConflict>> reply) override;
  void create_container(engine::ContainerSpec spec, engine::Reply<engine::CreatedContainer> reply) override;
  void start_container(ContainerId container, engine::Reply<> reply) override;
  void stop_container(ContainerId container, engine::StopOptions options, engine::Reply<> reply) override;
  void kill_container(ContainerId container, std::string signal, engine::Reply<> reply) override;
  void restart_container(ContainerId container, engine::StopOptions options, engine::Reply<> reply) override;
  void pause_container(ContainerId container, engine::Reply<> reply) override;
  void unpause_container(ContainerId container, engine::Reply<> reply) override;
  // What the controller runs hooks by.
  compose::CommandRunner command_runner();
  void rename_container(ContainerId container, std::string name, engine::Reply<> reply) override;
  void remove_container(ContainerId container, engine::RemoveOptions options, engine::Reply<> reply) override;
  void connect_network(NetworkId network, ContainerId container, engine::EndpointSpec endpoint,
                       engine::Reply<> reply) override;
  void disconnect_network(NetworkId network, ContainerId container, bool force, engine::Reply<> reply) override;

 private:
  struct Container {
    engine::ObservedContainer seen;
    engine::ContainerSpec spec;
    std::chrono::nanoseconds busy_until{};
    uint64_t run = 0;  // counts its runs: timers of an earlier one are void
  };
  struct Listener {
    Function<void(const engine::Event&)> on_event;
  };
  class SimSubscription;

  // Runs `action` after a latency; then its reply follows.
  void later(Function<void()> action);
  Function<void()> in_this_life(Function<void()> action);
  void later(const ContainerId& container, Function<void()> action);
  std::chrono::nanoseconds latency();
  Container* container(const ContainerId& id);
  Container* by_name(const std::string& name);
  Result<> begin_run(const ContainerId& id);
  void end_run(const ContainerId& id, int code, bool asked, bool lost);
  void schedule_program(const ContainerId& id);
  void erase(const ContainerId& id);
  void emit(const Container& container, const std::string& action, std::map<std::string, std::string> more = {});
  void record(const std::string& text);
  void check_replicas(const Container& started);
  const engine::ObservedNetwork* network_named(const std::string& name_or_id) const;
  std::vector<ContainerId> attached(const NetworkId& network) const;

  SimWorld& world_;
  std::map<ContainerId, Container> containers_;
  std::map<NetworkId, engine::ObservedNetwork> networks_;
  std::map<std::string, engine::ObservedVolume> volumes_;
  std::map<std::string, engine::ObservedImage> images_;
  std::set<std::string> images_with_health_;
  std::set<std::string> anonymous_;  // names of volumes
  uint64_t life_ = 0;
  std::map<uint64_t, std::shared_ptr<Listener>> listeners_;
  uint64_t next_listener_ = 0;
};

}  // namespace gantry::test
