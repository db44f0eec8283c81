#include "engine/container/start_job.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/fault.h"
#include "base/log.h"
#include "base/overwrite_file.h"

namespace gantry::engine {
namespace {

// Docker's exit code for "could not be started" for any reason but the program itself.
constexpr int kSetUpFailed = 128;
constexpr std::string_view kSettingUp = "failed to set up container networking";

StartProblem problem(Error error, std::string_view while_doing = {}) {
  if (!while_doing.empty()) error = std::move(error).within(while_doing);
  return {.failure = {.exit_code = kSetUpFailed, .message = error.message()}, .code = error.code()};
}

// Where the client's own upstreams are asked from.
Fd netns_for(const net::NameService::Client& client, NetnsSockets& sockets) {
  return client.own_upstreams ? std::move(sockets.netns) : Fd();
}

// Undoes in reverse what has been done so far, unless the start succeeds.
class Start {
 public:
  Start(StartTools tools, StartJob& job) : tools_(tools), job_(job) {}
  ~Start() {
    if (!armed_) return;
    for (const StartEndpoint& endpoint : attached_) {
      if (endpoint.record && names_ != nullptr) report(names_->withdraw(endpoint.key));
      report(tools_.stack.detach(endpoint.config));
    }
    if (names_ != nullptr) report(names_->remove_client(job_.dns->id));
    if (names_ != nullptr) report(stop_carrying_ports(tools_.names, ports_.get()));
  }

  std::optional<StartProblem> storage();
  std::optional<StartProblem> sandbox();
  std::optional<StartProblem> ports();
  std::optional<StartProblem> network();
  std::optional<StartProblem> names();
  std::optional<StartProblem> program();

  StartResult succeed() {
    armed_ = false;
    return {.problem = {},
            .sandbox = std::move(sandbox_),
            .ports = std::move(ports_),
            .warnings = std::move(warnings_)};
  }

 private:
  static void report(const Result<>& undone) {
    if (!undone.ok()) log_warning("undoing a start: " + undone.error().message());
  }
  Result<> attach_all();

  StartTools tools_;
  StartJob& job_;
  bool armed_ = true;
  std::vector<StartEndpoint> attached_;
  net::NameService* names_ = nullptr;  // told about this container
  std::unique_ptr<net::PortReservation> ports_;  // outlives the sandbox, so that no other takes them meanwhile
  std::unique_ptr<PreparedSandbox> sandbox_;
  std::vector<std::string> warnings_;
};

Result<> write_start_file(const StartFile& file) {
  TRY(overwrite_file(file.path, file.content, 0600));
  if (chown(file.path.c_str(), file.uid, file.gid) != 0) return Error::from_errno(errno, "chown", file.path.string());
  if (chmod(file.path.c_str(), file.mode) != 0) return Error::from_errno(errno, "chmod", file.path.string());
  return {};
}

Result<> make_mount_source(const std::filesystem::path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) return {};
  for (std::filesystem::path so_far; const auto& part : path) {
    so_far /= part;
    if (mkdir(so_far.c_str(), 0755) != 0 && errno != EEXIST) {
      return Error::from_errno(errno, "error while creating mount source path '" + path.string() + "': mkdir",
                               so_far.string());
    }
  }
  return {};
}

std::optional<StartProblem> Start::storage() {
  for (const StartFile& file : job_.files) {
    if (auto written = write_start_file(file); !written.ok()) return problem(std::move(written).error());
  }
  for (const std::filesystem::path& directory : job_.directories_to_make) {
    if (auto made = make_mount_source(directory); !made.ok()) return problem(std::move(made).error());
  }
  for (const VolumeMount& volume : job_.volumes_to_mount) {
    if (auto done = mount_volume(volume); !done.ok()) return problem(std::move(done).error());
  }
  return std::nullopt;
}

std::optional<StartProblem> Start::sandbox() {
  job_.sandbox.no_netfilter = !tools_.stack.translates();
  auto prepared = tools_.runtime.prepare(job_.sandbox);
  if (auto* failure = std::get_if<StartFailure>(&prepared)) {
    return StartProblem{.failure = std::move(*failure), .code = Code::invalid};
  }
  sandbox_ = std::get<std::unique_ptr<PreparedSandbox>>(std::move(prepared));
  return std::nullopt;
}

Result<> Start::attach_all() {
  const NetnsSockets& sockets = sandbox_->sockets();
  const net::NetnsAccess access{sockets.route.get(), sockets.netfilter.get(), sockets.netns.get()};
  if (job_.endpoints.empty()) return tools_.stack.loopback_up(access);
  for (StartEndpoint& endpoint : job_.endpoints) {
    TRY(tools_.stack.attach(endpoint.config, access));
    fault_point("network attached");
    attached_.push_back(endpoint);
  }
  if (job_.dns) {
    TRY(tools_.stack.redirect_dns(access, local_port(sockets.dns_udp.get()), local_port(sockets.dns_tcp.get())));
  }
  return {};
}

// Before anything else is made: a port that is taken is the likeliest failure of all.
std::optional<StartProblem> Start::ports() {
  if (!job_.own_network || job_.ports.empty() || job_.endpoints.empty()) return std::nullopt;
  auto reserved = tools_.stack.reserve_ports(job_.ports, job_.port_owner);
  if (!reserved.ok()) {
    return problem(std::move(reserved).error(),
                   std::string(kSettingUp) + ": driver failed programming external connectivity on endpoint " +
                       job_.port_owner.name + " (" + job_.endpoints.front().key + ")");
  }
  ports_ = *std::move(reserved);
  fault_point("ports reserved");
  for (StartEndpoint& endpoint : job_.endpoints) endpoint.config.ports = ports_->ports();
  return std::nullopt;
}

std::optional<StartProblem> Start::network() {
  if (!job_.own_network) return std::nullopt;
  if (auto attached = attach_all(); !attached.ok()) return problem(std::move(attached).error(), kSettingUp);
  return std::nullopt;
}

std::optional<StartProblem> Start::names() {
  if (!job_.own_network || !job_.dns) return std::nullopt;
  NetnsSockets& sockets = sandbox_->sockets();
  const auto tell = [&]() -> Result<> {
    net::NameService* service = TRY(tools_.names.get());
    names_ = service;
    TRY(service->add_client(*job_.dns, std::move(sockets.dns_udp), std::move(sockets.dns_tcp),
                            netns_for(*job_.dns, sockets)));
    for (const StartEndpoint& endpoint : job_.endpoints) {
      if (endpoint.record) TRY(service->publish(endpoint.key, *endpoint.record));
    }
    fault_point("names told");
    return carry_ports(*service, ports_.get());
  };
  if (auto told = tell(); !told.ok()) return problem(std::move(told).error(), "failed to set up the name service");
  return std::nullopt;
}

std::optional<StartProblem> Start::program() {
  Result<> attached;
  for (Fd& connection : job_.attached) {
    if (attached.ok()) attached = sandbox_->attach(std::move(connection), job_.close_stdin_at_end);
  }
  // If the sandbox has failed already, run() knows why; the failing attach only that.
  if (auto failure = sandbox_->run()) return StartProblem{.failure = std::move(*failure), .code = Code::invalid};
  if (!attached.ok()) return problem(std::move(attached).error(), "attaching to the container");
  fault_point("program started");
  warnings_ = sandbox_->warnings();
  return std::nullopt;
}

}  // namespace

uint16_t local_port(int socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.sin_port);
}

StartResult run_start_job(StartTools tools, StartJob job) {
  Start start(tools, job);
  for (auto step : {&Start::ports, &Start::storage, &Start::sandbox, &Start::network, &Start::names, &Start::program}) {
    if (auto failed = (start.*step)()) {
      StartResult result;
      result.problem = std::move(failed);
      return result;
    }
  }
  return start.succeed();
}

void run_end_job(StartTools tools, EndJob job, std::unique_ptr<net::PortReservation> ports) {
  const auto report = [](const Result<>& done) {
    if (!done.ok()) log_warning("after a container's end: " + done.error().message());
  };
  if (auto names = tools.names.get(); !job.dns_client.empty() && names.ok()) {
    for (const StartEndpoint& endpoint : job.endpoints) {
      if (endpoint.record) report((*names)->withdraw(endpoint.key));
    }
    report((*names)->remove_client(job.dns_client));
  }
  fault_point("names withdrawn");
  for (StartEndpoint& endpoint : job.endpoints) report(tools.stack.detach_ended(endpoint.config));
  report(stop_carrying_ports(tools.names, ports.get()));
  ports.reset();
  fault_point("network detached");
  for (const VolumeMount& volume : job.volumes_to_unmount) unmount_volume(volume);
}

Result<> carry_ports(net::NameService& service, const net::PortReservation* ports) {
  if (ports == nullptr) return {};
  for (const auto& carried : ports->carried()) TRY(service.carry(carried.forward, carried.socket));
  return {};
}

Result<> stop_carrying_ports(LazyNames& names, const net::PortReservation* ports) {
  if (ports == nullptr) return {};
  std::vector<net::UserForward> forwards;
  for (const auto& carried : ports->carried()) forwards.push_back(carried.forward);
  if (forwards.empty()) return {};
  net::NameService* service = TRY(names.get());
  return service->stop_carrying(forwards);
}

}  // namespace gantry::engine
