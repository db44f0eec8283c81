#include "dns/control.h"

#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <vector>

#include "base/rights.h"

namespace gantry::dns {
namespace {

// Time for whoever started us, or is about to connect, to do so.
constexpr std::chrono::seconds kPatience{10};

bool is_same_user(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == ::geteuid();
}

struct Received {
  std::string message;
  std::array<Fd, 3> fds;
  bool complete = false;
};

// Size < 0: see errno; 0: hung up.
ssize_t receive(int socket, Received& into) {
  static char buffer[net::kMaxDnsRequest];  // one thread, and too large for every stack
  iovec part{.iov_base = buffer, .iov_len = sizeof buffer};
  msghdr header{.msg_iov = &part, .msg_iovlen = 1};
  DescriptorRoom<std::tuple_size_v<decltype(Received::fds)>> room;
  room.receive(header);
  ssize_t got = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got <= 0) return got;
  into.message.assign(buffer, static_cast<size_t>(got));
  into.complete = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
  auto fds = take_descriptors(header);
  std::move(fds.begin(), fds.begin() + std::min(fds.size(), into.fds.size()), into.fds.begin());
  return got;
}

}  // namespace

Control::Control(EventLoop& loop, net::DnsServer& server, net::Forwarder& forwarder, Fd run_directory, Fd listening,
                 Function<void()> done)
    : loop_(loop),
      server_(server),
      forwarder_(forwarder),
      run_directory_(std::move(run_directory)),
      listening_(std::move(listening)),
      done_(std::move(done)) {
  listening_watcher_ =
      std::make_unique<FdWatcher>(loop_, listening_.get(), FdWatcher::readable, [this](int) { accept_daemon(); });
  unneeded_timer_ = loop_.after(kPatience, [this] { end_if_unneeded(); });
}

Control::~Control() { loop_.cancel(unneeded_timer_); }

void Control::accept_daemon() {
  Fd socket(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket || !is_same_user(socket.get())) return;
  // A new daemon while the old one's connection is still there: the old one is about to end.
  daemon_watcher_.reset();
  daemon_ = std::move(socket);
  daemon_watcher_ = std::make_unique<FdWatcher>(loop_, daemon_.get(), FdWatcher::readable, [this](int) { drain(); });
}

void Control::drain() {
  while (daemon_ && receive_one()) {
  }
}

bool Control::receive_one() {
  Received received;
  ssize_t got = receive(daemon_.get(), received);
  if (got < 0 && errno == EINTR) return true;
  if (got < 0 && errno == EAGAIN) return false;
  auto request = got > 0 && received.complete ? net::decode_dns_request(received.message)
                                              : Result<net::DnsRequest>(invalid("the daemon hung up"));
  if (!request.ok()) {
    hang_up();  // a daemon that does not speak properly connects anew and tells everything again
    return false;
  }
  carry_out(*std::move(request), std::move(received.fds));
  return true;
}

void Control::carry_out(net::DnsRequest request, std::array<Fd, 3> fds) {
  using net::DnsCommand;
  switch (request.command) {
    case DnsCommand::hello:
      unconfirmed_clients_ = server_.clients();
      unconfirmed_keys_ = server_.zone().keys();
      unconfirmed_forwards_ = forwarder_.keys();
      return reply_version();
    case DnsCommand::synchronised:
      forget_unconfirmed();
      return reply_version();
    case DnsCommand::quit:
      return end();
    case DnsCommand::add_client:
      unconfirmed_clients_.erase(request.client.id);
      if (fds[0] && fds[1]) {
        server_.add_client(std::move(request.client), std::move(fds[0]), std::move(fds[1]), std::move(fds[2]));
      }
      return;
    case DnsCommand::update_client:
      return server_.update_client(std::move(request.client));
    case DnsCommand::remove_client:
      return server_.remove_client(request.client.id);
    case DnsCommand::publish:
      unconfirmed_keys_.erase(request.key);
      return server_.zone().publish(request.key, std::move(request.record));
    case DnsCommand::withdraw:
      return server_.zone().withdraw(request.key);
    case DnsCommand::carry:
      unconfirmed_forwards_.erase(request.forwards[0].key());
      return forwarder_.carry(request.forwards[0], std::move(fds[0]));
    case DnsCommand::stop_carrying:
      for (const net::UserForward& forward : request.forwards) forwarder_.stop(forward.key());
      return reply_version();
  }
}

void Control::reply_version() {
  std::string version = std::to_string(net::kDnsProtocolVersion);
  (void)::send(daemon_.get(), version.data(), version.size(), MSG_NOSIGNAL);
}

void Control::forget_unconfirmed() {
  for (const std::string& id : unconfirmed_clients_) server_.remove_client(id);
  for (const std::string& key : unconfirmed_keys_) server_.zone().withdraw(key);
  for (const std::string& key : unconfirmed_forwards_) forwarder_.stop(key);
  unconfirmed_clients_.clear();
  unconfirmed_keys_.clear();
  unconfirmed_forwards_.clear();
}

void Control::hang_up() {
  daemon_watcher_.reset();
  daemon_.reset();
  end_if_unneeded();
}

void Control::end_if_unneeded() {
  if (ended_ || daemon_ || !server_.clients().empty() || !forwarder_.empty()) return;
  Fd lock(::openat(run_directory_.get(), net::kDnsLockName, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    // Somebody is about to connect. If nothing comes of it, look again.
    loop_.cancel(unneeded_timer_);
    unneeded_timer_ = loop_.after(kPatience, [this] { end_if_unneeded(); });
    return;
  }
  end();
  (void)lock.release();  // held until the process is gone
}

void Control::end() {
  if (ended_) return;
  ended_ = true;
  ::unlinkat(run_directory_.get(), net::kDnsSocketName, 0);
  daemon_watcher_.reset();
  daemon_.reset();
  done_();
}

}  // namespace gantry::dns
