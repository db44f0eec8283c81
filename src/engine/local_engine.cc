// LocalEngine put together: its parts, their order at start and end, and the calls handed on to them.
#include "engine/local_engine.h"

#include <sys/stat.h>

#include <atomic>

#include "base/log.h"
#include "base/strings.h"
#include "engine/container/container_root.h"
#include "engine/container/containers.h"
#include "engine/context.h"
#include "engine/networks.h"
#include "engine/step_sandbox.h"
#include "engine/volume/volume_store.h"

namespace gantry::engine {
namespace {

Result<> ensure_directory(const std::filesystem::path& path, mode_t mode) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return Error::from_errno(errno, "mkdir", path.string());
  return {};
}

// "10.5.0.0/16:24"
Result<std::vector<net::Ipam::Pool>> parse_pools(const std::vector<std::string>& texts) {
  std::vector<net::Ipam::Pool> pools;
  for (const std::string& text : texts) {
    const size_t colon = text.rfind(':');
    const auto size = colon == std::string::npos ? std::nullopt : parse_unsigned(text.substr(colon + 1));
    auto base = net::Subnet::parse(text.substr(0, colon));
    if (!size || !base.ok() || *size < base->prefix() || *size > 30) {
      return invalid("address pool " + gantry::quoted(text) + ": must be BASE/PREFIX:SIZE, such as 10.5.0.0/16:24");
    }
    pools.push_back({.base = *base, .size = static_cast<unsigned>(*size)});
  }
  return pools;
}

class LocalEngineImpl final : public LocalEngine {
 public:
  LocalEngineImpl(Options options, std::string tag, std::unique_ptr<Database> database,
                  std::unique_ptr<ImageStore> images, std::vector<net::Ipam::Pool> pools, EventLoop& loop,
                  Tasks& tasks, Random& random)
      : database_(std::move(database)),
        images_(std::move(images)),
        runtime_(make_runtime({.shim_executable = options.shim_executable, .cgroup_root = "gantry-" + tag})),
        stack_(net::make_network_stack({.table_name = "gantry-" + tag, .run_dir = options.run_root.string()})),
        names_(net::make_name_service({.dns_executable = options.dns_executable.string(),
                                       .run_dir = options.run_root.string()})),
        lazy_names_(*names_),
        events_(loop.clock()),
        context_{.paths = {.data_root = options.data_root, .run_root = options.run_root},
                 .tag = std::move(tag),
                 .loop = loop,
                 .tasks = tasks,
                 .random = random,
                 .database = *database_,
                 .images = *images_,
                 .runtime = *runtime_,
                 .stack = *stack_,
                 .names = lazy_names_,
                 .events = events_},
        volumes_(context_.paths.volumes(), *database_),
        networks_(context_, std::move(pools)),
        containers_(context_, networks_, volumes_),
        steps_(context_, networks_),
        builder_(*images_, steps_, context_.paths.build()) {
    context_.went_idle = [this] { finish_shut_down(); };
  }

  Result<> recover();
  void shut_down(Function<void()> done) override;

  // --- containers ---
  void create_container(ContainerSpec spec, Reply<CreatedContainer> reply) override {
    containers_.create(std::move(spec), std::move(reply));
  }
  void check_ports(PortCheck check, Reply<std::vector<PortConflict>> reply) override {
    containers_.check_ports(std::move(check), std::move(reply));
  }
  void start_container(ContainerId id, Reply<> reply) override { containers_.start(id, std::move(reply)); }
  void stop_container(ContainerId id, StopOptions options, Reply<> reply) override {
    containers_.stop(id, std::move(options), std::move(reply));
  }
  void kill_container(ContainerId id, std::string signal, Reply<> reply) override {
    containers_.kill(id, std::move(signal), std::move(reply));
  }
  void restart_container(ContainerId id, StopOptions options, Reply<> reply) override {
    containers_.restart(id, std::move(options), std::move(reply));
  }
  void pause_container(ContainerId id, Reply<> reply) override { containers_.pause(id, std::move(reply)); }
  void unpause_container(ContainerId id, Reply<> reply) override { containers_.unpause(id, std::move(reply)); }
  void rename_container(ContainerId id, std::string name, Reply<> reply) override {
    containers_.rename(id, std::move(name), std::move(reply));
  }
  void remove_container(ContainerId id, RemoveOptions options, Reply<> reply) override {
    containers_.remove(id, options, std::move(reply));
  }
  void connect_network(NetworkId network, ContainerId id, EndpointSpec endpoint, Reply<> reply) override {
    containers_.connect(network, id, std::move(endpoint), std::move(reply));
  }
  void disconnect_network(NetworkId network, ContainerId id, bool force, Reply<> reply) override {
    containers_.disconnect(network, id, force, std::move(reply));
  }
  void wait_container(const ContainerId& id, WaitCondition condition, Reply<WaitResult> reply) override {
    containers_.wait(id, condition, std::move(reply));
  }
  void attach(const ContainerId& id, Reply<Fd> reply) override { containers_.attach(id, std::move(reply)); }
  void update_container(const ContainerId& id, Update update, Reply<std::vector<std::string>> reply) override {
    containers_.update(id, std::move(update), std::move(reply));
  }
  Result<RootSource> root_source(const ContainerId& id) const override { return containers_.root_source(id); }
  void emit_about(const ContainerId& id, std::string action, std::map<std::string, std::string> attributes) override {
    containers_.emit_about(id, std::move(action), std::move(attributes));
  }
  Result<> resize(const ContainerId& id, uint16_t rows, uint16_t columns) override {
    return containers_.resize(id, rows, columns);
  }
  Result<ExecId> create_exec(const ContainerId& id, ExecRequest request) override {
    return containers_.create_exec(id, std::move(request));
  }
  void start_exec(const ExecId& exec, bool detach, Reply<ExecStreams> reply) override {
    containers_.start_exec(exec, detach, std::move(reply));
  }
  Result<ExecDetails> inspect_exec(const ExecId& exec) const override { return containers_.inspect_exec(exec); }
  Result<> resize_exec(const ExecId& exec, uint16_t rows, uint16_t columns) override {
    return containers_.resize_exec(exec, rows, columns);
  }
  void wait_exec(const ExecId& exec, Reply<int> reply) override { containers_.wait_exec(exec, std::move(reply)); }
  Result<ContainerId> find_container(const std::string& reference) const override {
    return containers_.find(reference);
  }
  Result<ContainerDetails> inspect_container(const ContainerId& id) const override { return containers_.inspect(id); }
  std::vector<ListedContainer> list_containers() const override { return containers_.list(); }
  std::vector<ListedContainer> list_containers_of(const std::string& project) const override {
    return containers_.list(project);
  }
  void keep_logs_of(std::function<bool(const std::string& project)> keeps) override {
    context_.keeps_logs_of = std::move(keeps);
  }

  // --- networks ---
  void create_network(NetworkSpec spec, Reply<NetworkId> reply) override {
    networks_.create(std::move(spec), std::move(reply));
  }
  void remove_network(NetworkId id, Reply<> reply) override { networks_.remove(id, std::move(reply)); }
  Result<NetworkId> find_network(const std::string& reference) const override { return networks_.find(reference); }
  Result<NetworkDetails> inspect_network(const NetworkId& id) const override;
  std::vector<NetworkDetails> list_networks() const override;

  // --- volumes ---
  void create_volume(VolumeSpec spec, Reply<std::string> reply) override;
  void remove_volume(std::string name, Reply<> reply) override;
  Result<VolumeDetails> inspect_volume(const std::string& name) const override;
  std::vector<VolumeDetails> list_volumes() const override;

  // --- images ---
  void pull_image(std::string reference, std::string platform, OnProgress progress, Reply<ImageId> reply) override;
  void remove_image(std::string reference, bool force, Reply<> reply) override;
  std::vector<std::string> users_of_image(const ImageId& image) const override {
    return containers_.users_of_image(image);
  }

  void observe(ObserveRequest request, Reply<Snapshot> reply) override;
  std::unique_ptr<Subscription> subscribe(Function<void(const Event&)> on_event) override {
    return events_.subscribe(std::move(on_event));
  }
  void emit(Event event) override { events_.emit(std::move(event)); }
  Database& database() override { return *database_; }
  ImageStore& images() override { return *images_; }
  Builder& builder() override { return builder_; }

 private:
  void finish_shut_down();
  VolumeDetails details(const VolumeRecord& record) const;
  NetworkDetails details(const NetworkRecord& record) const;
  void emit_volume(const std::string& name, const char* action);
  void emit_image(const std::string& actor, const char* action, const std::string& name);

  std::unique_ptr<Database> database_;
  std::unique_ptr<ImageStore> images_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<net::NetworkStack> stack_;
  std::unique_ptr<net::NameService> names_;
  LazyNames lazy_names_;
  EventBus events_;
  Context context_;
  VolumeStore volumes_;
  Networks networks_;
  Containers containers_;
  StepSandbox steps_;
  Builder builder_;

  std::shared_ptr<std::atomic<bool>> closing_ = std::make_shared<std::atomic<bool>>(false);
  int transfers_ = 0;
  Function<void()> shut_down_done_;
  bool dismantling_ = false;
};

// --- start and end ---

// Blocking, before the loop runs: what exists is made to agree with the store.
Result<> LocalEngineImpl::recover() {
  TRY(networks_.load());
  TRY(volumes_.load());
  TRY(containers_.load());
  // Without nftables or bridges the engine still serves containers that need none.
  const auto complain = [](const Result<>& done) {
    if (!done.ok()) log_warning("at start: " + done.error().message());
  };
  complain(stack_->set_up());
  for (const net::BridgeConfig& bridge : networks_.bridges()) complain(stack_->create_bridge(bridge));
  const bool names_needed = containers_.any_recorded_up();
  if (names_needed) complain(lazy_names_.connect());
  containers_.recover();
  steps_.remove_leftovers();
  complain(stack_->remove_all_but(networks_.bridges(), containers_.live_endpoints()));
  if (names_needed) complain(lazy_names_.synchronised());
  if (database_->existed()) {
    for (const std::filesystem::path& stray : volumes_.strays()) complain(delete_volume_directory(stray));
  }
  containers_.apply_restart_policies();
  return {};
}

void LocalEngineImpl::shut_down(Function<void()> done) {
  shut_down_done_ = std::move(done);
  closing_->store(true);
  containers_.stop_accepting();
  finish_shut_down();
}

// Asked for whenever something has ended; goes on when nothing is under way any more.
void LocalEngineImpl::finish_shut_down() {
  if (!shut_down_done_) return;
  context_.loop.post([this] {
    const bool idle = containers_.idle() && networks_.idle() && transfers_ == 0;
    if (dismantling_ || !shut_down_done_ || !idle) return;
    dismantling_ = true;
    context_.tasks.run(
        [this, left = containers_.any_up(), bridges = networks_.bridges()] {
          lazy_names_.disconnect();
          if (left) return;
          // Networks keep their records; their bridges come back at the next start.
          for (const net::BridgeConfig& bridge : bridges) (void)stack_->remove_bridge(bridge).ok();
          if (auto torn = stack_->tear_down(); !torn.ok()) log_warning(torn.error().message());
          runtime_->remove_cgroup_root();
        },
        [this] { std::exchange(shut_down_done_, {})(); });
  });
}

// --- networks ---

NetworkDetails LocalEngineImpl::details(const NetworkRecord& record) const {
  NetworkDetails details;
  details.id = record.id;
  details.spec = record.spec;
  details.created_at = record.created_at;
  details.pools = record.pools;
  for (const auto& [id, member] : networks_.members(record.id)) {
    const auto with_prefix = [&](const std::string& address) {
      const auto subnet = place_of(record, address).subnet;
      return subnet ? address + "/" + std::to_string(subnet->prefix()) : std::string();
    };
    details.members.push_back({.container = id,
                               .name = member.container_name,
                               .endpoint_id = member.endpoint.endpoint_id,
                               .mac_address = member.endpoint.mac,
                               .ipv4 = with_prefix(member.endpoint.address4),
                               .ipv6 = with_prefix(member.endpoint.address6)});
  }
  return details;
}

Result<NetworkDetails> LocalEngineImpl::inspect_network(const NetworkId& id) const {
  const NetworkRecord* record = networks_.get(id);
  if (record == nullptr) return not_found("network " + id.str() + " not found");
  return details(*record);
}

std::vector<NetworkDetails> LocalEngineImpl::list_networks() const {
  std::vector<NetworkDetails> all;
  for (const NetworkRecord* record : networks_.list()) all.push_back(details(*record));
  return all;
}

// --- volumes ---

void LocalEngineImpl::emit_volume(const std::string& name, const char* action) {
  Event event;
  event.type = Event::Type::volume;
  event.action = action;
  event.actor_id = name;
  event.attributes = {{"driver", "local"}};
  events_.emit(std::move(event));
}

void LocalEngineImpl::create_volume(VolumeSpec spec, Reply<std::string> reply) {
  if (auto checked = check_volume_spec(spec); !checked.ok()) {
    return context_.answer(std::move(reply), std::move(checked).error());
  }
  if (!spec.name.empty() && volumes_.find(spec.name) != nullptr) {
    return context_.answer(std::move(reply), std::string(spec.name));
  }
  VolumeRecord record = volumes_.describe(std::move(spec), context_.loop.clock().wall(), context_.random);
  containers_.count_volume_in_creation(record.spec.name, 1);
  ++transfers_;
  context_.tasks.run(
      [mount = volumes_.mount_of(record), root = volumes_.directory_of(record.spec.name)] {
        return make_volume_directory(mount, root);
      },
      [this, record, reply = std::move(reply)](Result<> made) mutable {
        --transfers_;
        const std::string& name = record.spec.name;
        containers_.count_volume_in_creation(name, -1);
        const bool is_new = volumes_.find(name) == nullptr;
        if (made.ok() && is_new) made = volumes_.keep(record);
        finish_shut_down();
        if (!made.ok()) return reply(std::move(made).error());
        if (is_new) emit_volume(name, "create");
        reply(name);
      });
}

void LocalEngineImpl::remove_volume(std::string name, Reply<> reply) {
  if (volumes_.find(name) == nullptr) {
    return context_.answer(std::move(reply), not_found("get " + name + ": no such volume"));
  }
  std::vector<std::string> users;
  for (const ContainerId& id : containers_.users_of_volume(name)) users.push_back(id.str());
  if (!users.empty() || containers_.is_volume_in_creation(name)) {
    return context_.answer(std::move(reply),
                           conflict("remove " + name + ": volume is in use - [" + join(users, ", ") + "]"));
  }
  // Nobody can mount what is being deleted.
  if (auto aside = volumes_.set_aside(name); !aside.ok()) return context_.answer(std::move(reply), std::move(aside));
  containers_.count_volume_in_creation(name, 1);
  ++transfers_;
  context_.tasks.run(
      [aside = volumes_.directory_aside(name)] { return delete_volume_directory(aside); },
      [this, name, reply = std::move(reply)](Result<> removed) mutable {
        --transfers_;
        containers_.count_volume_in_creation(name, -1);
        finish_shut_down();
        if (removed.ok()) emit_volume(name, "destroy");
        reply(std::move(removed));
      });
}

VolumeDetails LocalEngineImpl::details(const VolumeRecord& record) const {
  return {.spec = record.spec,
          .mountpoint = (volumes_.directory_of(record.spec.name) / "_data").string(),
          .created_at = record.created_at,
          .users = containers_.users_of_volume(record.spec.name)};
}

Result<VolumeDetails> LocalEngineImpl::inspect_volume(const std::string& name) const {
  const VolumeRecord* record = volumes_.find(name);
  if (record == nullptr) return not_found("get " + name + ": no such volume");
  return details(*record);
}

std::vector<VolumeDetails> LocalEngineImpl::list_volumes() const {
  std::vector<VolumeDetails> all;
  for (const VolumeRecord* record : volumes_.list()) all.push_back(details(*record));
  return all;
}

// --- images ---

void LocalEngineImpl::emit_image(const std::string& actor, const char* action, const std::string& name) {
  Event event;
  event.type = Event::Type::image;
  event.action = action;
  event.actor_id = actor;
  event.attributes = {{"name", name}};
  events_.emit(std::move(event));
}

void LocalEngineImpl::pull_image(std::string reference, std::string platform, OnProgress progress,
                                 Reply<ImageId> reply) {
  if (closing_->load()) {
    return context_.answer(std::move(reply), Error(Code::unavailable, "the daemon is shutting down"));
  }
  ++transfers_;
  auto on_progress = std::make_shared<OnProgress>(std::move(progress));
  context_.tasks.run_long(
      [this, reference, platform = std::move(platform), on_progress, closing = closing_] {
        const TransferCallback tell = [&](const TransferProgress& step) {
          context_.loop.post([on_progress, step] {
            if (*on_progress) (*on_progress)(step);
          });
        };
        return images_->pull(reference, {.platform = platform, .auth = {}}, tell, [&] { return closing->load(); });
      },
      [this, reference, reply = std::move(reply)](Result<ImageId> pulled) mutable {
        --transfers_;
        finish_shut_down();
        if (pulled.ok()) emit_image(reference, "pull", reference);
        reply(std::move(pulled));
      });
}

void LocalEngineImpl::remove_image(std::string reference, bool force, Reply<> reply) {
  ++transfers_;
  // The users as they are now: removal reads them on its worker.
  const auto users = containers_.image_users();
  context_.tasks.run(
      [this, reference, force, users] {
        return images_->remove(reference, force, [&](const ImageId& image) {
          auto at = users.find(image);
          return at == users.end() ? std::vector<std::string>() : at->second;
        });
      },
      [this, reply = std::move(reply)](Result<RemovedImages> removed) mutable {
        --transfers_;
        finish_shut_down();
        if (!removed.ok()) return reply(std::move(removed).error());
        for (const std::string& name : removed->untagged) emit_image(name, "untag", name);
        for (const std::string& id : removed->deleted) emit_image(id, "delete", id);
        reply({});
      });
}

// --- snapshots ---

void LocalEngineImpl::observe(ObserveRequest request, Reply<Snapshot> reply) {
  Snapshot snapshot;
  snapshot.containers = containers_.observe(request.project);
  for (const NetworkRecord* record : networks_.of_project(request.project)) {
    snapshot.networks.push_back(containers_.observe(*record));
  }
  const auto observed = [](const VolumeRecord& record) {
    return ObservedVolume{.name = record.spec.name, .labels = record.spec.labels};
  };
  for (const VolumeRecord* record : volumes_.of_project(request.project)) snapshot.volumes.push_back(observed(*record));
  for (const std::string& reference : request.images) {
    auto image = images_->find(reference);
    if (!image.ok()) continue;
    snapshot.images[reference] = {.id = image->id,
                                  .anonymous_volume_targets = {image->config.volumes.begin(), image->config.volumes.end()},
                                  .labels = image->config.labels};
  }
  for (const std::string& name : request.networks) {
    if (auto id = networks_.find(name); id.ok()) {
      snapshot.named_networks[name] = containers_.observe(*networks_.get(*id));
    }
  }
  for (const std::string& name : request.volumes) {
    if (const VolumeRecord* record = volumes_.find(name)) snapshot.named_volumes[name] = observed(*record);
  }
  context_.answer(std::move(reply), std::move(snapshot));
}

}  // namespace

Result<std::unique_ptr<LocalEngine>> LocalEngine::open(Options options, EventLoop& loop, Tasks& tasks,
                                                       Random& random) {
  std::error_code error;
  options.data_root = std::filesystem::absolute(options.data_root, error).lexically_normal();
  options.run_root = std::filesystem::absolute(options.run_root, error).lexically_normal();
  const Paths paths{.data_root = options.data_root, .run_root = options.run_root};
  // Users of the machine must not get at set-user-id programs in layers (the moral of CVE-2021-41091).
  TRY(ensure_directory(paths.data_root, 0710));
  TRY(ensure_directory(paths.run_root, 0755));
  for (const std::filesystem::path& directory :
       {paths.containers(), paths.volumes(), paths.build(), paths.data_root / "images", paths.runs()}) {
    TRY(ensure_directory(directory, 0710));
  }
  auto pools = TRY(parse_pools(options.address_pools));
  auto database = TRY(Database::open(paths.database()));
  auto images = TRY(ImageStore::open(paths.data_root / "images", options.registries));
  const std::string tag = sha256_hex(paths.data_root.string()).substr(0, 6);
  auto engine = std::make_unique<LocalEngineImpl>(std::move(options), tag, std::move(database), std::move(images),
                                                  std::move(pools), loop, tasks, random);
  TRY(engine->recover());
  return std::unique_ptr<LocalEngine>(std::move(engine));
}

}  // namespace gantry::engine
