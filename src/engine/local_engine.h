// The built-in engine: containers, networks, volumes and images of one data root on this machine.
// It owns their state (loop thread), keeps it in the store, and drives runtime, network stack and
// image store through worker threads. The Docker-compatible API and the controller are its callers.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "base/random.h"
#include "base/tasks.h"
#include "engine/build/builder.h"
#include "engine/container/runtime.h"
#include "engine/database.h"
#include "engine/iface/engine.h"
#include "engine/image/image_store.h"
#include "net/network.h"

namespace gantry::engine {

struct HealthLogEntry {
  WallTime start{};
  WallTime end{};
  int exit_code = 0;
  std::string output;
};

// One endpoint as it is now; addresses empty while the container does not run.
struct EndpointDetails {
  NetworkId network_id;
  std::string network_name;
  std::string endpoint_id;
  EndpointSpec spec;
  std::string ipv4_address;
  unsigned ipv4_prefix = 0;
  std::string gateway;
  std::string ipv6_address;
  unsigned ipv6_prefix = 0;
  std::string ipv6_gateway;
  std::string mac_address;
  std::vector<std::string> dns_names;
};

struct MountDetails {
  Mount::Kind kind = Mount::Kind::bind;
  std::string name;         // of the volume
  std::string source;       // path on the host
  std::string destination;
  std::string driver;
  std::string mode;
  bool writable = true;
  std::string propagation;
};

// What lists show of a container. A list of hundreds is made while nothing else happens on the loop.
struct ListedContainer {
  ObservedContainer observed;
  std::vector<std::string> arguments;       // path and args, merged with the image
  NetworkMode network_mode;
  std::string first_network;                // that was asked for; empty: none
  std::vector<EndpointDetails> endpoints;   // sorted by network name
  std::vector<net::PortForward> published;  // as bound now; empty while not running
  std::set<ExposedPort> exposed;
  std::vector<MountDetails> mounts;
  std::string upper_dir;
};

// Everything about one container.
struct ContainerDetails : ListedContainer {
  ContainerSpec spec;                     // as asked for
  std::vector<std::string> environment;   // merged
  ImageConfig image_config;
  int pid = 0;
  std::optional<HealthCheck> health_check;  // effective
  int health_failing_streak = 0;
  std::vector<HealthLogEntry> health_log;
  std::string log_path;
  std::string log_driver;
  std::vector<std::string> exec_ids;        // live ones
};

struct NetworkDetails {
  NetworkId id;
  NetworkSpec spec;
  WallTime created_at{};
  std::vector<IpamPool> pools;              // as allocated, with gateways
  struct Member {
    ContainerId container;
    std::string name;
    std::string endpoint_id;
    std::string mac_address;
    std::string ipv4;                       // with prefix length
    std::string ipv6;
  };
  std::vector<Member> members;              // running containers only
};

struct VolumeDetails {
  VolumeSpec spec;
  std::string mountpoint;
  WallTime created_at{};
  std::vector<ContainerId> users;
};

struct ExecDetails {
  ExecId id;
  ContainerId container;
  ExecSpec spec;
  bool attach_stdin = false;
  bool attach_stdout = false;
  bool attach_stderr = false;
  std::string detach_keys;
  bool running = false;
  bool started = false;
  std::optional<int> exit_code;
  int pid = 0;
};

struct WaitResult {
  int exit_code = 0;
  std::string error;
};
struct RootSource;  // container/container_root.h

enum class WaitCondition { not_running, next_exit, removed };

class LocalEngine : public Engine {
 public:
  struct Options {
    std::filesystem::path data_root;   // /var/lib/gantry
    std::filesystem::path run_root;    // /run/gantry
    std::filesystem::path shim_executable;
    std::filesystem::path dns_executable;
    std::vector<std::string> address_pools;  // "base/prefix:size"; empty: Docker's defaults
    RegistrySettings registries = {};
  };

  // Opens the store, finds living containers again, repairs what a crash left half-done (the table in
  // container/containers_recovery.cc), then applies restart policies. Everything is passed in by reference and must outlive the engine.
  static Result<std::unique_ptr<LocalEngine>> open(Options options, EventLoop& loop, Tasks& tasks, Random& random);
  ~LocalEngine() override = default;

  // Leaves running containers to their shims. `done` runs when nothing is under way any more; afterwards, if
  // no container is left, nothing of us is left in the kernel either.
  virtual void shut_down(Function<void()> done) = 0;

  // Replicas of these Compose projects leave their logs in DATA/logs (log_archive.h) when they are removed.
  virtual void keep_logs_of(std::function<bool(const std::string& project)> keeps) = 0;

  // Look-ups. By id, exact name (leading slash optional) or unique id prefix:
  // "No such container: x", "multiple IDs found with provided prefix: x".
  virtual Result<ContainerId> find_container(const std::string& reference) const = 0;
  virtual Result<ContainerDetails> inspect_container(const ContainerId& container) const = 0;
  virtual std::vector<ListedContainer> list_containers() const = 0;  // newest first
  virtual std::vector<ListedContainer> list_containers_of(const std::string& project) const = 0;  // newest first
  virtual Result<NetworkId> find_network(const std::string& reference) const = 0;
  virtual Result<NetworkDetails> inspect_network(const NetworkId& network) const = 0;
  virtual std::vector<NetworkDetails> list_networks() const = 0;
  virtual Result<VolumeDetails> inspect_volume(const std::string& name) const = 0;
  virtual std::vector<VolumeDetails> list_volumes() const = 0;
  virtual Database& database() = 0;  // for the controller's projects
  virtual ImageStore& images() = 0;
  virtual Builder& builder() = 0;

  // `reply` with the exit as of the condition; registered when this returns. The token forgets it.
  virtual void wait_container(const ContainerId& container, WaitCondition condition, Reply<WaitResult> reply) = 0;

  // A connection to the container's stdio; if it has not started yet, to that of its next run.
  virtual void attach(const ContainerId& container, Reply<Fd> reply) = 0;
  virtual Result<> resize(const ContainerId& container, uint16_t rows, uint16_t columns) = 0;

  struct Update {
    Resources resources;  // zero: as it was
    std::optional<RestartPolicy> restart;
  };
  // Replies with warnings. A running container has the new limits at once.
  virtual void update_container(const ContainerId& container, Update update, Reply<std::vector<std::string>> reply) = 0;
  // For copying, export, commit and diff.
  virtual Result<RootSource> root_source(const ContainerId& container) const = 0;
  // Events that no operation of the engine causes: "export", "archive-path", "detach", … Nothing if it is gone.
  virtual void emit_about(const ContainerId& container, std::string action,
                          std::map<std::string, std::string> attributes) = 0;

  struct ExecRequest {
    ExecSpec spec;
    bool attach_stdin = false;
    bool attach_stdout = true;
    bool attach_stderr = true;
    std::string detach_keys;
    std::vector<std::string> extra_environment;
  };
  virtual Result<ExecId> create_exec(const ContainerId& container, ExecRequest request) = 0;
  // Streams for the caller to pump. A start failure is an error with Docker's text; inspect then has code 126/127.
  virtual void start_exec(const ExecId& exec, bool detach, Reply<ExecStreams> reply) = 0;
  virtual Result<ExecDetails> inspect_exec(const ExecId& exec) const = 0;
  virtual Result<> resize_exec(const ExecId& exec, uint16_t rows, uint16_t columns) = 0;
  // Replies when the exec has ended and inspect shows its code.
  virtual void wait_exec(const ExecId& exec, Reply<int> reply) = 0;

  // For removal and prune: names of containers that use the image.
  virtual std::vector<std::string> users_of_image(const ImageId& image) const = 0;
  virtual void emit(Event event) = 0;  // image events, from the API's image calls
};

}  // namespace gantry::engine
