#include "daemon/tls_front.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <thread>

#include "base/log.h"

namespace gantry::daemon {
namespace {

constexpr size_t kMostConnections = 2000;  // each has a thread; strangers get no further than the handshake

Result<Fd> listen_tcp(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int failure = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found);
  if (failure != 0) return invalid("cannot listen on " + host + ":" + port + ": " + ::gai_strerror(failure));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> guard(found, &::freeaddrinfo);
  int last = EADDRNOTAVAIL;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    Fd socket(::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol));
    const int on = 1;
    if (socket) ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (socket && ::bind(socket.get(), at->ai_addr, at->ai_addrlen) == 0 && ::listen(socket.get(), 128) == 0)
      return socket;
    last = errno;
  }
  return Error::from_errno(last, "listen on", host + ":" + port);
}

Result<Fd> connect_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return Error::from_errno(errno, "socket");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Error::from_errno(errno, "connect", path);
  }
  return socket;
}

class Front final : public TlsFront {
 public:
  Front(Fd listening, std::shared_ptr<TlsContext> context, std::string socket_path)
      : listening_(std::move(listening)),
        context_(std::move(context)),
        socket_path_(std::move(socket_path)),
        stop_event_(::eventfd(0, EFD_CLOEXEC)) {}
  ~Front() override { stop(); }

  void serve() override {
    acceptor_ = std::thread([this] { accept_all(); });
  }

  void stop() override {
    if (!acceptor_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      for (Carried& carried : carried_) {
        if (carried.session != nullptr)
          carried.session->interrupt();
        else
          ::shutdown(carried.socket, SHUT_RDWR);
      }
    }
    const uint64_t one = 1;
    (void)!::write(stop_event_.get(), &one, sizeof one);
    acceptor_.join();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return carried_.empty(); });
  }

  std::string address() const override {
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    char host[NI_MAXHOST] = {}, port[NI_MAXSERV] = {};
    ::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&bound), &size);
    ::getnameinfo(reinterpret_cast<sockaddr*>(&bound), size, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV);
    const std::string name(host);
    return "tcp://" + (name.find(':') != std::string::npos ? "[" + name + "]" : name) + ":" + port;
  }

 private:
  struct Carried {
    int socket = -1;                         // during the handshake
    TlsContext::Session* session = nullptr;  // after it
  };
  using Place = std::list<Carried>::iterator;

  void accept_all() {
    for (;;) {
      pollfd ready[] = {{listening_.get(), POLLIN, 0}, {stop_event_.get(), POLLIN, 0}};
      if (::poll(ready, 2, -1) < 0 && errno != EINTR) return;
      if (ready[1].revents != 0) return;
      Fd socket(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!socket) continue;
      const std::lock_guard lock(mutex_);
      if (stopping_ || carried_.size() >= kMostConnections) continue;
      carried_.push_back({.socket = socket.get()});
      std::thread([this, place = std::prev(carried_.end()), socket = std::move(socket)]() mutable {
        carry(place, std::move(socket));
        const std::lock_guard end_lock(mutex_);
        carried_.erase(place);
        changed_.notify_all();
      }).detach();
    }
  }

  void carry(Place place, Fd socket) {
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    auto session = context_->handshake(std::move(socket), "");
    if (!session.ok()) {
      log_warning("refused a connection: " + session.error().message());
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      place->session = session->get();
    }
    const Result<Fd> inner = connect_unix(socket_path_);
    if (inner.ok()) (*session)->pump(inner->get());
    const std::lock_guard lock(mutex_);
    place->session = nullptr;
    place->socket = -1;
  }

  Fd listening_;
  std::shared_ptr<TlsContext> context_;
  const std::string socket_path_;
  Fd stop_event_;
  std::thread acceptor_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Carried> carried_;
  bool stopping_ = false;
};

}  // namespace

Result<std::unique_ptr<TlsFront>> TlsFront::open(const std::string& address, const TlsFiles& files,
                                                 std::string socket_path) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return invalid("address " + gantry::quoted(address) + ": expected HOST:PORT");
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  std::shared_ptr<TlsContext> context = TRY(TlsContext::server(files));
  Fd listening = TRY(listen_tcp(host, address.substr(colon + 1)));
  return std::unique_ptr<TlsFront>(
      std::make_unique<Front>(std::move(listening), std::move(context), std::move(socket_path)));
}

}  // namespace gantry::daemon
