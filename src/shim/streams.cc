#include "shim/streams.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace gantry::shim {
namespace {

constexpr size_t kPipeSize = 64 << 10;       // as it is made
constexpr int kLargePipeSize = 512 << 10;
constexpr int kReadsATurn = 8;              // of one stream, before others have their turn
constexpr size_t kStdinBuffer = 64 << 10;   // above it clients are not read
constexpr size_t kFixedPolls = 3;           // stdout, stderr, stdin

bool make_pipe(Fd& read_end, Fd& write_end) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  read_end.reset(ends[0]);
  write_end.reset(ends[1]);
  return true;
}

void set_nonblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

}  // namespace

bool Streams::open(bool tty, bool open_stdin, ChildStreams& child) {
  tty_ = tty;
  out_source_.stream = 1;
  err_source_.stream = 2;
  if (tty) return true;
  if (!make_pipe(out_source_.fd, child.out) || !make_pipe(err_source_.fd, child.err)) return false;
  set_nonblocking(out_source_.fd.get());
  set_nonblocking(err_source_.fd.get());
  if (!open_stdin) return true;
  if (!make_pipe(child.in, stdin_)) return false;
  set_nonblocking(stdin_.get());
  return true;
}

void Streams::set_terminal(Fd master) {
  set_nonblocking(master.get());
  out_source_.fd.reset(::fcntl(master.get(), F_DUPFD_CLOEXEC, 3));
  terminal_ = std::move(master);
  flush_stdin();
}

bool Streams::resize(uint16_t rows, uint16_t columns) {
  winsize size{.ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  return terminal_ && ::ioctl(terminal_.get(), TIOCSWINSZ, &size) == 0;
}

void Streams::attach(Fd client, bool close_stdin_at_end) {
  set_nonblocking(client.get());
  auto added = std::make_unique<Client>();
  added->fd = std::move(client);
  added->closes_stdin = close_stdin_at_end;
  clients_.push_back(std::move(added));
  if (finished_) finish();
}

bool Streams::accepts_input() const {
  if (finished_ || close_stdin_) return false;
  return tty_ || static_cast<bool>(stdin_);
}

bool Streams::congested() const {
  for (const auto& client : clients_) {
    if (client->pending.size() - client->sent > kClientBuffer) return true;
  }
  return false;
}

void Streams::want(std::vector<pollfd>& polls) {
  bool read_output = draining_ || !congested();
  // A negative descriptor keeps its place and is skipped by poll(); so is a source that must wait, for POLLHUP
  // would otherwise wake us without end.
  polls.push_back({read_output ? out_source_.fd.get() : -1, POLLIN, 0});
  polls.push_back({read_output ? err_source_.fd.get() : -1, POLLIN, 0});
  polls.push_back({stdin_pending_.empty() ? -1 : stdin_fd(), POLLOUT, 0});
  bool take_input = stdin_pending_.size() < kStdinBuffer;
  for (const auto& client : clients_) {
    short events = 0;
    if (client->sent < client->pending.size()) events |= POLLOUT;
    if (client->wants_input() && take_input) events |= POLLIN;
    // Not to be read now, but not at its end either: a hang-up would wake us without end.
    bool wait = events == 0 && client->wants_input();
    polls.push_back({wait ? -1 : client->fd.get(), events, 0});
  }
  polled_clients_ = clients_.size();
}

void Streams::handle(const pollfd* polls) {
  if (polls[0].revents != 0) read_source(out_source_, out_);
  if (polls[1].revents != 0) read_source(err_source_, err_);
  if (polls[2].revents != 0) flush_stdin();
  for (size_t i = 0; i < polled_clients_; ++i) {
    Client& client = *clients_[i];
    short ready = polls[kFixedPolls + i].revents;
    if (!client.fd || ready == 0) continue;
    if ((ready & POLLIN) != 0) read_client(client);
    if (client.fd && (ready & POLLOUT) != 0) flush_client(client);
    // Both directions are over: nobody is there to read.
    if (client.fd && (ready & (POLLERR | POLLHUP)) != 0 && (ready & POLLIN) == 0) client.fd.reset();
  }
  drop_dead_clients();
  if (log_has_work()) log_.work();
}

void Streams::read_source(Source& source, LineCutter& cutter) {
  int reads = 0;
  for (; reads < kReadsATurn && source.fd; ++reads) {
    char* const room = log_thread_.room();
    ssize_t n = ::read(source.fd.get(), room, LogThread::kPiece);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (n <= 0) {  // end; EIO is how a terminal says that its last program closed it
      source.fd.reset();
      break;
    }
    const std::string_view data(room, static_cast<size_t>(n));
    enlarge_pipe(source, data.size());
    write_log(cutter, data);
    fan_out(source.stream, data);
    if (data.size() < LogThread::kPiece || (!draining_ && congested())) break;
  }
  // A program that writes as fast as we read: its next turn comes at once.
  int at_hand = 0;
  if (reads == kReadsATurn && source.fd && !congested() && ::ioctl(source.fd.get(), FIONREAD, &at_hand) == 0 && at_hand > 0) return;
  if (!log_thread_.flush()) log_.flush();
}

void Streams::write_log(LineCutter& cutter, std::string_view data) {
  const int64_t now = wall_ns();
  if (log_thread_.write(cutter, data.size(), now)) return;
  const bool fills_its_pipe = data.size() >= kPipeSize && !log_.has_process();
  if (fills_its_pipe && log_thread_.begin_burst() && log_thread_.write(cutter, data.size(), now)) return;
  log_.write(cutter, data, now);
}

// A program that fills its pipe gets a larger one and goes on while we log. Not every program: they share what root may have
// in pipes (pipe(7), pipe-user-pages-soft). As good without, only slower.
void Streams::enlarge_pipe(Source& source, size_t was_full_of) {
  if (was_full_of < kPipeSize || source.is_large) return;
  source.is_large = true;
  ::fcntl(source.fd.get(), F_SETPIPE_SZ, kLargePipeSize);
}

void Streams::fan_out(uint8_t stream, std::string_view data) {
  char header[8] = {static_cast<char>(stream), 0, 0, 0};
  for (int i = 0; i < 4; ++i) header[4 + i] = static_cast<char>(data.size() >> (24 - 8 * i));
  for (auto& client : clients_) {
    if (!client->fd) continue;
    if (!tty_) client->pending.append(header, sizeof header);
    client->pending.append(data);
    flush_client(*client);
  }
}

void Streams::flush_client(Client& client) {
  while (client.sent < client.pending.size()) {
    ssize_t n = ::send(client.fd.get(), client.pending.data() + client.sent, client.pending.size() - client.sent,
                       MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      if (client.stalled_since == 0) client.stalled_since = mono_ms();
      // Not to move the rest at each send, but neither to keep what is long gone.
      if (client.sent > kClientBuffer) {
        client.pending.erase(0, client.sent);
        client.sent = 0;
      }
      return;
    }
    if (n < 0) {
      client.fd.reset();
      return;
    }
    client.sent += static_cast<size_t>(n);
    client.stalled_since = 0;
  }
  client.pending.clear();
  client.sent = 0;
  client.stalled_since = 0;
  if (client.pending.capacity() > LogThread::kPiece) client.pending.shrink_to_fit();
  if (finished_) client.fd.reset();
}

void Streams::read_client(Client& client) {
  char buffer[16 << 10];
  ssize_t n = ::read(client.fd.get(), buffer, sizeof buffer);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n > 0) {
    if (accepts_input()) {
      stdin_pending_.append(buffer, static_cast<size_t>(n));
      flush_stdin();
    }
    return;
  }
  client.input_ended = true;
  if (client.closes_stdin && !tty_) {
    close_stdin_ = true;
    flush_stdin();
  }
}

void Streams::flush_stdin() {
  if (tty_ && !terminal_ && !finished_) return;  // the child has not made it yet
  while (!stdin_pending_.empty()) {
    ssize_t n = stdin_fd() < 0 ? -1 : ::write(stdin_fd(), stdin_pending_.data(), stdin_pending_.size());
    if (n < 0 && stdin_fd() >= 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0) {
      stdin_pending_.clear();  // the program closed its input
      break;
    }
    stdin_pending_.erase(0, static_cast<size_t>(n));
  }
  if (close_stdin_) stdin_.reset();
}

int Streams::timeout_ms() {
  if (log_has_work()) return 0;
  int64_t due = -1;
  for (const auto& client : clients_) {
    if (client->stalled_since == 0) continue;
    int64_t left = client->stalled_since + kStallMs - mono_ms();
    if (left < 0) left = 0;
    if (due < 0 || left < due) due = left;
  }
  return static_cast<int>(due);
}

void Streams::drop_dead_clients() {
  int64_t now = mono_ms();
  for (size_t i = 0; i < clients_.size();) {
    Client& client = *clients_[i];
    bool stalled = client.stalled_since != 0 && now - client.stalled_since >= kStallMs;
    if (!client.fd || stalled) {
      clients_.erase(clients_.begin() + static_cast<ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

void Streams::finish() {
  log_thread_.take_back();
  log_.finish(out_);
  log_.finish(err_);
  log_.close();
  finished_ = true;
  out_source_.fd.reset();
  err_source_.fd.reset();
  stdin_.reset();
  terminal_.reset();
  for (auto& client : clients_) {
    if (client->fd) flush_client(*client);
  }
  drop_dead_clients();
}

}  // namespace gantry::shim
