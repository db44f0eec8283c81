#include "net/stream_forward.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "net/socket_address.h"

namespace gantry::net {
namespace {

constexpr int kConnectionsAtOnce = 32;    // then others get their turn
constexpr size_t kPiece = 65536;          // a pipe's size unless changed
constexpr int kPiecesAtOnce = 8;
constexpr linger kReset{.l_onoff = 1, .l_linger = 0};

// What arrives at `from` on its way to `to`.
struct Direction {
  int from = -1;
  int to = -1;
  Pipe pipe;
  size_t waiting = 0;     // bytes in the pipe
  bool ended = false;     // `from` sends no more
  bool finished = false;  // and `to` was told

  bool wants_input() const { return !ended && waiting == 0; }
  bool wants_output() const { return waiting > 0; }

  // False: the connection is broken.
  bool move() {
    for (int i = 0; i < kPiecesAtOnce; ++i) {
      if (waiting == 0 && !ended && !fill()) return errno == EAGAIN || errno == EINTR;
      if (waiting > 0 && !drain()) return errno == EAGAIN || errno == EINTR;
      if (ended && waiting == 0) return finish();
    }
    return true;
  }

 private:
  bool fill() {
    ssize_t got = ::splice(from, nullptr, pipe.write.get(), nullptr, kPiece, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (got < 0) return false;
    ended = got == 0;
    waiting = static_cast<size_t>(got);
    return true;
  }
  bool drain() {
    ssize_t put = ::splice(pipe.read.get(), nullptr, to, nullptr, waiting, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (put < 0) return false;
    waiting -= static_cast<size_t>(put);
    return true;
  }
  bool finish() {
    if (!finished) ::shutdown(to, SHUT_WR);  // fails if `to` has gone already, which its own direction notices
    finished = true;
    return true;
  }
};

}  // namespace

struct StreamForward::Connection {
  Fd client;
  Fd target;
  bool connecting = true;
  Direction in;   // client → target
  Direction out;  // target → client
  std::unique_ptr<FdWatcher> client_watcher;  // watchers go before the sockets
  std::unique_ptr<FdWatcher> target_watcher;

  void reset() const { ::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &kReset, sizeof kReset); }
  bool is_over() const { return in.finished && out.finished; }
  void set_interest() const {
    if (connecting) {
      client_watcher->set_interest(0);
      return target_watcher->set_interest(FdWatcher::writable);
    }
    client_watcher->set_interest((in.wants_input() ? FdWatcher::readable : 0) |
                                 (out.wants_output() ? FdWatcher::writable : 0));
    target_watcher->set_interest((out.wants_input() ? FdWatcher::readable : 0) |
                                 (in.wants_output() ? FdWatcher::writable : 0));
  }
};

StreamForward::StreamForward(EventLoop& loop, Fd listening, Target target, size_t most_connections)
    : loop_(loop), listening_(std::move(listening)), target_(target), most_connections_(most_connections) {
  ::fcntl(listening_.get(), F_SETFL, ::fcntl(listening_.get(), F_GETFL) | O_NONBLOCK);
  watcher_ =
      std::make_unique<FdWatcher>(loop_, listening_.get(), FdWatcher::readable, [this](int) { accept_all(); });
}

StreamForward::~StreamForward() = default;

void StreamForward::accept_all() {
  for (int i = 0; i < kConnectionsAtOnce && connections_.size() < most_connections_; ++i) {
    Fd client(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client) {
      add(std::move(client));
      continue;
    }
    // Without descriptors the queue would wake us for ever: it waits until a connection has ended.
    if ((errno == EMFILE || errno == ENFILE) && !connections_.empty()) watcher_->set_interest(0);
    if (errno != ECONNABORTED && errno != EINTR) return;
  }
  if (connections_.size() >= most_connections_) watcher_->set_interest(0);
}

void StreamForward::add(Fd client) {
  auto connection = std::make_unique<Connection>();
  connection->client = std::move(client);
  SocketAddress to(target_.address, target_.port);
  connection->target = Fd(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  auto in = make_pipe();
  auto out = make_pipe();
  bool reached = connection->target && in.ok() && out.ok() &&
                 (::connect(connection->target.get(), to.get(), to.size) == 0 || errno == EINPROGRESS);
  if (!reached) return connection->reset();  // and closed
  int on = 1;
  ::setsockopt(connection->client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(connection->target.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  connection->in.from = connection->out.to = connection->client.get();
  connection->in.to = connection->out.from = connection->target.get();
  connection->in.pipe = *std::move(in);
  connection->out.pipe = *std::move(out);
  const uint64_t number = next_++;
  const auto ready = [this, number](int) { on_ready(number); };
  connection->client_watcher = std::make_unique<FdWatcher>(loop_, connection->client.get(), 0, ready);
  connection->target_watcher =
      std::make_unique<FdWatcher>(loop_, connection->target.get(), FdWatcher::writable, ready);
  connections_.emplace(number, std::move(connection));
}

void StreamForward::on_ready(uint64_t number) {
  auto at = connections_.find(number);
  if (at == connections_.end()) return;
  Connection& connection = *at->second;
  if (connection.connecting) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(connection.target.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
      connection.reset();
      return remove(number);
    }
    connection.connecting = false;
  }
  if (!connection.in.move() || !connection.out.move()) {
    connection.reset();
    return remove(number);
  }
  if (connection.is_over()) return remove(number);
  connection.set_interest();
}

void StreamForward::remove(uint64_t number) {
  connections_.erase(number);
  watcher_->set_interest(FdWatcher::readable);
}

}  // namespace gantry::net
