#include "engine/container/shim_link.h"

#include <sys/socket.h>

#include <cerrno>
#include <deque>

#include "base/log.h"
#include "base/remove_tree.h"
#include "engine/container/launch.h"
#include "engine/container/privileges.h"

namespace gantry::engine {
namespace {

using shim::MessageType;
using std::chrono_literals::operator""s;

// What pause, unpause and the sockets take is far below this; a shim that is silent for so long is stopped or gone.
constexpr auto kPatience = 5s;

class SocketShimLink final : public ShimLink {
 public:
  SocketShimLink(EventLoop& loop, std::filesystem::path run_dir, ShimState state, Handlers handlers)
      : self_(std::make_shared<SocketShimLink*>(this)),
        loop_(loop),
        run_dir_(std::move(run_dir)),
        state_(std::move(state)),
        handlers_(std::move(handlers)) {
    watcher_ = std::make_unique<FdWatcher>(loop_, state_.channel.get(), FdWatcher::readable, [this](int) { read(); });
    if (state_.ended) {
      later([](SocketShimLink& link) { link.on_exit(*link.state_.ended); });
    }
  }

  int pid() const override { return state_.pid; }
  WallTime started_at() const override { return state_.started_at; }

  Result<> signal(int number) override { return tell(MessageType::signal, shim::Number{.value = number}); }
  Result<> kill_all() override { return tell(MessageType::kill_all, shim::Nothing{}); }
  Result<> pause() override { return ask_done(MessageType::pause); }
  Result<> unpause() override { return ask_done(MessageType::unpause); }
  Result<> resize(uint16_t rows, uint16_t columns) override {
    return tell(MessageType::resize, shim::Size{.rows = rows, .columns = columns});
  }

  void exec(ExecId id, ExecSpec spec, Function<void(std::variant<ExecStreams, StartFailure>)> started) override {
    shim::Exec request{.program = make_program(spec.process), .detached = spec.detached};
    Result<> sent = [&]() -> Result<> {
      if (spec.process.privileged) request.privileged_capabilities = TRY(capability_mask({}, {}, true));
      if (state_.same_version) {
        const shim::SmallExec small{.id = id.str(), .exec = request};
        const std::string packet = shim::packet(MessageType::small_exec, small);
        if (packet.size() <= shim::kMaxSmallExec) return send(packet);
      }
      Fd blob = TRY(make_blob(shim::encode(request)));
      return send(shim::packet(MessageType::exec, shim::Named{.id = id.str()}), {blob.get()});
    }();
    if (!sent.ok()) {
      loop_.post([started = std::move(started), message = sent.error().message()]() mutable {
        started(StartFailure{.exit_code = 128, .message = message});
      });
      return;
    }
    execs_[id] = {.started = std::move(started), .tty = spec.process.tty, .open_stdin = spec.process.open_stdin,
                  .detached = spec.detached};
  }

  Result<> signal_exec(ExecId id, int number) override {
    return tell(MessageType::exec_signal, shim::NamedNumber{.id = id.str(), .value = number});
  }

  Result<int> exec_pid(ExecId id) override {
    auto at = execs_.find(id);
    if (at == execs_.end() || at->second.pid == 0) return not_found("No such exec instance: " + id.str());
    return at->second.pid;
  }

  Result<Fd> attach(bool close_stdin_at_end) override {
    auto [ours, theirs] = TRY(make_socket_pair(SOCK_STREAM));
    TRY(send(shim::packet(MessageType::attach, shim::Attach{.close_stdin_at_end = close_stdin_at_end}), {theirs.get()}));
    return std::move(ours);
  }

  Result<NetnsSockets> netns_sockets() override {
    TRY(tell(MessageType::sockets, shim::Nothing{}));
    ShimPacket answer = TRY(wait_for(MessageType::sockets_are));
    return take_sockets(answer.fds);
  }

  void retire() override {
    retired_ = true;
    watcher_.reset();
    (void)remove_tree(run_dir_).ok();
  }

  void release() override {
    if (state_.channel) (void)tell(MessageType::release, shim::Nothing{}).ok();  // it may have gone already
    if (!retired_) retire();
    state_.channel.reset();
  }

 private:
  struct Exec {
    Function<void(std::variant<ExecStreams, StartFailure>)> started;
    bool tty = false;
    bool open_stdin = false;
    bool detached = false;
    int pid = 0;
  };

  // Runs `action` from the loop, unless this object is gone by then.
  void later(Function<void(SocketShimLink&)> action) {
    loop_.post([weak = std::weak_ptr(self_), action = std::move(action)]() mutable {
      if (auto self = weak.lock()) action(**self);
    });
  }

  Result<> send(const std::string& packet, const std::vector<int>& fds = {}) {
    if (!state_.channel) return Error(Code::unavailable, "the container's shim is gone");
    return send_to_shim(state_.channel.get(), packet, fds);
  }
  template <class Body>
  Result<> tell(MessageType type, const Body& body) {
    return send(shim::packet(type, body));
  }

  Result<> ask_done(MessageType type) {
    TRY(tell(type, shim::Nothing{}));
    ShimPacket answer = TRY(wait_for(MessageType::done));
    shim::Failed done;
    if (!shim::decode(answer.body, done)) return internal_error("the container's shim speaks another protocol");
    if (done.exit_code != 0) return internal_error(done.message);
    return {};
  }

  // What comes in between is kept for the loop's next turn.
  Result<ShimPacket> wait_for(MessageType type) {
    for (;;) {
      TRY(wait_for_shim(state_.channel.get(), kPatience));
      std::optional<ShimPacket> packet = TRY(receive_from_shim(state_.channel.get()));
      if (!packet) {
        later([](SocketShimLink& link) { link.read(); });
        return Error(Code::unavailable, "the container's shim is gone");
      }
      if (packet->type == type) return *std::move(packet);
      pending_.push_back(*std::move(packet));
      later([](SocketShimLink& link) { link.handle_pending(); });
    }
  }

  void handle_pending() {
    std::weak_ptr<SocketShimLink*> alive = self_;
    while (!alive.expired() && !pending_.empty()) {
      ShimPacket packet = std::move(pending_.front());
      pending_.pop_front();
      handle(std::move(packet));
    }
  }

  // Everything that is there. A handler may destroy this object.
  void read() {
    std::weak_ptr<SocketShimLink*> alive = self_;
    handle_pending();
    while (!alive.expired() && state_.channel) {
      Result<std::optional<ShimPacket>> packet = receive_from_shim(state_.channel.get());
      if (!packet.ok() && packet.error().errno_value() == EAGAIN) return;
      if (!packet.ok() || !*packet) return on_hang_up();
      handle(*std::move(*packet));
    }
  }

  void handle(ShimPacket packet) {
    shim::Exit exit;
    shim::NamedNumber named;
    shim::ExecFailed failed;
    shim::ExecExit exec_exit;
    switch (packet.type) {
      case MessageType::exited:
        if (shim::decode(packet.body, exit)) on_exit(to_report(exit));
        return;
      case MessageType::exec_started:
        if (shim::decode(packet.body, named)) on_exec_started(ExecId(named.id), static_cast<int>(named.value), packet.fds);
        return;
      case MessageType::exec_failed:
        if (shim::decode(packet.body, failed)) on_exec_failed(failed);
        return;
      case MessageType::exec_exited:
        if (!shim::decode(packet.body, exec_exit)) return;
        execs_.erase(ExecId(exec_exit.id));
        if (handlers_.exec_exited) handlers_.exec_exited(ExecId(exec_exit.id), to_report(exec_exit.exit));
        return;
      default:
        return;  // an answer that nobody waits for any more
    }
  }

  void on_exec_started(const ExecId& id, int pid, std::vector<Fd>& fds) {
    auto at = execs_.find(id);
    if (at == execs_.end()) return;
    at->second.pid = pid;
    const size_t expected = at->second.tty ? 2 : at->second.detached ? 0 : at->second.open_stdin ? 3 : 2;
    auto started = std::move(at->second.started);
    if (fds.size() != expected) {
      started(StartFailure{.exit_code = 128, .message = "the shim sent a wrong number of streams"});
      return;
    }
    ExecStreams streams;
    if (at->second.tty) {
      streams.stdout_read = std::move(fds[0]);
      streams.terminal = std::move(fds[1]);
    } else if (!at->second.detached) {
      size_t next = 0;
      if (at->second.open_stdin) streams.stdin_write = std::move(fds[next++]);
      streams.stdout_read = std::move(fds[next++]);
      streams.stderr_read = std::move(fds[next]);
    }
    started(std::move(streams));
  }

  void on_exec_failed(const shim::ExecFailed& failed) {
    auto at = execs_.find(ExecId(failed.id));
    if (at == execs_.end()) return;
    auto started = std::move(at->second.started);
    execs_.erase(at);
    if (started) started(StartFailure{.exit_code = failed.failure.exit_code, .message = failed.failure.message});
  }

  void on_exit(ExitReport report) {
    exited_ = true;
    if (handlers_.exited) handlers_.exited(report);
  }

  void on_hang_up() {
    watcher_.reset();
    state_.channel.reset();
    if (retired_ || exited_) return;
    if (handlers_.lost) handlers_.lost();
  }

  std::shared_ptr<SocketShimLink*> self_;  // its end tells later() and read() that this object is gone
  EventLoop& loop_;
  std::filesystem::path run_dir_;
  ShimState state_;
  Handlers handlers_;
  std::unique_ptr<FdWatcher> watcher_;
  std::map<ExecId, Exec> execs_;
  std::deque<ShimPacket> pending_;
  bool exited_ = false;
  bool retired_ = false;
};

}  // namespace

std::unique_ptr<ShimLink> make_shim_link(EventLoop& loop, std::filesystem::path run_dir, ShimState state,
                                         ShimLink::Handlers handlers) {
  return std::make_unique<SocketShimLink>(loop, std::move(run_dir), std::move(state), std::move(handlers));
}

}  // namespace gantry::engine
