// Starting a container: what its spec means on this machine now, as a StartJob for a worker; then the living one.
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "base/strings.h"
#include "engine/container/container_checks.h"
#include "engine/container/containers_access.h"
#include "engine/container/host_resolver.h"

namespace gantry::engine {
namespace {

constexpr uint8_t kProtocols[] = {6, 17, 132};  // IPPROTO_TCP, UDP, SCTP in PortProtocol's order

uint8_t protocol_number(PortProtocol protocol) { return kProtocols[static_cast<size_t>(protocol)]; }

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

std::string tmpfs_options(const Mount& mount) {
  std::string options = "noexec,nosuid,nodev";
  if (!mount.tmpfs_options.empty()) options += "," + mount.tmpfs_options;
  if (mount.tmpfs_size) options += ",size=" + std::to_string(*mount.tmpfs_size);
  if (mount.tmpfs_mode) {
    char text[16];
    const auto end = std::to_chars(text, text + sizeof text, *mount.tmpfs_mode, 8);
    options += ",mode=" + std::string(text, end.ptr);
  }
  return options;
}

// "seccomp=…", "no-new-privileges[=false]"; the others mean nothing on a machine without the module.
void apply_security_options(const ContainerSpec& spec, SandboxSpec& sandbox) {
  for (const std::string& option : spec.security_options) {
    const size_t at = option.find_first_of("=:");
    const std::string name = option.substr(0, at);
    const std::string value = at == std::string::npos ? "" : option.substr(at + 1);
    if (name == "no-new-privileges") sandbox.no_new_privileges = value != "false";
    if (name == "seccomp" && value != "builtin") sandbox.seccomp = value;
    if (name == "systempaths" && value == "unconfined") {
      sandbox.masked_paths.emplace();
      sandbox.read_only_paths.emplace();
    }
  }
}

NamespaceChoice own_or_host(const std::string& mode) {
  return {.kind = mode == "host" ? NamespaceChoice::Kind::host : NamespaceChoice::Kind::own, .pid = 0};
}

std::vector<net::PortRequest> port_requests(const Container& container, const std::string& default_host_ip) {
  std::vector<net::PortRequest> requests;
  std::set<ExposedPort> published;
  for (const PublishedPort& port : container.spec.published) {
    published.insert(port.container);
    requests.push_back({.protocol = protocol_number(port.container.protocol),
                        .host_ip = port.host_ip.empty() ? default_host_ip : port.host_ip,
                        .host_first = port.host_first,
                        .host_last = std::max(port.host_first, port.host_last),
                        .container_port = port.container.port});
  }
  if (!container.spec.publish_all) return requests;
  for (const ExposedPort& port : container.config.exposed) {
    if (published.contains(port)) continue;
    requests.push_back({.protocol = protocol_number(port.protocol), .host_ip = default_host_ip, .host_first = 0,
                        .host_last = 0, .container_port = port.port});
  }
  return requests;
}

}  // namespace

// --- operations ---

void Containers::start(const ContainerId& id, Reply<> reply) {
  Container* container = get_or_refuse(id, reply);
  if (container == nullptr) return;
  enqueue(*container, [this, id, reply = std::move(reply)](Container* found) mutable {
    if (found == nullptr) return reply(no_such_container(id.str()));
    if (auto may = may_start(found->label(), found->status.state); !may.ok()) {
      end_operation(id);
      return reply(std::move(may));
    }
    cancel_waiting_restart(*found);
    found->status.restart_count = 0;
    found->backoff.reset();
    begin_start(*found, false, [this, id, reply = std::move(reply)](Result<> started) mutable {
      end_operation(id);
      reply(std::move(started));
    });
  });
}

// Within an operation. `done` is called later or at once.
void Containers::begin_start(Container& container, bool by_policy, Started done) {
  const bool on_default = std::any_of(container.spec.endpoints.begin(), container.spec.endpoints.end(),
                                      [](const EndpointSpec& endpoint) { return endpoint.network == kDefaultNetwork; });
  if (on_default && container.spec.network_mode.kind == NetworkMode::Kind::networks) {
    container.working = true;
    networks_.ensure_default([this, id = container.id, by_policy, done = std::move(done)](Result<> made) mutable {
      Container* found = get(id);
      found->working = false;
      if (!made.ok()) return done(std::move(made));
      launch(*found, by_policy, std::move(done));
    });
    return;
  }
  launch(container, by_policy, std::move(done));
}

void Containers::launch(Container& container, bool by_policy, Started done) {
  auto endpoints = allocate_endpoints(container);
  Result<StartJob> job = endpoints.ok() ? make_start_job(container, *endpoints) : Result<StartJob>(endpoints.error());
  if (!job.ok()) {
    StartResult refused;
    refused.problem = StartProblem{.failure = {.exit_code = 128, .message = job.error().message()},
                                   .code = job.error().code()};
    return finish_start(container.id, endpoints.ok() ? *std::move(endpoints) : std::vector<EndpointState>(),
                        std::move(refused), by_policy, std::move(done));
  }
  for (const VolumeMount& volume : job->volumes_to_mount) ++volume_mounts_[volume.directory.string()];
  container.working = true;
  container.starting = true;
  context_.tasks.run(
      [tools = StartTools{context_.runtime, context_.stack, context_.names}, job = *std::move(job)]() mutable {
        return run_start_job(tools, std::move(job));
      },
      [this, id = container.id, endpoints = *std::move(endpoints), by_policy,
       done = std::move(done)](StartResult result) mutable {
        get(id)->working = false;
        get(id)->starting = false;
        if (result.problem) release_volumes(*get(id));
        finish_start(id, std::move(endpoints), std::move(result), by_policy, std::move(done));
      });
}

void Containers::finish_start(const ContainerId& id, std::vector<EndpointState> endpoints, StartResult result,
                              bool by_policy, Started done) {
  Container& container = *get(id);
  if (result.problem) {
    for (const EndpointState& endpoint : endpoints) networks_.release(endpoint);
    container.status = after_failed_start(container.status, result.problem->failure);
    save_state(container);
    auto attaching = std::exchange(container.attaching, {});
    Error error(result.problem->code, result.problem->failure.message);
    for (Reply<Fd>& waiting : attaching) waiting(error);
    start_failed(container, by_policy);
    return done(std::move(error));
  }
  const int restarts = container.status.restart_count;
  container.link = context_.runtime.link(context_.loop, std::move(result.sandbox), handlers(id));
  container.ports = std::move(result.ports);
  container.status = after_start(container.status, container.link->started_at(), container.config.health_check.has_value());
  container.status.restart_count = restarts;
  container.status.endpoints = std::move(endpoints);
  if (container.ports) container.status.published = container.ports->ports();
  container.policy_cancelled = false;
  container.lost = false;
  save_state(container);
  for (const std::string& warning : result.warnings) log_warning("container " + container.spec.name + ": " + warning);
  for (const EndpointState& endpoint : container.status.endpoints) {
    networks_.add_member(id, container.spec.name, endpoint);
    emit_network(container, endpoint.network, "connect");
  }
  for (const ContainerMount& mount : container.record.mounts) {
    if (mount.mount.kind == Mount::Kind::volume) emit_volume(container, mount, "mount");
  }
  start_probing(container);
  // Those that came during the start itself get what comes from now on.
  for (Reply<Fd>& waiting : std::exchange(container.attaching, {})) {
    waiting(container.link->attach(closes_stdin(container)));
  }
  emit(container, "start");
  done({});
}

// A policy goes on trying what it began; a user's start that failed is over, and with --rm so is the container.
void Containers::start_failed(Container& container, bool by_policy) {
  if (by_policy && !container.policy_cancelled && !closing_) {
    after_end(container, std::chrono::nanoseconds{}, false);
    return;
  }
  if (!container.spec.auto_remove) return;
  answer_waiters(container, false);
  remove_automatically(container);
}

ShimLink::Handlers Containers::handlers(const ContainerId& id) {
  ShimLink::Handlers handlers;
  handlers.exited = [this, id](ExitReport report) {
    Container* container = get(id);
    if (container == nullptr || container->ended) return;
    container->ended = report;
    // Posted: handling the end lets the link go, which is calling us.
    context_.loop.post([this, id] { advance(id); });
  };
  handlers.exec_exited = [this](ExecId exec, ExitReport report) { exec_ended(exec, report); };
  handlers.lost = [this, id] {
    Container* container = get(id);
    if (container == nullptr || container->ended) return;
    container->lost = true;
    container->ended = ExitReport{.exit_code = 255, .finished_at = context_.loop.clock().wall(), .oom_killed = false};
    context_.loop.post([this, id] { advance(id); });
  };
  return handlers;
}

// --- from spec to job ---

const EndpointSpec* Containers::endpoint_spec(const Container& container, const NetworkId& network) const {
  const NetworkRecord* record = networks_.get(network);
  for (const EndpointSpec& endpoint : container.spec.endpoints) {
    if (endpoint.network == network.str() || (record != nullptr && endpoint.network == record->spec.name)) {
      return &endpoint;
    }
  }
  return nullptr;
}

// Addresses for every network of the container, the one that gives the default route first: highest gw_priority, not
// internal, then by name.
Result<std::vector<EndpointState>> Containers::allocate_endpoints(const Container& container) {
  std::vector<EndpointState> endpoints;
  if (container.spec.network_mode.kind != NetworkMode::Kind::networks) return endpoints;
  struct Candidate {
    const EndpointSpec* spec;
    const NetworkRecord* network;
  };
  std::vector<Candidate> candidates;
  for (const EndpointSpec& spec : container.spec.endpoints) {
    auto id = networks_.find(spec.network);
    if (!id.ok()) return std::move(id).error().within("failed to set up container networking");
    candidates.push_back({&spec, networks_.get(*id)});
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    const auto rank = [](const Candidate& c) {
      return std::tuple(!c.network->spec.internal, c.spec->gw_priority);
    };
    if (rank(a) != rank(b)) return rank(a) > rank(b);
    return a.network->spec.name < b.network->spec.name;
  });
  for (const Candidate& candidate : candidates) {
    auto endpoint = networks_.allocate(*candidate.network, *candidate.spec);
    if (!endpoint.ok()) {
      for (const EndpointState& taken : endpoints) networks_.release(taken);
      return std::move(endpoint).error().within("failed to set up container networking");
    }
    endpoints.push_back(*std::move(endpoint));
  }
  name_interfaces(container, endpoints);
  choose_gateways(endpoints);
  return endpoints;
}

void Containers::choose_gateways(std::vector<EndpointState>& endpoints) const {
  bool has4 = false;
  bool has6 = false;
  for (EndpointState& endpoint : endpoints) {
    const NetworkRecord* network = networks_.get(endpoint.network);
    const bool leads_out = network != nullptr && !network->spec.internal;
    endpoint.gateway4 = leads_out && !has4 && !endpoint.address4.empty();
    endpoint.gateway6 = leads_out && !has6 && !endpoint.address6.empty();
    has4 = has4 || endpoint.gateway4;
    has6 = has6 || endpoint.gateway6;
  }
}

// eth0, eth1, … in the order of the networks' names, so that a container has the same ones at every start.
void Containers::name_interfaces(const Container& container, std::vector<EndpointState>& endpoints) const {
  std::set<std::string> taken;
  for (const EndpointSpec& spec : container.spec.endpoints) taken.insert(spec.interface_name);
  std::vector<EndpointState*> by_name;
  for (EndpointState& endpoint : endpoints) {
    taken.insert(endpoint.container_interface);  // those that it has already
    by_name.push_back(&endpoint);
  }
  std::sort(by_name.begin(), by_name.end(), [this](const EndpointState* a, const EndpointState* b) {
    return networks_.get(a->network)->spec.name < networks_.get(b->network)->spec.name;
  });
  for (EndpointState* endpoint : by_name) {
    for (int n = 0; endpoint->container_interface.empty(); ++n) {
      const std::string candidate = "eth" + std::to_string(n);
      if (taken.insert(candidate).second) endpoint->container_interface = candidate;
    }
  }
}

Result<const Container*> Containers::running_other(const std::string& reference, const char* what) const {
  const Container* other = get(TRY(find(reference)));
  if (other->link == nullptr || !is_up(other->status.state) || other->ended) {
    return conflict(std::string("cannot join ") + what + " namespace of a non running container: container " +
                    other->spec.name + " is " + to_string(other->status.state));
  }
  return other;
}

Result<> Containers::describe_namespaces(const Container& container, SandboxSpec& sandbox) const {
  const ContainerSpec& spec = container.spec;
  const auto of_process = [](const Container* other) {
    return NamespaceChoice{.kind = NamespaceChoice::Kind::of_process, .pid = other->link->pid()};
  };
  sandbox.pid = own_or_host(spec.pid_mode);
  sandbox.ipc = own_or_host(spec.ipc_mode);
  sandbox.uts = own_or_host(spec.uts_mode);
  if (spec.network_mode.kind == NetworkMode::Kind::host) sandbox.network.kind = NamespaceChoice::Kind::host;
  if (spec.network_mode.kind == NetworkMode::Kind::container) {
    sandbox.network = of_process(TRY(running_other(spec.network_mode.container, "network")));
  }
  if (spec.pid_mode.starts_with("container:")) {
    sandbox.pid = of_process(TRY(running_other(spec.pid_mode.substr(10), "PID")));
  }
  if (spec.ipc_mode.starts_with("container:")) {
    const Container* donor = TRY(running_other(spec.ipc_mode.substr(10), "IPC"));
    if (donor->spec.ipc_mode == "private" || donor->spec.ipc_mode == "none") {
      return invalid("cannot join IPC namespace of container " + donor->spec.name + ": non-shareable IPC (hint: use IpcMode:shareable for the donor container)");
    }
    sandbox.ipc = of_process(donor);
  }
  return {};
}

Result<std::vector<RuntimeMount>> Containers::describe_mounts(const Container& container, StartJob& job) const {
  std::vector<RuntimeMount> mounts;
  for (const ContainerMount& resolved : container.record.mounts) {
    const Mount& mount = resolved.mount;
    RuntimeMount runtime{.source = {},
                         .target = mount.target,
                         .read_only = mount.read_only,
                         .recursive = mount.recursive,
                         .read_only_submounts = mount.read_only_submounts,
                         .propagation = mount.propagation,
                         .tmpfs_options = {},
                         .subpath = mount.subpath};
    if (mount.kind == Mount::Kind::bind) {
      runtime.source = mount.source;
      if (mount.create_source) job.directories_to_make.emplace_back(mount.source);
    } else if (mount.kind == Mount::Kind::tmpfs) {
      runtime.kind = RuntimeMount::Kind::tmpfs;
      runtime.tmpfs_options = tmpfs_options(mount);
    } else {
      const VolumeRecord* volume = volumes_.find(mount.source);
      if (volume == nullptr) return not_found("get " + mount.source + ": no such volume");
      VolumeMount place = volumes_.mount_of(*volume);
      runtime.source = place.directory;
      if (place.own_filesystem) job.volumes_to_mount.push_back(std::move(place));
    }
    mounts.push_back(std::move(runtime));
  }
  const std::filesystem::path directory = context_.paths.container(container.id);
  for (size_t i = 0; i < container.spec.files.size(); ++i) {
    const FileMount& file = container.spec.files[i];
    const std::filesystem::path path = directory / ("file-" + std::to_string(i));
    job.files.push_back({.path = path, .content = file.content, .mode = file.mode, .uid = file.uid, .gid = file.gid});
    mounts.push_back({.source = path, .target = file.target, .read_only = true, .read_only_submounts = {},
                      .propagation = {}, .tmpfs_options = {},
                      .subpath = {}});
  }
  return mounts;
}

net::NameRecord Containers::name_record(const Container& container, const EndpointState& endpoint) const {
  net::NameRecord record;
  record.network_id = endpoint.network.str();
  const NetworkRecord* network = networks_.get(endpoint.network);
  if (network != nullptr) record.network_name = network->spec.name;
  record.names = {container.spec.name};
  if (const EndpointSpec* spec = endpoint_spec(container, endpoint.network)) {
    record.names.insert(record.names.end(), spec->aliases.begin(), spec->aliases.end());
  }
  record.names.push_back(container.id.short_form());
  if (!container.spec.hostname.empty()) record.names.push_back(container.spec.hostname);
  for (const std::string& text : {endpoint.address4, endpoint.address6}) {
    if (auto address = net::IpAddress::parse(text); !text.empty() && address.ok()) {
      record.addresses.push_back(*address);
    }
  }
  return record;
}

net::NameService::Client Containers::dns_client(const Container& container,
                                                const std::vector<EndpointState>& endpoints) const {
  net::NameService::Client client;
  client.id = container.id.str();
  client.internal_only = true;
  for (const EndpointState& endpoint : endpoints) {
    const NetworkRecord* network = networks_.get(endpoint.network);
    if (network == nullptr) continue;
    if (!networks_.is_default(endpoint.network)) client.networks.push_back(endpoint.network.str());
    client.internal_only = client.internal_only && network->spec.internal;
  }
  const ResolverOverrides own{.servers = container.spec.dns, .search = {}, .options = {}};
  client.upstreams = resolver_on_user_network(host_resolver(), own).upstreams;
  return client;
}

// extra_hosts, then linked containers, then the container itself on each network.
std::vector<HostsEntry> Containers::hosts_entries(const Container& container,
                                                  const std::vector<EndpointState>& endpoints,
                                                  Result<>& problem) const {
  std::vector<HostsEntry> entries;
  for (const std::string& host : container.spec.extra_hosts) {
    const size_t at = host.find_first_of(":=");
    std::string address = host.substr(at + 1);
    if (address.size() > 1 && address.front() == '[') address = address.substr(1, address.size() - 2);
    if (address == "host-gateway") {
      address.clear();
      for (const EndpointState& endpoint : endpoints) {
        const NetworkRecord* network = networks_.get(endpoint.network);
        if (network == nullptr || !address.empty()) continue;
        const net::BridgeConfig bridge = networks_.bridge_config(*network);
        if (bridge.gateway4) address = bridge.gateway4->to_string();
      }
      if (address.empty() && container.spec.network_mode.kind == NetworkMode::Kind::host) address = "127.0.0.1";
      if (address.empty()) problem = invalid("host-gateway in extra hosts: the container has no network with a gateway");
    }
    entries.push_back({.address = address, .names = {host.substr(0, at)}});
  }
  std::vector<std::string> own_names = {container.spec.hostname.empty() ? container.id.short_form()
                                                                        : container.spec.hostname};
  if (!container.spec.domainname.empty()) {
    own_names.insert(own_names.begin(), own_names[0] + "." + container.spec.domainname);
  }
  for (const EndpointState& endpoint : endpoints) {
    if (const EndpointSpec* spec = endpoint_spec(container, endpoint.network)) {
      for (const std::string& link : spec->links) {
        const size_t colon = link.find(':');
        auto other = find(link.substr(0, colon));
        const Container* linked = other.ok() ? get(*other) : nullptr;
        if (linked == nullptr) continue;
        for (const EndpointState& theirs : linked->status.endpoints) {
          if (theirs.network != endpoint.network) continue;
          const std::string alias = colon == std::string::npos ? linked->spec.name : link.substr(colon + 1);
          entries.push_back({.address = theirs.address4, .names = {alias, linked->id.short_form(), linked->spec.name}});
        }
      }
    }
  }
  for (const EndpointState& endpoint : endpoints) {
    for (const std::string& address : {endpoint.address4, endpoint.address6}) {
      if (!address.empty()) entries.push_back({.address = address, .names = own_names});
    }
  }
  return entries;
}

Result<std::string> Containers::hosts_text(const Container& container,
                                           const std::vector<EndpointState>& endpoints) const {
  Result<> problem;
  const std::vector<HostsEntry> entries = hosts_entries(container, endpoints, problem);
  TRY(std::move(problem));
  if (container.spec.network_mode.kind != NetworkMode::Kind::host) return hosts_file(entries, true);
  auto of_host = read_file("/etc/hosts", 1 << 20);
  std::string hosts = of_host.ok() ? *of_host : hosts_file({}, true);
  for (const HostsEntry& entry : entries) hosts += entry.address + "\t" + join(entry.names, " ") + "\n";
  return hosts;
}

Result<> Containers::describe_network(const Container& container, const std::vector<EndpointState>& endpoints,
                                      StartJob& job) {
  const ContainerSpec& spec = container.spec;
  const std::filesystem::path directory = context_.paths.container(container.id);
  const ResolverOverrides own{.servers = spec.dns, .search = spec.dns_search, .options = spec.dns_options};
  const ResolverConfig host = host_resolver();
  ResolverPlan resolver;
  std::string hosts = TRY(hosts_text(container, endpoints));
  if (spec.network_mode.kind == NetworkMode::Kind::host) {
    resolver = resolver_on_host(host, own);
  } else {
    const bool user_network = std::any_of(endpoints.begin(), endpoints.end(), [this](const EndpointState& endpoint) {
      return !networks_.is_default(endpoint.network);
    });
    resolver = user_network ? resolver_on_user_network(host, own) : resolver_on_default_bridge(host, own);
  }
  job.files.push_back({.path = directory / "hosts", .content = std::move(hosts)});
  job.files.push_back({.path = directory / "resolv.conf", .content = std::move(resolver.resolv_conf)});
  job.files.push_back({.path = directory / "hostname", .content = job.sandbox.hostname + "\n"});

  job.own_network = job.sandbox.network.kind == NamespaceChoice::Kind::own;
  for (const EndpointState& endpoint : endpoints) {
    StartEndpoint start{.config = networks_.endpoint_config(endpoint), .key = endpoint.endpoint_id, .record = {}};
    if (!networks_.is_default(endpoint.network)) start.record = name_record(container, endpoint);
    job.endpoints.push_back(std::move(start));
  }
  if (endpoints.empty()) return {};
  job.dns = dns_client(container, endpoints);
  job.endpoint_name = spec.name;
  const NetworkRecord* gateway = networks_.get(endpoints.front().network);
  job.ports = port_requests(container, networks_.bridge_config(*gateway).host_binding_ip);
  if (gateway->spec.internal && !job.ports.empty()) {
    log_warning("container " + spec.name + ": its ports are not published, because nothing gets into its networks: " +
                "all are internal");
    job.ports.clear();
  }
  return {};
}

Result<StartJob> Containers::make_start_job(Container& container, const std::vector<EndpointState>& endpoints) {
  const ContainerSpec& spec = container.spec;
  const std::filesystem::path directory = context_.paths.container(container.id);
  StartJob job;
  SandboxSpec& sandbox = job.sandbox;
  sandbox.id = container.id;
  sandbox.run_dir = context_.paths.run(container.id);
  auto layers = TRY(context_.images.layers(container.record.image_id));
  sandbox.layers = std::move(layers.directories);
  container.layers_hold = std::move(layers.hold);
  sandbox.upper = directory / "upper";
  sandbox.work = directory / "work";
  if (spec.log.driver != "none") sandbox.log_path = log_file(directory, container.id, spec.log.driver);
  sandbox.log = TRY(log_settings(spec.log, {.id = container.id.str(),
                                            .name = spec.name,
                                            .image = spec.image,
                                            .image_id = container.record.image_id.str(),
                                            .labels = container.config.labels,
                                            .environment = container.config.environment}));

  TRY(describe_namespaces(container, sandbox));
  const bool hosts_name = spec.network_mode.kind == NetworkMode::Kind::host || spec.uts_mode == "host";
  sandbox.hostname = !spec.hostname.empty() ? spec.hostname : hosts_name ? host_name() : container.id.short_form();
  sandbox.domainname = spec.domainname;
  TRY(describe_network(container, endpoints, job));

  // In another container's network its files are shared, too.
  std::filesystem::path files = directory;
  if (spec.network_mode.kind == NetworkMode::Kind::container) {
    const Container* owner = TRY(running_other(spec.network_mode.container, "network"));
    files = context_.paths.container(owner->id);
    sandbox.hostname = owner->spec.hostname.empty() ? owner->id.short_form() : owner->spec.hostname;
    std::erase_if(job.files, [&](const StartFile& file) { return file.path.parent_path() == directory; });
  }
  for (const char* name : {"resolv.conf", "hostname", "hosts"}) {
    sandbox.mounts.push_back({.source = files / name, .target = std::string("/etc/") + name,
                              .read_only = spec.read_only, .read_only_submounts = {}, .propagation = {}, .tmpfs_options = {}, .subpath = {}});
  }
  for (RuntimeMount& mount : TRY(describe_mounts(container, job))) {
    std::erase_if(sandbox.mounts, [&](const RuntimeMount& standard) { return standard.target == mount.target; });
    sandbox.mounts.push_back(std::move(mount));
  }

  ProcessSpec& process = sandbox.process;
  process.arguments = container.config.arguments;
  process.environment = process_environment(container.config.environment, sandbox.hostname, spec.tty);
  process.user = container.config.user;
  process.group_add = spec.group_add;
  process.working_dir = container.config.working_dir.empty() ? "/" : container.config.working_dir;
  process.tty = spec.tty;
  process.rows = spec.console_rows;
  process.columns = spec.console_columns;
  process.open_stdin = spec.open_stdin;
  process.privileged = spec.privileged;
  sandbox.shm_size = spec.shm_size.value_or(uint64_t{64} << 20);
  sandbox.read_only_root = spec.read_only;
  sandbox.no_shm = spec.ipc_mode == "none";
  sandbox.cgroup_mode = spec.cgroup_mode;
  sandbox.init = spec.init;
  sandbox.cap_add = spec.cap_add;
  sandbox.cap_drop = spec.cap_drop;
  sandbox.privileged = spec.privileged;
  sandbox.masked_paths = spec.masked_paths;
  sandbox.read_only_paths = spec.read_only_paths;
  apply_security_options(spec, sandbox);
  sandbox.sysctls = spec.sysctls;
  sandbox.oom_score_adj = spec.oom_score_adj;
  sandbox.resources = spec.resources;
  job.attached = std::exchange(container.attached, {});
  job.close_stdin_at_end = closes_stdin(container);
  return job;
}

// The volumes with a filesystem of their own that this run held: unmounted after their last user.
void Containers::release_volumes(const Container& container) {
  std::vector<VolumeMount> unused = take_unused_volumes(container);
  if (unused.empty()) return;
  context_.tasks.run(
      [unused = std::move(unused)] {
        for (const VolumeMount& volume : unused) unmount_volume(volume);
      },
      [] {});
}

std::vector<VolumeMount> Containers::take_unused_volumes(const Container& container) {
  std::vector<VolumeMount> unused;
  for (const ContainerMount& mount : container.record.mounts) {
    const VolumeRecord* volume =
        mount.mount.kind == Mount::Kind::volume ? volumes_.find(mount.mount.source) : nullptr;
    if (volume == nullptr) continue;
    VolumeMount place = volumes_.mount_of(*volume);
    auto count = volume_mounts_.find(place.directory.string());
    if (!place.own_filesystem || count == volume_mounts_.end() || --count->second > 0) continue;
    volume_mounts_.erase(count);
    unused.push_back(std::move(place));
  }
  return unused;
}

}  // namespace gantry::engine
