// The containers of one engine: made, started, stopped, watched and removed. Loop thread only; what blocks goes to
// workers as values.
//
// Order: operations on one container run one after another in the order of the calls, except that a stop or kill
// joins a stop which is waiting already. The end of the program is handled between operations, or during a stop.
// Files: containers_create, _start, _stop, _end, _network, _exec, _files, _health, _view, _recovery.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/container/container.h"
#include "engine/container/ended_shims.h"
#include "engine/container/log_archive.h"
#include "engine/container/network_files.h"
#include "engine/container/start_job.h"
#include "engine/context.h"
#include "engine/local_engine.h"
#include "engine/networks.h"
#include "engine/volume/volume_store.h"

namespace gantry::engine {

struct CreateJob;
struct Exec;

class Containers {
 public:
  Containers(Context& context, Networks& networks, VolumeStore& volumes);
  ~Containers();

  // --- recovery (containers_recovery.cc) ---
  Result<> load();
  // Finds living containers again, cleans up after dead ones. Blocking; before the loop runs.
  void recover();
  // Starts what restart policies want started after the daemon's own start.
  void apply_restart_policies();
  std::vector<net::EndpointConfig> live_endpoints() const;
  bool any_recorded_up() const;

  // --- as in Engine and LocalEngine ---
  void create(ContainerSpec spec, Reply<CreatedContainer> reply);
  void check_ports(PortCheck check, Reply<std::vector<PortConflict>> reply);
  void start(const ContainerId& id, Reply<> reply);
  void stop(const ContainerId& id, StopOptions options, Reply<> reply);
  void kill(const ContainerId& id, std::string signal, Reply<> reply);
  void restart(const ContainerId& id, StopOptions options, Reply<> reply);
  void pause(const ContainerId& id, Reply<> reply);
  void unpause(const ContainerId& id, Reply<> reply);
  void rename(const ContainerId& id, std::string name, Reply<> reply);
  void remove(const ContainerId& id, RemoveOptions options, Reply<> reply);
  void connect(const NetworkId& network, const ContainerId& id, EndpointSpec endpoint, Reply<> reply);
  void disconnect(const NetworkId& network, const ContainerId& id, bool force, Reply<> reply);
  void wait(const ContainerId& id, WaitCondition condition, Reply<WaitResult> reply);
  void attach(const ContainerId& id, Reply<Fd> reply);
  Result<> resize(const ContainerId& id, uint16_t rows, uint16_t columns);
  void update(const ContainerId& id, LocalEngine::Update update, Reply<std::vector<std::string>> reply);
  Result<RootSource> root_source(const ContainerId& id) const;
  void emit_about(const ContainerId& id, std::string action, std::map<std::string, std::string> attributes);

  Result<ExecId> create_exec(const ContainerId& id, LocalEngine::ExecRequest request);
  void start_exec(const ExecId& exec, bool detach, Reply<ExecStreams> reply);
  Result<ExecDetails> inspect_exec(const ExecId& exec) const;
  Result<> resize_exec(const ExecId& exec, uint16_t rows, uint16_t columns);
  void wait_exec(const ExecId& exec, Reply<int> reply);

  // --- look-ups (containers_view.cc) ---
  Result<ContainerId> find(const std::string& reference) const;
  Result<ContainerDetails> inspect(const ContainerId& id) const;
  std::vector<ListedContainer> list() const;  // newest first
  std::vector<ListedContainer> list(const std::string& project) const;
  std::vector<ObservedContainer> observe(const std::string& project) const;  // sorted by name
  ObservedNetwork observe(const NetworkRecord& network) const;
  std::vector<std::string> users_of_image(const ImageId& image) const;
  std::map<ImageId, std::vector<std::string>> image_users() const;
  std::vector<ContainerId> users_of_volume(const std::string& volume) const;
  void count_volume_in_creation(const std::string& volume, int by) { volumes_in_creation_[volume] += by; }
  bool is_volume_in_creation(const std::string& volume) const;

  // The end of the daemon: nothing new is begun; `idle` when nothing is under way.
  void stop_accepting();
  bool idle() const;
  bool any_up() const;

 private:
  Container* get(const ContainerId& id);
  const Container* get(const ContainerId& id) const;
  // not_found, or null with `reply` answered.
  template <class T>
  Container* get_or_refuse(const ContainerId& id, Reply<T>& reply);

  // Operations.
  void enqueue(Container& container, Operation operation, bool next = false);
  void advance(const ContainerId& id);  // begins what may begin; asked for after every change
  void end_operation(const ContainerId& id);

  // Store and events.
  void save_state(Container& container);
  void save_spec(Container& container);
  void emit(const Container& container, std::string action, std::map<std::string, std::string> more = {});
  void emit_network(const Container& container, const NetworkId& network, const char* action);
  void emit_volume(const Container& container, const ContainerMount& mount, const char* action);

  // Create.
  Result<std::vector<ContainerMount>> resolve_mounts(const ContainerSpec& spec, const EffectiveConfig& config,
                                                     std::vector<VolumeRecord>& to_make);
  Result<> resolve_references(ContainerSpec& spec) const;
  Result<ContainerId> find_mentioned(const std::string& reference) const;
  Result<std::string> claim_name(const std::string& wanted, const ContainerId& id);
  void created(std::shared_ptr<Container> container, std::vector<VolumeRecord> made, Result<> done,
               std::vector<std::string> warnings, Reply<CreatedContainer> reply);
  void discard_volumes(const std::vector<VolumeRecord>& made);
  void index(const Container& container);
  void unindex(const Container& container);

  // Start.
  using Started = Function<void(Result<>)>;
  void begin_start(Container& container, bool by_policy, Started done);
  void launch(Container& container, bool by_policy, Started done);
  void start_failed(Container& container, bool by_policy, Error error, Started done);
  Result<StartJob> make_start_job(Container& container, const std::vector<EndpointState>& endpoints);
  Result<std::vector<EndpointState>> allocate_endpoints(const Container& container);
  void order_endpoints(const Container& container, std::vector<EndpointState>& endpoints) const;
  void choose_gateways(std::vector<EndpointState>& endpoints) const;
  void name_interfaces(const Container& container, std::vector<EndpointState>& endpoints) const;
  void release_volumes(const Container& container);
  std::vector<VolumeMount> take_unused_volumes(const Container& container);
  StartEndpoint start_endpoint(const Container& container, const EndpointState& endpoint) const;
  std::vector<net::PortRequest> wanted_ports(const Container& container,
                                             const std::vector<EndpointState>& endpoints) const;
  net::PortOwner port_owner(const Container& container, const std::vector<EndpointState>& endpoints) const;
  Result<> describe_network(const Container& container, const std::vector<EndpointState>& endpoints, StartJob& job);
  Result<> describe_namespaces(const Container& container, SandboxSpec& sandbox) const;
  Result<std::vector<RuntimeMount>> describe_mounts(const Container& container, StartJob& job) const;
  Result<const Container*> running_other(const std::string& reference, const char* what) const;
  void finish_start(const ContainerId& id, std::vector<EndpointState> endpoints, StartResult result, bool by_policy,
                    Started done);
  ShimLink::Handlers handlers(const ContainerId& id);

  // Stop, end.
  void begin_stop(Container& container, const StopOptions& options, Function<void(Result<>)> done);
  void stop_again_at(Container& container, int signal, std::chrono::seconds grace, std::chrono::nanoseconds delay);
  bool waits_in_vain(const Container& container, int signal) const;
  void send_stop(Container& container, int signal, std::optional<std::chrono::nanoseconds> grace);
  void harden_stop(Container& container, const StopOptions& options);
  void escalate(const ContainerId& id, int attempt);
  void cancel_waiting_restart(Container& container);
  Result<> send_signal(Container& container, int number);
  int stop_signal_of(const Container& container) const;
  void handle_end(Container& container);
  void finish_end(const ContainerId& id, std::vector<EndpointState> endpoints);
  void after_end(Container& container, std::optional<WallTime> ended_at, bool was_lost);
  void answer_waiters(Container& container, bool removed);
  void begin_remove(Container& container, RemoveOptions options, Function<void(Result<>)> done);
  std::optional<PastRun> run_to_keep(const Container& container) const;
  void finish_remove(const ContainerId& id, const std::vector<std::string>& volumes, Result<> removed,
                     Function<void(Result<>)> done);
  void remove_automatically(Container& container);
  void begin_pause(Container& container, bool pause, Function<void(Result<>)> done);

  // Networks of running ones.
  void begin_connect(Container& container, const NetworkId& network, EndpointSpec endpoint,
                     Function<void(Result<>)> done);
  void connect_ready(Container& container, const NetworkId& network, EndpointSpec endpoint,
                     Function<void(Result<>)> done);
  Result<> may_connect(const Container& container, const NetworkRecord& network, const EndpointSpec& endpoint) const;
  void add_endpoint(Container& container, EndpointSpec endpoint);
  void drop_endpoint(Container& container, const NetworkId& network);
  void begin_disconnect(Container& container, const NetworkId& network, bool force, Function<void(Result<>)> done);
  // Makes `wanted` (in any order, unnamed interfaces and all) the container's endpoints.
  void change_endpoints(Container& container, std::vector<EndpointState> wanted, Function<void(Result<>)> done);
  net::NameService::Client dns_client(const Container& container, const std::vector<EndpointState>& endpoints) const;
  void add_links(const EndpointSpec& spec, net::NameService::Client& client) const;
  std::vector<std::string> host_gateways(const Container& container,
                                         const std::vector<EndpointState>& endpoints) const;
  net::NameRecord name_record(const Container& container, const EndpointState& endpoint) const;
  const EndpointSpec* endpoint_spec(const Container& container, const NetworkId& network) const;
  std::vector<HostsEntry> hosts_entries(const Container& container, const std::vector<EndpointState>& endpoints,
                                        Result<>& problem) const;
  Result<std::string> hosts_text(const Container& container, const std::vector<EndpointState>& endpoints) const;
  void write_hosts(const Container& container);

  // Health.
  void start_probing(Container& container);
  void stop_probing(Container& container);
  void schedule_probe(Container& container);
  double asked_quickly_per_processor() const;
  void run_probe(const ContainerId& id);
  void run_own_probe(Container& container);
  void follow_log(Container& container);
  void record_probe(Container& container, int exit_code, std::string text);
  void finish_probe(const ContainerId& id, const ExecId& exec, int exit_code, std::string output);
  void probe_timed_out(const ContainerId& id, const ExecId& exec);

  // Exec.
  void exec_ended(const ExecId& exec, ExitReport report);
  void end_execs(Container& container);
  void exec_started(const ExecId& exec, std::variant<ExecStreams, StartFailure> result, Reply<ExecStreams> reply);
  void forget_exec(const ExecId& exec);
  void forget_later(const ExecId& exec);
  void drain_terminal(Exec& exec);

  // An operation on a container or network is under way.
  bool is_busy() const;

  ListedContainer listed(const Container& container) const;
  ContainerDetails details(const Container& container) const;
  std::vector<ListedContainer> newest_first(std::vector<const Container*> chosen) const;
  ObservedContainer observed(const Container& container) const;
  EndpointDetails endpoint_details(const Container& container, const EndpointSpec& spec) const;

  // Recovery.
  void recover_one(Container& container);
  void relink(Container& container, std::unique_ptr<ShimLink> link);
  Result<> repair_endpoints(Container& container, const NetnsSockets& sockets);
  Result<> tell_names(Container& container, NetnsSockets sockets);
  void report_clean_up(const Container& container);
  void finish_removal(Container& container);
  void remove_stray_directories();
  void remove_stray_cgroups();
  void start_by_policy(Container& container, Function<void()> then);

  Context& context_;
  Networks& networks_;
  VolumeStore& volumes_;
  std::map<ContainerId, std::shared_ptr<Container>> containers_;
  std::map<std::string, ContainerId> names_;  // with those being created
  std::map<std::string, std::set<ContainerId>> by_project_;
  std::map<std::string, std::set<ContainerId>> by_network_;  // by name or id, as the endpoints say
  std::map<std::string, std::set<ContainerId>> by_volume_;
  std::map<ImageId, std::set<ContainerId>> by_image_;
  std::map<std::string, int> volumes_in_creation_;
  std::map<std::string, int> volume_mounts_;  // running containers that need the volume's own filesystem
  std::map<ExecId, std::unique_ptr<Exec>> execs_;
  EndedShims ended_shims_;
  int creating_ = 0;
  bool closing_ = false;
};

}  // namespace gantry::engine
