#include "shim/supervisor.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "shim/fault.h"

namespace gantry::shim {
namespace {

constexpr int64_t kDrainMs = 2000;  // Docker's patience for a grandchild that keeps the output open

int exit_code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

// A memfd's text.
bool read_blob(int fd, std::string& blob) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || status.st_size < 0 || static_cast<uint64_t>(status.st_size) > kMaxBlob) return false;
  blob.resize(static_cast<size_t>(status.st_size));
  size_t done = 0;
  while (done < blob.size()) {
    ssize_t n = ::pread(fd, blob.data() + done, blob.size() - done, static_cast<off_t>(done));
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

void set_nonblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

// Lets the child's program run, now or when it comes to that point.
void send_go(int channel) { (void)!::send(channel, "g", 1, MSG_NOSIGNAL); }

ChildMessage child_message(const Packet& packet, std::string_view& body) {
  return static_cast<ChildMessage>(split_packet(packet.bytes, body));
}

void list_duplicates(const std::vector<Fd>& fds, std::vector<Fd>& copies) {
  for (const Fd& fd : fds) copies.emplace_back(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
}

}  // namespace

int Supervisor::run() {
  Fd device_program;
  if (!receive_launch(device_program)) return 1;
  const bool launched = launch(std::move(device_program));
  while (launched && phase_ != Phase::gone) turn();
  streams_.log().stop_compressing();  // nobody destroys us
  return launched ? 0 : 1;
}

// ---- Launching ---------------------------------------------------------------------------------------

bool Supervisor::receive_launch(Fd& device_program) {
  Packet packet;
  if (receive_packet(daemon_.get(), packet) != Received::packet) return false;
  std::string_view body;
  std::string blob;
  launch_ = std::make_unique<Launch>();
  bool ok = split_packet(packet.bytes, body) == MessageType::launch && !packet.fds.empty() &&
            read_blob(packet.fds[0].get(), blob) && decode(blob, *launch_) && launch_->version == kProtocolVersion;
  if (!ok) {
    fail_start(128, "the shim does not understand the daemon: are they of the same version?");
    return false;
  }
  if (packet.fds.size() > 1) device_program = std::move(packet.fds[1]);
  return true;
}

bool Supervisor::launch(Fd device_program) {
  const Launch& launch = *launch_;
  run_dir_ = launch.run_dir;
  set_nonblocking(daemon_.get());
  sigset_t child_signals;
  ::sigemptyset(&child_signals);
  ::sigaddset(&child_signals, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child_signals, nullptr);
  signals_.reset(::signalfd(-1, &child_signals, SFD_CLOEXEC | SFD_NONBLOCK));

  fault_point("shim launched");
  cgroup_.set_plan(launch.cgroup);
  std::string error;
  if (!cgroup_.create(warnings_, error)) return fail_start(128, error), false;
  if (device_program && !cgroup_.attach_device_program(device_program.get())) {
    return fail_start(128, "restrict devices: " + errno_text(errno)), false;
  }
  fault_point("shim cgroup made");
  tty_ = launch.program.tty != 0;
  own_network_ = launch.network.kind == NamespaceKind::own;
  ChildStreams streams;
  if (!streams_.open(tty_, launch.program.open_stdin != 0, streams)) {
    return fail_start(128, "pipe: " + errno_text(errno)), false;
  }
  if (!launch.log_path.empty() &&
      !streams_.log().open({launch.log_path, launch.log_max_size, launch.log_max_files, launch.log_compress != 0},
                           launch.log_format, launch.log_attributes, launch.log_buffer)) {
    return fail_start(128, "open log " + launch.log_path + ": " + errno_text(errno)), false;
  }
  if (!enter_pid_namespace(launch.pid)) {
    return fail_start(128, "join the pid namespace of process " + text_of(launch.pid.pid) + ": " + errno_text(errno)),
           false;
  }
  may_be_traced_ = may_trace(launch.privileges.capabilities) || launch.pid.kind == NamespaceKind::of_process;
  init_ = start_container(launch, std::move(streams), cgroup_.unified().get(), may_be_traced_);
  if (init_.pid < 0) return fail_start(128, "clone3: " + errno_text(errno)), false;
  fault_point("shim child cloned");
  set_nonblocking(init_.channel.get());
  // The child is mounting; what it does not need before its program runs is done beside it.
  if (!open_listener(run_dir_)) return fail_start(128, "socket in " + run_dir_ + ": " + errno_text(errno)), false;
  if (launch.privileges.oom_score_adj != 0 &&
      !write_file("/proc/" + text_of(init_.pid) + "/oom_score_adj", text_of(launch.privileges.oom_score_adj))) {
    warnings_.push_back("oom_score_adj " + text_of(launch.privileges.oom_score_adj) +
                        " was not set: " + errno_text(errno));
  }
  fault_point("shim listening");
  if (!own_network_) send_sockets(MessageType::ready, init_.pid);
  return true;
}

bool Supervisor::enter_pid_namespace(const Namespace& choice) {
  if (choice.kind != NamespaceKind::of_process) {
    children_in_pid_namespace_ = choice.kind == NamespaceKind::host;
    return true;
  }
  Fd fd(::open(("/proc/" + text_of(choice.pid) + "/ns/pid").c_str(), O_RDONLY | O_CLOEXEC));
  children_in_pid_namespace_ = fd && ::setns(fd.get(), CLONE_NEWPID) == 0;  // of our children, not of ourselves
  return children_in_pid_namespace_;
}

bool Supervisor::open_listener(const std::string& run_dir) {
  // By the directory's descriptor: a socket's path must be shorter than 108 bytes.
  Fd directory(::open(run_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = "/proc/self/fd/" + text_of(directory.get()) + "/" + kSocketName;
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ::unlink(address.sun_path);
  listener_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return listener_ && ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
         ::listen(listener_.get(), 4) == 0;
}

// Undoes everything, then says why: who hears of a failure may try again at once.
void Supervisor::fail_start(int exit_code, const std::string& message) {
  if (init_.pid > 0) {
    ::kill(init_.pid, SIGKILL);
    while (::waitpid(init_.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    init_.pid = -1;
  }
  cgroup_.destroy();
  if (!run_dir_.empty()) {
    ::unlink((run_dir_ + "/" + kSocketName).c_str());
    ::rmdir(run_dir_.c_str());  // the daemon does it, too, but it may have died
  }
  if (daemon_) {
    ::fcntl(daemon_.get(), F_SETFL, ::fcntl(daemon_.get(), F_GETFL) & ~O_NONBLOCK);
    Failed failed{.exit_code = exit_code, .message = message};
    send_packet(daemon_.get(), packet(MessageType::failed, failed));
  }
  phase_ = Phase::gone;
}

// ---- The loop ----------------------------------------------------------------------------------------

int Supervisor::timeout_ms() {
  int64_t timeout = streams_.timeout_ms();
  if (phase_ == Phase::draining) {
    int64_t left = drain_until_ms_ - mono_ms();
    if (left < 0) left = 0;
    if (timeout < 0 || left < timeout) timeout = left;
  }
  return static_cast<int>(timeout);
}

void Supervisor::turn() {
  std::vector<pollfd> polls;
  polls.push_back({signals_.get(), POLLIN, 0});
  polls.push_back({listener_.get(), POLLIN, 0});
  polls.push_back({daemon_.get(), static_cast<short>(POLLIN | (outgoing_.empty() ? 0 : POLLOUT)), 0});
  polls.push_back({init_.channel.get(), POLLIN, 0});
  size_t first_exec = polls.size();
  size_t exec_count = execs_.size();
  for (const auto& exec : execs_) polls.push_back({exec->child.channel.get(), POLLIN, 0});
  size_t first_stream = polls.size();
  streams_.want(polls);
  if (::poll(polls.data(), polls.size(), timeout_ms()) < 0) return;

  streams_.handle(polls.data() + first_stream);
  for (size_t i = 0; i < exec_count; ++i) {
    if (polls[first_exec + i].revents != 0) read_exec(*execs_[i]);
  }
  if (polls[3].revents != 0) read_child();
  if (phase_ != Phase::gone && polls[0].revents != 0) reap();
  if (phase_ != Phase::gone && (polls[2].revents & POLLOUT) != 0) flush_outgoing();
  if (phase_ != Phase::gone && (polls[2].revents & ~POLLOUT) != 0) read_daemon();
  if (phase_ != Phase::gone && polls[1].revents != 0) accept_daemon();
  drop_ended_execs();
  if (phase_ == Phase::draining && (streams_.output_ended() || mono_ms() >= drain_until_ms_)) finish_end();
  // What there is to tell lies in the run directory: nobody has to come for it. (Nobody may ever come: a daemon that was
  // killed while it made this container does not know it any more, and the next one only removes what is left.)
  const bool is_told = released_ || (!daemon_ && reported_);
  if (phase_ == Phase::ended && is_told && streams_.clients_gone()) phase_ = Phase::gone;
}

void Supervisor::accept_daemon() {
  Fd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  ucred peer{};
  socklen_t size = sizeof peer;
  if (!connection || ::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      peer.uid != ::geteuid()) {
    return;
  }
  outgoing_.clear();  // meant for somebody else; what matters is in the greeting
  daemon_ = std::move(connection);
  Hello hello{.pid = init_.pid, .started_ns = started_ns_, .tty = tty_, .ended = phase_ == Phase::ended, .exit = exit_};
  send(MessageType::hello, packet(MessageType::hello, hello));
}

void Supervisor::read_daemon() {
  Packet packet;
  for (;;) {
    switch (receive_packet(daemon_.get(), packet)) {
      case Received::nothing:
        return;
      case Received::end:
        return lose_daemon();
      case Received::packet:
        std::string_view body;
        MessageType type = split_packet(packet.bytes, body);
        handle(type, body, packet.fds);
        if (phase_ == Phase::gone || !daemon_) return;
    }
  }
}

void Supervisor::lose_daemon() {
  outgoing_.clear();
  // Our end stays open meanwhile: that it closes tells a daemon that is there still that everything is undone.
  if (phase_ == Phase::starting && !go_) fail_start(128, "the daemon left");
  daemon_.reset();
}

void Supervisor::handle(MessageType type, std::string_view body, std::vector<Fd>& fds) {
  Number number;
  Size size;
  Attach attach;
  NamedNumber named;
  SmallExec small;
  switch (type) {
    case MessageType::go:
      go_ = true;
      return maybe_go();
    case MessageType::signal:
      if (decode(body, number)) signal_container(static_cast<int>(number.value));
      return;
    case MessageType::kill_all:
      signal_container(SIGKILL);
      if (phase_ == Phase::running || phase_ == Phase::draining) cgroup_.kill_all();
      return;
    case MessageType::pause:
      return answer(phase_ == Phase::running && cgroup_.freeze(true), "freeze the processes");
    case MessageType::unpause:
      return answer(phase_ == Phase::running && cgroup_.freeze(false), "thaw the processes");
    case MessageType::resize:
      if (decode(body, size)) streams_.resize(size.rows, size.columns);
      return;
    case MessageType::attach:
      if (decode(body, attach) && !fds.empty()) streams_.attach(std::move(fds[0]), attach.close_stdin_at_end != 0);
      return;
    case MessageType::exec:
      return read_exec_request(body, fds);
    case MessageType::small_exec:
      if (decode(body, small)) begin_exec(small.id, std::move(small.exec));
      return;
    case MessageType::exec_signal:
      if (!decode(body, named)) return;
      for (const auto& exec : execs_) {
        if (exec->id == named.id && exec->child.pid > 0) ::kill(exec->child.pid, static_cast<int>(named.value));
      }
      return;
    case MessageType::sockets:
      return send_sockets(MessageType::sockets_are, init_.pid);
    case MessageType::release:
      released_ = phase_ == Phase::ended;
      if (released_) daemon_.reset();
      return;
    default:
      return;
  }
}

void Supervisor::send(MessageType, const std::string& bytes, std::vector<Fd> fds) {
  if (!daemon_) return;
  outgoing_.push_back({bytes, std::move(fds)});
  flush_outgoing();
}

void Supervisor::flush_outgoing() {
  while (!outgoing_.empty()) {
    Outgoing& next = outgoing_.front();
    int fds[kMaxDescriptors];
    size_t count = 0;
    for (const Fd& fd : next.fds) fds[count++] = fd.get();
    if (!send_packet(daemon_.get(), next.bytes, fds, count) && errno == EAGAIN) return;
    outgoing_.erase(outgoing_.begin());  // a lost connection shows when it is read
  }
}

void Supervisor::answer(bool ok, const char* what) {
  int error = errno;
  Failed reply{.exit_code = ok ? 0 : 128};
  if (!ok) reply.message = phase_ == Phase::running ? std::string(what) + ": " + errno_text(error) : "it is not running";
  send(MessageType::done, packet(MessageType::done, reply));
}

// ---- The container -----------------------------------------------------------------------------------

void Supervisor::send_sockets(MessageType type, int64_t pid) {
  std::vector<Fd> copies;
  list_duplicates(sockets_, copies);
  send(type, packet(type, Number{.value = pid}), std::move(copies));
}

void Supervisor::read_child() {
  Packet message;
  while (init_.channel) {
    switch (receive_packet(init_.channel.get(), message)) {
      case Received::nothing:
        return;
      case Received::end:
        init_.channel.reset();
        // The descriptor closes at exec; before our word it can only have died.
        if (go_ && prepared_) return note_started();
        return fail_start(128, "the container's first process was killed while its sandbox was built");
      case Received::packet:
        break;
    }
    std::string_view body;
    Failed text;
    switch (child_message(message, body)) {
      case ChildMessage::sockets:
        sockets_ = std::move(message.fds);
        send_sockets(MessageType::ready, init_.pid);
        break;
      case ChildMessage::terminal:
        if (!message.fds.empty()) streams_.set_terminal(std::move(message.fds[0]));
        break;
      case ChildMessage::root:
        if (!message.fds.empty()) root_ = std::move(message.fds[0]);
        break;
      case ChildMessage::warning:
        if (decode(body, text)) warnings_.push_back(text.message);
        break;
      case ChildMessage::prepared:
        prepared_ = true;
        maybe_go();
        break;
      case ChildMessage::failed:
        if (!decode(body, text)) text = {.exit_code = 128, .message = "the start failed"};
        return fail_start(text.exit_code, text.message);
    }
  }
}

void Supervisor::maybe_go() {
  if (phase_ == Phase::starting && go_ && prepared_ && init_.channel) send_go(init_.channel.get());
}

void Supervisor::note_started() {
  phase_ = Phase::running;
  init_.memory.reset();
  privileges_ = std::move(launch_->privileges);
  launch_.reset();
  started_ns_ = wall_ns();
  fault_point("shim program started");
  Started started{.at_ns = started_ns_, .warnings = std::move(warnings_)};
  send(MessageType::started, packet(MessageType::started, started));
}

void Supervisor::signal_container(int number) {
  // Until it is reaped, in reap(), the pid cannot be anybody else's.
  if (phase_ == Phase::running) ::kill(init_.pid, number);
}

void Supervisor::reap() {
  signalfd_siginfo info[4];
  while (::read(signals_.get(), info, sizeof info) > 0) {
  }
  for (;;) {
    int status = 0;
    pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    if (pid == init_.pid) {
      init_.pid = -1;
      read_child();  // its last words came before
      if (phase_ == Phase::running) on_end(status);
      if (phase_ == Phase::gone) return;
      continue;
    }
    for (auto& exec : execs_) {
      if (exec->child.pid == pid) end_exec(*exec, status);
    }
  }
}

void Supervisor::on_end(int status) {
  phase_ = Phase::draining;
  fault_point("shim program ended");
  exit_.code = exit_code_of(status);
  exit_.at_ns = wall_ns();
  drain_until_ms_ = mono_ms() + kDrainMs;
  streams_.begin_drain();
}

void Supervisor::finish_end() {
  streams_.finish();
  exit_.oom_killed = cgroup_.oom_killed();
  fault_point("shim log drained");
  // Not all are in the container's pid namespace, and one that has just been made may not be in its cgroups yet.
  for (const auto& exec : execs_) {
    if (exec->child.pid > 0) ::kill(exec->child.pid, SIGKILL);
  }
  cgroup_.destroy();
  fault_point("shim cgroup removed");
  sockets_.clear();
  init_pidfd_.reset();
  // On disk before anybody is told: a daemon that comes when this shim has been killed still finds it.
  std::string report =
      text_of(exit_.code) + " " + text_of(exit_.at_ns) + " " + text_of(exit_.oom_killed) + "\n";
  reported_ = write_file(run_dir_ + "/" + kReportName, report, O_CREAT | O_TRUNC) || errno == ENOENT;
  fault_point("shim reported");
  phase_ = Phase::ended;
  send(MessageType::exited, packet(MessageType::exited, exit_));
}

// ---- Execs -------------------------------------------------------------------------------------------

void Supervisor::refuse_exec(const std::string& id, int exit_code, const std::string& message) {
  ExecFailed failed{.id = id, .failure = {.exit_code = exit_code, .message = message}};
  send(MessageType::exec_failed, packet(MessageType::exec_failed, failed));
}

void Supervisor::read_exec_request(std::string_view body, std::vector<Fd>& fds) {
  Named named;
  Exec request;
  std::string blob;
  if (!decode(body, named)) return;
  if (fds.empty() || !read_blob(fds[0].get(), blob) || !decode(blob, request)) {
    return refuse_exec(named.id, 128, "bad exec request");
  }
  begin_exec(named.id, std::move(request));
}

void Supervisor::begin_exec(const std::string& id, Exec request) {
  auto refuse = [&](int exit_code, const std::string& message) { refuse_exec(id, exit_code, message); };
  if (phase_ != Phase::running) return refuse(128, "it is not running");
  if (!init_pidfd_) init_pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, init_.pid, 0)));  // not reaped: it is there
  if (!init_pidfd_) return refuse(128, "pidfd_open: " + errno_text(errno));
  if (!children_in_pid_namespace_) {
    if (::setns(init_pidfd_.get(), CLONE_NEWPID) != 0) return refuse(128, "join pid namespace: " + errno_text(errno));
    children_in_pid_namespace_ = true;
  }

  auto exec = std::make_unique<ExecProcess>();
  exec->id = id;
  ChildStreams streams;
  if (request.program.tty == 0 && request.detached == 0) {
    auto open_pipe = [&](Fd& theirs, bool they_read) {
      int ends[2];
      if (::pipe2(ends, O_CLOEXEC) != 0) return false;
      theirs.reset(ends[they_read ? 0 : 1]);
      exec->daemon_ends.emplace_back(ends[they_read ? 1 : 0]);
      return true;
    };
    bool ok = (request.program.open_stdin == 0 || open_pipe(streams.in, true)) && open_pipe(streams.out, false) &&
              open_pipe(streams.err, false);
    if (!ok) return refuse(128, "pipe: " + errno_text(errno));
  }
  exec->request = std::move(request);
  may_be_traced_ = may_be_traced_ || may_trace(exec->request.privileged_capabilities);
  exec->child = start_exec(exec->request, privileges_, cgroup_.plan(), init_pidfd_.get(), root_.get(), std::move(streams),
                           cgroup_.unified().get(), may_be_traced_, std::move(spare_memory_));
  if (exec->child.pid < 0) return refuse(128, "clone3: " + errno_text(errno));
  fault_point("shim exec cloned");
  send_go(exec->child.channel.get());
  set_nonblocking(exec->child.channel.get());
  execs_.push_back(std::move(exec));
}

void Supervisor::read_exec(ExecProcess& exec) {
  Packet message;
  while (exec.child.channel) {
    Received received = receive_packet(exec.child.channel.get(), message);
    if (received == Received::nothing) return;
    if (received == Received::end) {
      exec.child.channel.reset();
      exec.child.memory->clear();
      spare_memory_ = std::move(exec.child.memory);
      if (exec.failed) return;
      exec.started = true;
      NamedNumber started{.id = exec.id, .value = exec.child.pid};
      send(MessageType::exec_started, packet(MessageType::exec_started, started), std::move(exec.daemon_ends));
      exec.daemon_ends.clear();
      return;
    }
    std::string_view body;
    ExecFailed failed{.id = exec.id};
    switch (child_message(message, body)) {
      case ChildMessage::terminal:
        if (message.fds.empty()) break;
        exec.daemon_ends.emplace_back(::fcntl(message.fds[0].get(), F_DUPFD_CLOEXEC, 3));
        exec.daemon_ends.push_back(std::move(message.fds[0]));
        break;
      case ChildMessage::failed:
        if (exec.failed || !decode(body, failed.failure)) break;
        exec.failed = true;
        send(MessageType::exec_failed, packet(MessageType::exec_failed, failed));
        break;
      case ChildMessage::sockets:
      case ChildMessage::root:
      case ChildMessage::warning:
      case ChildMessage::prepared:
        break;
    }
  }
}

void Supervisor::end_exec(ExecProcess& exec, int status) {
  read_exec(exec);
  exec.child.pid = -1;
  if (!exec.started) return;
  ExecExit ended{.id = exec.id, .exit = {.code = exit_code_of(status), .at_ns = wall_ns()}};
  send(MessageType::exec_exited, packet(MessageType::exec_exited, ended));
}

void Supervisor::drop_ended_execs() {
  for (size_t i = 0; i < execs_.size();) {
    if (execs_[i]->child.pid < 0) {
      execs_.erase(execs_.begin() + static_cast<ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

}  // namespace gantry::shim
