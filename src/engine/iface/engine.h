// The abstract engine, as the controller sees it. LocalEngine is the one built in; a simulated one
// stands behind the same interface in tests; a remote or a cluster's may follow.
//
// Every call returns at once. Its reply comes later on the loop thread, exactly once, never inside the
// call. Errors carry the text that the user reads. Operations on one container are queued by the
// engine in the order of the calls. Loop thread only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/result.h"
#include "engine/iface/events.h"
#include "engine/iface/observed.h"
#include "engine/iface/port_check.h"
#include "engine/iface/specs.h"

namespace gantry::engine {

template <class T = void>
using Reply = Function<void(Result<T>)>;

// Progress of a pull: `id` = layer (12 hex) or tag, texts as Docker's ("Downloading", "Pull complete", …).
struct TransferProgress {
  std::string id;
  std::string status;
  uint64_t current = 0;  // bytes; 0 of 0: not counted
  uint64_t total = 0;
};
using OnProgress = Function<void(const TransferProgress&)>;  // loop thread

struct CreatedContainer {
  ContainerId id;
  std::vector<std::string> warnings;  // what was asked for and the machine cannot do
};

class Engine {
 public:
  // Destroying it ends the subscription.
  class Subscription {
   public:
    virtual ~Subscription() = default;
  };

  virtual ~Engine() = default;

  virtual void observe(ObserveRequest request, Reply<Snapshot> reply) = 0;
  // Every event from now on, in order, on the loop thread.
  [[nodiscard]] virtual std::unique_ptr<Subscription> subscribe(Function<void(const Event&)> on_event) = 0;

  // Fails with Code::conflict if the name is taken.
  virtual void create_network(NetworkSpec spec, Reply<NetworkId> reply) = 0;
  // Fails with Code::conflict while containers are attached and running.
  virtual void remove_network(NetworkId network, Reply<> reply) = 0;
  // Creating one that exists returns that one, whatever its options.
  virtual void create_volume(VolumeSpec spec, Reply<std::string> reply) = 0;
  // Fails with Code::conflict while a container, running or not, uses it.
  virtual void remove_volume(std::string name, Reply<> reply) = 0;

  // Fetches `reference` from its registry, even if it is here already.
  virtual void pull_image(std::string reference, std::string platform, OnProgress progress, Reply<ImageId> reply) = 0;
  virtual void remove_image(std::string reference, bool force, Reply<> reply) = 0;

  // Those whose ports somebody else has; none: all could be started now. Nothing is held for them.
  virtual void check_ports(PortCheck check, Reply<std::vector<PortConflict>> reply) = 0;
  // Creates, does not start. Volumes named by mounts are made if missing. Fails with Code::not_found only
  // if the image is missing, Code::conflict if the name is taken.
  virtual void create_container(ContainerSpec spec, Reply<CreatedContainer> reply) = 0;
  // Replies when the program runs or could not be started; not_modified if it runs already.
  // A failure leaves it created, with `error` and exit code 126, 127 or 128.
  virtual void start_container(ContainerId container, Reply<> reply) = 0;
  // Replies when it has ended; not_modified if it was not running. Marks it as stopped by the user.
  virtual void stop_container(ContainerId container, StopOptions options, Reply<> reply) = 0;
  virtual void kill_container(ContainerId container, std::string signal, Reply<> reply) = 0;
  virtual void restart_container(ContainerId container, StopOptions options, Reply<> reply) = 0;
  virtual void pause_container(ContainerId container, Reply<> reply) = 0;
  virtual void unpause_container(ContainerId container, Reply<> reply) = 0;
  virtual void rename_container(ContainerId container, std::string name, Reply<> reply) = 0;
  // Replies when everything of it is gone: name, address, files.
  virtual void remove_container(ContainerId container, RemoveOptions options, Reply<> reply) = 0;
  virtual void connect_network(NetworkId network, ContainerId container, EndpointSpec endpoint, Reply<> reply) = 0;
  virtual void disconnect_network(NetworkId network, ContainerId container, bool force, Reply<> reply) = 0;
};

}  // namespace gantry::engine
