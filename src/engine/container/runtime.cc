#include "engine/container/runtime.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/fault.h"
#include "base/log.h"
#include "base/remove_tree.h"
#include "base/strings.h"
#include "engine/container/cdi.h"
#include "engine/container/cgroup_plan.h"
#include "engine/container/cgroup_update.h"
#include "engine/container/device_program.h"
#include "engine/container/launch.h"
#include "engine/container/shim_channel.h"
#include "engine/container/shim_link.h"
#include "engine/container/shim_start.h"

namespace gantry::engine {
namespace {

using shim::MessageType;
using std::chrono_literals::operator""s;

constexpr auto kHelloPatience = 5s;
constexpr size_t kMaxShim = 64 << 20;
constexpr const char* kCgroupsName = "cgroups";
constexpr size_t kMaxNoted = 64 << 10;

StartFailure failure_of(const Error& error) { return {.exit_code = 128, .message = error.message()}; }

// A sealed copy of the shim, in memory. Its code runs inside the container for a moment (and for good as its init),
// where /proc/PID/exe leads to it: a container must not be able to overwrite the file on disk (CVE-2019-5736).
Result<Fd> seal_executable(const std::filesystem::path& path) {
  const std::string bytes = TRY(read_file(path, kMaxShim).within("the shim"));
  constexpr unsigned kExecutable = 0x10;  // MFD_EXEC, since Linux 6.3; older kernels have no other kind
  Fd copy(::memfd_create("gantry-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING | kExecutable));
  if (!copy && errno == EINVAL) copy = Fd(::memfd_create("gantry-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!copy) return Error::from_errno(errno, "memfd_create");
  TRY(write_all(copy.get(), bytes));
  if (::fcntl(copy.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    return Error::from_errno(errno, "seal the shim");
  }
  // Out of the way of the descriptor that the shim is started with, which takes a low number's place.
  const int high = ::fcntl(copy.get(), F_DUPFD_CLOEXEC, 100);
  if (high < 0) return Error::from_errno(errno, "fcntl", "the shim");
  return Fd(high);
}

// The shim undoes what it has done when a start fails, but not when it was killed.
void clean_up_after_start(Runtime& runtime, const ContainerId& id, const std::filesystem::path& run_dir) {
  if (auto cleaned = runtime.clean_up(id, run_dir); !cleaned.ok()) {
    log_warning("undoing the start of " + id.short_form() + ": " + cleaned.error().message());
  }
}

class ShimSandbox final : public PreparedSandbox {
 public:
  ShimSandbox(Runtime& runtime, Fd channel, ContainerId id, std::filesystem::path run_dir, int pid, NetnsSockets sockets,
              std::vector<std::string> warnings)
      : runtime_(runtime),
        channel_(std::move(channel)),
        id_(std::move(id)),
        run_dir_(std::move(run_dir)),
        pid_(pid),
        sockets_(std::move(sockets)),
        warnings_(std::move(warnings)) {}

  ~ShimSandbox() override {
    if (!channel_) return;
    // The shim undoes everything when its daemon leaves before the word to go.
    ::shutdown(channel_.get(), SHUT_WR);
    for (;;) {
      auto packet = receive_from_shim(channel_.get());
      if (!packet.ok() || !*packet) break;
    }
    clean_up_after_start(runtime_, id_, run_dir_);
  }

  int pid() const override { return pid_; }
  NetnsSockets& sockets() override { return sockets_; }
  const std::vector<std::string>& warnings() const override { return warnings_; }

  Result<> attach(Fd stream, bool close_stdin_at_end) override {
    return send_to_shim(channel_.get(),
                        shim::packet(MessageType::attach, shim::Attach{.close_stdin_at_end = close_stdin_at_end}),
                        {stream.get()});
  }

  std::optional<StartFailure> run() override {
    // A shim that has given up already has said why: that is in the socket, whether or not this arrives.
    (void)send_to_shim(channel_.get(), shim::packet(MessageType::go, shim::Nothing{})).ok();
    for (;;) {
      auto packet = receive_from_shim(channel_.get());
      if (!packet.ok()) return fail(failure_of(packet.error()));
      if (!*packet) return fail({.exit_code = 128, .message = "the container's shim ended while it started the program"});
      shim::Started started;
      shim::Failed failed;
      if ((*packet)->type == MessageType::failed && shim::decode((*packet)->body, failed)) {
        return fail({.exit_code = failed.exit_code, .message = failed.message});
      }
      if ((*packet)->type == MessageType::started && shim::decode((*packet)->body, started)) {
        started_at_ = wall_time(started.at_ns);
        warnings_.insert(warnings_.end(), started.warnings.begin(), started.warnings.end());
        return std::nullopt;
      }
    }
  }

  const std::filesystem::path& run_dir() const { return run_dir_; }
  ShimState take_state() {
    ::fcntl(channel_.get(), F_SETFL, ::fcntl(channel_.get(), F_GETFL) | O_NONBLOCK);
    return {.channel = std::move(channel_), .pid = pid_, .started_at = started_at_, .same_version = true};
  }

 private:
  std::optional<StartFailure> fail(StartFailure failure) {
    channel_.reset();
    clean_up_after_start(runtime_, id_, run_dir_);
    return failure;
  }

  Runtime& runtime_;
  Fd channel_;
  ContainerId id_;
  std::filesystem::path run_dir_;
  int pid_;
  NetnsSockets sockets_;
  std::vector<std::string> warnings_;
  WallTime started_at_{};
};

class ShimRuntime final : public Runtime {
 public:
  explicit ShimRuntime(Options options) : options_(std::move(options)) {
    auto sealed = seal_executable(options_.shim_executable);
    if (sealed.ok()) {
      executable_ = *std::move(sealed);
    } else {
      log_warning("shims run from their file, which a privileged container could write: " + sealed.error().message());
    }
    auto found = discover_cgroups();
    if (found.ok()) {
      cgroups_ = *std::move(found);
    } else {
      log_warning("containers run without cgroups: " + found.error().message());
    }
  }

  std::variant<std::unique_ptr<PreparedSandbox>, StartFailure> prepare(const SandboxSpec& spec) override {
    auto launched = launch(spec);
    if (!launched.ok()) return failure_of(launched.error());
    Fd channel = *std::move(launched);
    auto fail = [&](StartFailure failure) {
      clean_up_after_start(*this, spec.id, spec.run_dir);
      return failure;
    };
    fault_point("shim started");
    auto packet = receive_from_shim(channel.get());
    fault_point("sandbox ready");
    if (!packet.ok()) return fail(failure_of(packet.error()));
    if (!*packet) return fail({.exit_code = 128, .message = "the container's shim ended before it was ready"});
    shim::Failed failed;
    shim::Number pid;
    if ((*packet)->type == MessageType::failed && shim::decode((*packet)->body, failed)) {
      return fail({.exit_code = failed.exit_code, .message = failed.message});
    }
    if ((*packet)->type != MessageType::ready || !shim::decode((*packet)->body, pid)) {
      return fail({.exit_code = 128, .message = "the container's shim speaks another protocol"});
    }
    auto sockets = take_sockets((*packet)->fds);
    if (!sockets.ok()) return fail(failure_of(sockets.error()));
    return std::unique_ptr<PreparedSandbox>(std::make_unique<ShimSandbox>(
        *this, std::move(channel), spec.id, spec.run_dir, static_cast<int>(pid.value), *std::move(sockets),
        cgroup_warnings(cgroups_, spec.resources)));
  }

  std::unique_ptr<ShimLink> link(EventLoop& loop, std::unique_ptr<PreparedSandbox> started,
                                 ShimLink::Handlers handlers) override {
    auto& sandbox = static_cast<ShimSandbox&>(*started);
    std::filesystem::path run_dir = sandbox.run_dir();
    return make_shim_link(loop, std::move(run_dir), sandbox.take_state(), std::move(handlers));
  }

  Result<std::unique_ptr<ShimLink>> reconnect(EventLoop& loop, const ContainerId&, const std::filesystem::path& run_dir,
                                              ShimLink::Handlers handlers) override {
    Fd channel = TRY(connect_to(run_dir));
    TRY(wait_for_shim(channel.get(), kHelloPatience));
    std::optional<ShimPacket> packet = TRY(receive_from_shim(channel.get()));
    shim::Hello hello;
    if (!packet || packet->type != MessageType::hello || !shim::decode(packet->body, hello)) {
      return not_found("no shim answers in " + run_dir.native());
    }
    ::fcntl(channel.get(), F_SETFL, ::fcntl(channel.get(), F_GETFL) | O_NONBLOCK);
    ShimState state{.channel = std::move(channel), .pid = hello.pid, .started_at = wall_time(hello.started_ns)};
    if (hello.ended != 0) state.ended = to_report(hello.exit);
    return make_shim_link(loop, run_dir, std::move(state), std::move(handlers));
  }

  Result<> clean_up(const ContainerId& id, const std::filesystem::path& run_dir) override {
    Result<> cgroups = remove_container_cgroups(cgroups_, options_.cgroup_root, id);
    if (run_dir.empty()) return cgroups;
    fault_point("cgroups removed");
    if (const auto noted = read_file(run_dir / kCgroupsName, kMaxNoted); noted.ok()) {
      Result<> elsewhere = remove_cgroup_directories(split(*noted, '\n'));
      if (cgroups.ok()) cgroups = std::move(elsewhere);
    }
    Result<> files = remove_tree(run_dir);
    fault_point("run directory removed");
    return cgroups.ok() ? std::move(files) : std::move(cgroups);
  }

  std::vector<ContainerId> with_cgroups() const override { return container_cgroups(cgroups_, options_.cgroup_root); }

  Result<bool> update(const ContainerId& id, int pid, const Resources& resources, bool privileged) override {
    return update_cgroups(cgroups_, options_.cgroup_root, id, pid, resources, privileged);
  }

  void remove_cgroup_root() override { remove_cgroup_roots(cgroups_, options_.cgroup_root); }

 private:
  Result<Fd> launch(const SandboxSpec& given) {
    std::optional<SandboxSpec> with_devices;
    if (!given.resources.device_requests.empty()) {
      with_devices = given;
      TRY(apply_device_requests(*with_devices, cdi_directories()));
    }
    const SandboxSpec& spec = with_devices ? *with_devices : given;
    shim::Launch request = TRY(make_launch(spec, cgroups_, options_.cgroup_root));
    Fd blob = TRY(make_blob(shim::encode(request)));
    std::error_code error;
    std::filesystem::create_directories(spec.run_dir.parent_path(), error);
    if (::mkdir(spec.run_dir.c_str(), 0700) != 0 && errno != EEXIST) {
      return Error::from_errno(errno, "mkdir", spec.run_dir.native());
    }
    fault_point("run directory made");
    // Where a user's cgroup_parent has put it is known to nobody but the shim; if that is killed, to this file.
    if (!spec.resources.cgroup_parent.empty()) {
      TRY(write_file(spec.run_dir / kCgroupsName, join(request.cgroup.directories, "\n"), 0600));
    }
    auto [ours, theirs] = TRY(make_socket_pair(SOCK_SEQPACKET));
    std::vector<int> fds = {blob.get()};
    std::shared_ptr<const Fd> devices;
    if (cgroups_.device_programs && !spec.privileged) {
      devices = TRY(device_programs_.of(all_device_rules(spec.resources)));
      fds.push_back(devices->get());
    }
    TRY(send_to_shim(ours.get(), shim::packet(MessageType::launch, shim::Nothing{}), fds));
    TRY(start_shim(executable_ ? "/proc/self/fd/" + std::to_string(executable_.get()) : options_.shim_executable.native(),
                   executable_.get(), theirs.get()));
    return std::move(ours);
  }

  // By the directory's descriptor: a socket's path must be shorter than 108 bytes.
  static Result<Fd> connect_to(const std::filesystem::path& run_dir) {
    Fd directory = TRY(open_file(run_dir, O_PATH | O_DIRECTORY));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = "/proc/self/fd/" + std::to_string(directory.get()) + "/" + shim::kSocketName;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    Fd channel(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!channel) return Error::from_errno(errno, "socket");
    if (::connect(channel.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      return not_found("no shim lives in " + run_dir.native() + ": " + std::strerror(errno));
    }
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(channel.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != ::geteuid()) {
      return Error(Code::forbidden, "the socket in " + run_dir.native() + " is not our shim's");
    }
    return channel;
  }

  Options options_;
  Fd executable_;  // sealed; none: the file is used
  CgroupHost cgroups_;
  DevicePrograms device_programs_;
};

}  // namespace

std::unique_ptr<Runtime> make_runtime(Runtime::Options options) {
  return std::make_unique<ShimRuntime>(std::move(options));
}

}  // namespace gantry::engine
