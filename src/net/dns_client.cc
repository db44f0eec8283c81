#include "net/dns_client.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/check.h"
#include "base/log.h"
#include "base/rights.h"
#include "base/scope_exit.h"
#include "base/strings.h"

namespace gantry::net {
namespace {

// A service that dies this often is not started again until the daemon is: something is wrong with what it is told.
constexpr int kMostDeaths = 20;
// How long it may take to read or to answer; it never does anything that blocks.
constexpr timeval kPatience{.tv_sec = 5, .tv_usec = 0};

Result<Fd> connect_socket(int run_directory) {
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno(errno, "open socket");
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  sockaddr_un address = dns_socket_address(run_directory);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return Error::from_errno(errno, "connect to the name service");
  }
  return fd;
}

constexpr size_t kMostDescriptors = 3;

Result<> send_message(int socket, const std::string& message, const std::vector<int>& fds) {
  iovec part{.iov_base = const_cast<char*>(message.data()), .iov_len = message.size()};
  msghdr header{.msg_iov = &part, .msg_iovlen = 1};
  DescriptorRoom<kMostDescriptors> room;
  room.send(header, fds);
  for (;;) {
    if (::sendmsg(socket, &header, MSG_NOSIGNAL) >= 0) return {};
    if (errno != EINTR) return Error::from_errno(errno, "send to the name service");
  }
}

}  // namespace

std::unique_ptr<NameService> make_name_service(NameService::Options options) {
  return std::make_unique<DnsClient>(std::move(options));
}

DnsClient::~DnsClient() { disconnect(); }

Result<> DnsClient::start_process() {
  Pipe errors = TRY(make_pipe());
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  ScopeExit release([&] {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  });
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&actions, errors.write.get(), STDERR_FILENO);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::string executable = options_.dns_executable;
  std::string run_dir = options_.run_dir;
  char* arguments[] = {executable.data(), run_dir.data(), nullptr};
  char* environment[] = {nullptr};
  pid_t pid = 0;
  int failed = ::posix_spawn(&pid, executable.c_str(), &actions, &attributes, arguments, environment);
  if (failed != 0) return Error::from_errno(failed, "start the name service", executable);
  errors.write.reset();
  // It goes into the background when its socket listens, and closes its end of the pipe then.
  std::string said = read_all(errors.read.get(), 65536).value_or("");
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return internal_error("name service " + executable + " did not start: " +
                        (said.empty() ? "status " + std::to_string(status) : std::string(trim(said))));
}

Result<uint32_t> DnsClient::ask_version(int socket, DnsCommand command) {
  TRY(send_message(socket, encode_dns_request({.command = command}), {}));
  char buffer[64];
  ssize_t got = ::recv(socket, buffer, sizeof buffer, 0);
  if (got < 0) return Error::from_errno(errno, "wait for the name service");
  auto version = parse_unsigned(std::string_view(buffer, static_cast<size_t>(got)));
  if (!version) return Error(Code::unavailable, "the name service hung up");
  return static_cast<uint32_t>(*version);
}

// With the lock held, so that nobody else starts one, and the one that runs does not end at this moment.
Result<Fd> DnsClient::reach_or_start(int run_directory) {
  auto socket = connect_socket(run_directory);
  if (socket.ok()) {
    auto version = ask_version(socket->get(), DnsCommand::hello);
    if (version.ok() && *version == kDnsProtocolVersion) return socket;
    // An older or newer one, after an upgrade: it makes room, and its clients come to the new one.
    (void)send_message(socket->get(), encode_dns_request({.command = DnsCommand::quit}), {});
    char nothing;
    (void)::recv(socket->get(), &nothing, 1, 0);  // it hangs up when its socket's name is free
  }
  TRY(start_process());
  Fd fresh = TRY(connect_socket(run_directory));
  TRY(ask_version(fresh.get(), DnsCommand::hello));
  return fresh;
}

Result<> DnsClient::open_connection() {
  if (::mkdir(options_.run_dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error::from_errno(errno, "make directory", options_.run_dir);
  }
  Fd run_directory = TRY(open_file(options_.run_dir, O_PATH | O_DIRECTORY));
  Fd lock = TRY(open_at(run_directory.get(), kDnsLockName, O_RDWR | O_CREAT, 0600));
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return Error::from_errno(errno, "lock", options_.run_dir + "/" + kDnsLockName);
  }
  socket_ = TRY(reach_or_start(run_directory.get()));
  return {};
}

Result<> DnsClient::connect() {
  std::unique_lock lock(mutex_);
  connected_ = true;
  synchronising_ = true;
  deaths_ = 0;
  clients_.clear();
  records_.clear();
  carried_.clear();
  TRY(open_connection());
  if (!watcher_.joinable()) {
    wake_watcher_ = Fd(::eventfd(0, EFD_CLOEXEC));
    if (!wake_watcher_) return Error::from_errno(errno, "eventfd");
    watcher_ = std::thread([this] { watch(); });
  }
  return {};
}

std::vector<int> DnsClient::descriptors_of(const Told& told) {
  std::vector<int> fds{told.udp.get(), told.tcp.get()};
  if (told.netns) fds.push_back(told.netns.get());
  return fds;
}

std::vector<int> DnsClient::descriptors_of(const Carried& carried) {
  return carried.socket ? std::vector<int>{carried.socket.get()} : std::vector<int>{};
}

Result<> DnsClient::send_one(const DnsRequest& request, const std::vector<int>& descriptors) {
  if (!socket_) return Error(Code::unavailable, "not connected to the name service");
  std::string message = encode_dns_request(request);
  if (message.size() > kMaxDnsRequest) return invalid("too many names for the name service: " + request.key);
  auto sent = send_message(socket_.get(), message, descriptors);
  if (sent.ok() || sent.error().errno_value() != ETOOMANYREFS) return sent;
  // Too many descriptors are on their way for this user's limit: let the service take them first.
  TRY(ask_version(socket_.get(), DnsCommand::synchronised));
  return send_message(socket_.get(), message, descriptors);
}

Result<> DnsClient::tell(const DnsRequest& request, const std::vector<int>& descriptors) {
  auto told = send_one(request, descriptors);
  if (told.ok() || told.error().code() == Code::invalid) return told;
  if (!connected_) return told;
  return recover();  // which tells everything, this too
}

Result<> DnsClient::tell_everything() {
  // Names first: a client's queries may be waiting in its socket, and are answered as soon as that is there.
  for (const auto& [key, record] : records_) {
    TRY(send_one({.command = DnsCommand::publish, .key = key, .record = record}));
  }
  for (const auto& [id, told] : clients_) {
    TRY(send_one({.command = DnsCommand::add_client, .client = told.client}, descriptors_of(told)));
  }
  for (const auto& [key, carried] : carried_) {
    TRY(send_one({.command = DnsCommand::carry, .forwards = {carried.forward}}, descriptors_of(carried)));
  }
  return {};
}

Result<> DnsClient::recover() {
  socket_.reset();
  if (++deaths_ > kMostDeaths) {
    return Error(Code::unavailable, "the name service died " + std::to_string(kMostDeaths) +
                                        " times; names do not resolve until the daemon is restarted");
  }
  log_warning("the name service ended unexpectedly: starting it again");
  TRY(open_connection());
  TRY(tell_everything());
  // While a daemon tells what it found, it must not yet be taken for all.
  if (!synchronising_) TRY(ask_version(socket_.get(), DnsCommand::synchronised));
  return {};
}

Result<> DnsClient::synchronised() {
  std::lock_guard lock(mutex_);
  synchronising_ = false;
  if (!socket_) return recover();
  auto done = ask_version(socket_.get(), DnsCommand::synchronised);
  if (!done.ok()) return recover();
  return {};
}

Result<> DnsClient::add_client(const Client& client, Fd udp, Fd tcp, Fd netns) {
  std::lock_guard lock(mutex_);
  Told& told = clients_[client.id];
  told = {.client = client, .udp = std::move(udp), .tcp = std::move(tcp), .netns = std::move(netns)};
  auto done = tell({.command = DnsCommand::add_client, .client = client}, descriptors_of(told));
  if (!done.ok()) clients_.erase(client.id);
  return done;
}

Result<> DnsClient::update_client(const Client& client) {
  std::lock_guard lock(mutex_);
  auto at = clients_.find(client.id);
  if (at == clients_.end()) return not_found("no client " + client.id + " of the name service");
  at->second.client = client;
  return tell({.command = DnsCommand::update_client, .client = client});
}

Result<> DnsClient::remove_client(const std::string& id) {
  std::lock_guard lock(mutex_);
  clients_.erase(id);
  return tell({.command = DnsCommand::remove_client, .client = {.id = id}});
}

Result<> DnsClient::publish(const std::string& endpoint_key, const NameRecord& record) {
  std::lock_guard lock(mutex_);
  records_.insert_or_assign(endpoint_key, record);
  auto done = tell({.command = DnsCommand::publish, .key = endpoint_key, .record = record});
  if (!done.ok()) records_.erase(endpoint_key);
  return done;
}

Result<> DnsClient::withdraw(const std::string& endpoint_key) {
  std::lock_guard lock(mutex_);
  records_.erase(endpoint_key);
  return tell({.command = DnsCommand::withdraw, .key = endpoint_key});
}

Result<> DnsClient::carry(const UserForward& forward, int socket) {
  std::lock_guard lock(mutex_);
  Carried& carried = carried_[forward.key()];
  carried.forward = forward;
  if (socket >= 0) {
    carried.socket = Fd(::fcntl(socket, F_DUPFD_CLOEXEC, 0));
    if (!carried.socket) return Error::from_errno(errno, "copy the socket of port", forward.key());
  }
  auto done = tell({.command = DnsCommand::carry, .forwards = {forward}}, descriptors_of(carried));
  if (!done.ok()) carried_.erase(forward.key());
  return done;
}

Result<> DnsClient::stop_carrying(const std::vector<UserForward>& forwards) {
  if (forwards.empty()) return {};
  std::lock_guard lock(mutex_);
  for (const UserForward& forward : forwards) carried_.erase(forward.key());
  auto sent = send_one({.command = DnsCommand::stop_carrying, .forwards = forwards});
  // A service that died carries nothing, and its successor is not told of these.
  if (!sent.ok()) return connected_ ? recover() : Result<>();
  char version[64];
  if (::recv(socket_.get(), version, sizeof version, 0) < 0) return Error::from_errno(errno, "wait for the name service");
  return {};
}

// The service's end, or ours.
void DnsClient::watch() {
  for (;;) {
    int socket;
    {
      std::lock_guard lock(mutex_);
      if (!connected_) return;
      socket = socket_.get();
    }
    pollfd waiting[] = {{socket, POLLRDHUP, 0}, {wake_watcher_.get(), POLLIN, 0}};
    if (::poll(waiting, 2, -1) < 0) continue;
    if (waiting[1].revents != 0) return;
    std::lock_guard lock(mutex_);
    // A caller may have noticed first; then this is another socket, under the same number or not.
    if (!connected_) return;
    char byte;
    bool ended = socket_ && ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    if (socket_ && !ended) continue;
    auto done = recover();
    if (!done.ok()) {
      log_error("containers cannot resolve names: " + done.error().message());
      return;
    }
  }
}

void DnsClient::stop_watching() {
  if (!watcher_.joinable()) return;
  uint64_t one = 1;
  (void)!::write(wake_watcher_.get(), &one, sizeof one);
  watcher_.join();
}

void DnsClient::disconnect() {
  {
    std::lock_guard lock(mutex_);
    connected_ = false;
  }
  stop_watching();
  std::lock_guard lock(mutex_);
  socket_.reset();
  wake_watcher_.reset();
  clients_.clear();
  records_.clear();
  carried_.clear();
}

}  // namespace gantry::net
