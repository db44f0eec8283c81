#include "engine/step_sandbox.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <future>

#include "base/log.h"
#include "base/remove_tree.h"
#include "base/scope_exit.h"
#include "engine/container/host_resolver.h"
#include "engine/container/image_merge.h"
#include "engine/container/network_files.h"
#include "engine/step_mounts.h"

namespace gantry::engine {
namespace {

constexpr const char* kHostname = "buildkitsandbox";  // what Dockerfiles see with other builders
constexpr int kCancelCheckMilliseconds = 200;         // CancelCheck can only be asked
constexpr size_t kMostFrame = 1 << 20;

// Takes the frames of Docker's multiplexed stream apart: [stream,0,0,0,length big-endian] and the bytes.
class Frames {
 public:
  explicit Frames(const std::function<void(std::string_view, bool is_stderr)>& output) : output_(output) {}

  bool add(std::string_view bytes) {
    pending_.append(bytes);
    size_t at = 0;
    while (pending_.size() - at >= 8) {
      uint32_t length = 0;
      std::memcpy(&length, pending_.data() + at + 4, sizeof length);
      length = ntohl(length);
      if (length > kMostFrame) return false;
      if (pending_.size() - at - 8 < length) break;
      output_(std::string_view(pending_).substr(at + 8, length), pending_[at] == 2);
      at += 8 + length;
    }
    pending_.erase(0, at);
    return true;
  }

 private:
  const std::function<void(std::string_view, bool is_stderr)>& output_;
  std::string pending_;
};

// Runs `begin` on the loop with a promise for it to keep, and waits.
template <class T, class Begin>
Result<T> wait_for_loop(EventLoop& loop, Begin begin) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  auto future = promise->get_future();
  loop.post([promise = std::move(promise), begin = std::move(begin)]() mutable { begin(std::move(promise)); });
  try {
    return future.get();
  } catch (const std::future_error&) {  // the loop ended with the question unanswered
    return Error(Code::unavailable, "the daemon is shutting down");
  }
}

}  // namespace

struct StepSandbox::Running {
  ContainerId id;
  std::optional<EndpointState> endpoint;
  EndJob end;
  Fd output;
  std::unique_ptr<ShimLink> link;             // loop thread
  std::promise<Result<ExitReport>> promise;   // kept on the loop thread
  bool answered = false;                      // loop thread
  bool lost = false;                          // loop thread: its shim is dead
};

StepSandbox::StepSandbox(Context& context, Networks& networks) : context_(context), networks_(networks) {}

std::filesystem::path StepSandbox::directory(const ContainerId& id) const {
  return context_.paths.build() / "steps" / id.str();
}

void StepSandbox::remove_leftovers() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(context_.paths.build() / "steps", error)) {
    const ContainerId id(entry.path().filename());
    auto cleaned = context_.runtime.clean_up(id, context_.paths.run(id));
    if (!cleaned.ok()) log_warning("build step: " + cleaned.error().message());
    StepMounts::remove_leftovers(entry.path());
    (void)remove_tree(entry.path()).ok();
  }
  // Half-made layers.
  for (const auto& entry : std::filesystem::directory_iterator(context_.paths.build(), error)) {
    if (entry.path().filename().string().starts_with("step-")) (void)remove_tree(entry.path()).ok();
  }
}

// An address on the default bridge, made if it is not there.
Result<EndpointState> StepSandbox::take_endpoint(net::EndpointConfig& config) {
  return wait_for_loop<EndpointState>(context_.loop, [this, &config](auto promise) {
    networks_.ensure_default([this, &config, promise = std::move(promise)](Result<> made) {
      if (!made.ok()) return promise->set_value(std::move(made).error());
      auto id = networks_.find(kDefaultNetwork);
      auto endpoint = networks_.allocate(*networks_.get(*id), {});
      if (endpoint.ok()) {
        endpoint->container_interface = "eth0";
        endpoint->gateway4 = !endpoint->address4.empty();
        endpoint->gateway6 = !endpoint->address6.empty();
        config = networks_.endpoint_config(*endpoint);
      }
      promise->set_value(std::move(endpoint));
    });
  });
}

Result<StartJob> StepSandbox::describe(const Step& step, const ContainerId& id, Running& running) {
  StartJob job;
  SandboxSpec& sandbox = job.sandbox;
  sandbox.id = id;
  sandbox.run_dir = context_.paths.run(id);
  sandbox.layers = step.layers;
  sandbox.upper = step.upper;
  sandbox.work = step.work;
  sandbox.hostname = kHostname;
  sandbox.shm_size = step.shm_size.value_or(uint64_t{64} << 20);
  sandbox.process.arguments = step.arguments;
  sandbox.process.environment = process_environment(step.environment, kHostname, false);
  sandbox.process.user = step.user;
  sandbox.resources.ulimits = step.ulimits;
  sandbox.privileged = step.insecure;
  sandbox.process.privileged = step.insecure;
  sandbox.process.working_dir = step.working_dir.empty() ? "/" : step.working_dir;

  const bool on_host = step.network_mode == "host";
  const bool connected = !on_host && step.network_mode != "none";
  if (on_host) sandbox.network.kind = NamespaceChoice::Kind::host;
  if (step.network_mode.starts_with("container:")) {
    return unsupported("network mode " + gantry::quoted(step.network_mode) + " is not supported in builds");
  }
  const ResolverConfig host = host_resolver();
  const ResolverPlan resolver = on_host ? resolver_on_host(host, {}) : resolver_on_default_bridge(host, {});
  std::vector<HostsEntry> entries;
  job.own_network = !on_host;
  if (connected) {
    StartEndpoint endpoint;
    running.endpoint = TRY(take_endpoint(endpoint.config).within("network of a build step"));
    endpoint.key = running.endpoint->endpoint_id;
    entries.push_back({.address = running.endpoint->address4, .names = {kHostname}});
    job.dns = net::NameService::Client{
        .id = id.str(), .networks = {}, .upstreams = resolver.upstreams, .internal_only = false};
    running.end.dns_client = id.str();
    running.end.endpoints.push_back(endpoint);
    job.endpoints.push_back(std::move(endpoint));
  }
  for (const std::string& host_entry : step.extra_hosts) {
    const size_t at = host_entry.find_first_of(":=");
    if (at == std::string::npos) return invalid("bad format for add-host: " + gantry::quoted(host_entry));
    std::string address = host_entry.substr(at + 1);
    if (address == "host-gateway") {
      if (!connected || !job.endpoints[0].config.gateway4) return invalid("host-gateway needs the default network");
      address = job.endpoints[0].config.gateway4->to_string();
    }
    entries.insert(entries.begin(), {.address = std::move(address), .names = {host_entry.substr(0, at)}});
  }
  const std::filesystem::path files = directory(id);
  job.files = {{.path = files / "hosts", .content = hosts_file(entries, true)},
               {.path = files / "resolv.conf", .content = resolver.resolv_conf},
               {.path = files / "hostname", .content = std::string(kHostname) + "\n"}};
  for (const StartFile& file : job.files) {
    sandbox.mounts.push_back({.source = file.path, .target = "/etc/" + file.path.filename().string(),
                              .propagation = {}, .tmpfs_options = {}, .subpath = {}});
  }
  return job;
}

Result<int> StepSandbox::follow(Running& running,
                                const std::function<void(std::string_view, bool is_stderr)>& output,
                                const CancelCheck& cancelled) {
  Frames frames(output);
  std::string buffer(64 << 10, '\0');
  bool killed = false;
  for (;;) {
    pollfd wanted{.fd = running.output.get(), .events = POLLIN, .revents = 0};
    poll(&wanted, 1, kCancelCheckMilliseconds);
    if (!killed && cancelled && cancelled()) {
      killed = true;
      context_.loop.post([&running] {  // alive until the report, which comes after this
        if (running.link != nullptr) (void)running.link->kill_all().ok();
      });
    }
    if (wanted.revents == 0) continue;
    const ssize_t size = read(running.output.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    if (!frames.add(std::string_view(buffer).substr(0, static_cast<size_t>(size)))) break;
  }
  Result<ExitReport> report = running.promise.get_future().get();
  if (killed) return Error(Code::cancelled, "the build was cancelled");
  if (!report.ok()) return std::move(report).error();
  return report->exit_code;
}

Result<int> StepSandbox::run(const Step& step, const std::function<void(std::string_view, bool is_stderr)>& output,
                             const CancelCheck& cancelled) {
  SystemRandom random;
  Running running;
  running.id = ContainerId::random(random);
  std::error_code error;
  std::filesystem::create_directories(directory(running.id), error);
  if (error) return Error::from_errno(error.value(), "mkdir", directory(running.id).string());
  ScopeExit remove_files([&] { (void)remove_tree(directory(running.id)).ok(); });
  ScopeExit give_back([&] {
    if (!running.endpoint) return;
    context_.loop.post([this, endpoint = *running.endpoint] { networks_.release(endpoint); });
  });

  const StepMounts mounts = TRY(StepMounts::make(step.mounts, directory(running.id)));
  StartJob job = TRY(describe(step, running.id, running));
  job.sandbox.mounts.insert(job.sandbox.mounts.end(), mounts.sandbox().begin(), mounts.sandbox().end());
  auto streams = TRY(make_socket_pair(SOCK_STREAM));
  running.output = std::move(streams.second);
  job.attached.push_back(std::move(streams.first));
  const StartTools tools{context_.runtime, context_.stack, context_.names};
  StartResult started = run_start_job(tools, std::move(job));
  if (started.problem) {
    const StartFailure& failure = started.problem->failure;
    // As a shell would report it: the step's own failure, not the builder's.
    if (failure.exit_code == 126 || failure.exit_code == 127) {
      output(failure.message + "\n", true);
      return failure.exit_code;
    }
    return Error(started.problem->code, failure.message);
  }
  shutdown(running.output.get(), SHUT_WR);

  auto linked = wait_for_loop<bool>(context_.loop, [this, &running, &started](auto promise) {
    const auto answer = [&running](Result<ExitReport> report) {
      if (!std::exchange(running.answered, true)) running.promise.set_value(std::move(report));
    };
    ShimLink::Handlers handlers;
    handlers.exited = [answer](ExitReport report) { answer(report); };
    handlers.lost = [answer, &running] {
      running.lost = true;
      answer(internal_error("the step's supervisor was killed"));
    };
    running.link = context_.runtime.link(context_.loop, std::move(started.sandbox), std::move(handlers));
    promise->set_value(true);
  });
  if (!linked.ok()) return std::move(linked).error();
  Result<int> code = follow(running, output, cancelled);
  auto shim_lives = wait_for_loop<bool>(context_.loop, [&running](auto promise) {
    if (!running.lost) running.link->release();
    running.link.reset();
    promise->set_value(!running.lost);
  });
  if (!shim_lives.ok()) return std::move(shim_lives).error();
  // A dead shim has not removed what the step left in the kernel; a living one not what was still busy when it gave up.
  auto cleaned = context_.runtime.clean_up(running.id, *shim_lives ? std::filesystem::path() : context_.paths.run(running.id));
  if (!cleaned.ok()) log_warning("after a build step's end: " + cleaned.error().message());
  run_end_job(tools, std::move(running.end), nullptr);
  return code;
}

}  // namespace gantry::engine
