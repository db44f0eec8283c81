#include "cli/interactive.h"

#include <poll.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "cli/exit.h"
#include "cli/frames.h"
#include "cli/signals.h"

namespace gantry::cli {

namespace {

constexpr size_t kBufferSize = size_t{64} << 10;

// Raw mode while it lives: every key goes to the container, Ctrl-C included.
class RawTerminal {
 public:
  explicit RawTerminal(int fd) : fd_(fd) {
    if (tcgetattr(fd_, &saved_) != 0) return;
    termios raw = saved_;
    cfmakeraw(&raw);
    changed_ = tcsetattr(fd_, TCSADRAIN, &raw) == 0;
  }
  ~RawTerminal() { restore(); }
  RawTerminal(const RawTerminal&) = delete;
  void restore() {
    if (changed_) tcsetattr(fd_, TCSADRAIN, &saved_);
    changed_ = false;
  }

 private:
  int fd_;
  termios saved_{};
  bool changed_ = false;
};

class Pump {
 public:
  explicit Pump(Interaction& interaction)
      : it_(interaction),
        socket_(interaction.connection.socket.get()),
        input_open_(interaction.input >= 0),
        frames_(!interaction.framed, [this](StreamKind kind, std::string_view bytes) {
          (kind == StreamKind::stdout_stream ? it_.out : it_.err).write(bytes);
        }) {}

  Result<std::optional<int>> run() {
    std::vector<int> signals{SIGWINCH, SIGTERM, SIGHUP, SIGINT};
    if (it_.forward_signal) signals.insert(signals.end(), {SIGQUIT, SIGUSR1, SIGUSR2});
    SignalPipe pipe(signals);
    if (it_.tty && input_open_) terminal_.emplace(it_.input);
    if (it_.tty && it_.resize) it_.resize(it_.out.size());
    if (!frames_.add(it_.connection.read_ahead)) return not_frames();
    if (!input_open_) ::shutdown(socket_, SHUT_WR);
    bool more = !frames_.is_over();
    while (more) more = TRY(turn(pipe));
    return frames_.exit_code();
  }

 private:
  static Error not_frames() { return internal_error("the daemon's answer is no stream of a container"); }

  // One wait and what came of it; false when the other side has closed, or has said the last.
  Result<bool> turn(SignalPipe& pipe) {
    // Input is read only when what was read before has been sent: a slow reader slows the writer down.
    const short socket_events = static_cast<short>(POLLIN | (pending_.empty() ? 0 : POLLOUT));
    std::array<pollfd, 3> watched{{{socket_, socket_events, 0},
                                   {pipe.fd(), POLLIN, 0},
                                   {input_open_ && pending_.empty() ? it_.input : -1, POLLIN, 0}}};
    if (::poll(watched.data(), watched.size(), -1) < 0) {
      if (errno == EINTR) return true;
      return Error::from_errno(errno, "poll");
    }
    while (const auto signal = pipe.take()) on_signal(*signal);
    if (watched[2].revents != 0) read_input();
    if ((watched[0].revents & POLLOUT) != 0) send_pending();
    if ((watched[0].revents & ~POLLOUT) != 0) return read_socket();
    return true;
  }

  void on_signal(int signal) {
    if (signal == SIGWINCH) {
      if (it_.tty && it_.resize) it_.resize(it_.out.size());
    } else if (it_.forward_signal) {
      it_.forward_signal(signal);
    } else {
      if (terminal_) terminal_->restore();
      std::_Exit(kExitInterrupted);
    }
  }

  void read_input() {
    std::string bytes(kBufferSize, '\0');
    const ssize_t got = ::read(it_.input, bytes.data(), bytes.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got <= 0) {
      input_open_ = false;
      ::shutdown(socket_, SHUT_WR);
      return;
    }
    bytes.resize(static_cast<size_t>(got));
    if (it_.typed) it_.typed(bytes);
    pending_ = std::move(bytes);
    send_pending();
  }

  void send_pending() {
    const ssize_t sent = ::send(socket_, pending_.data(), pending_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      pending_.erase(0, static_cast<size_t>(sent));
    } else if (errno != EAGAIN && errno != EINTR) {
      // The process has closed its input; its output may still come.
      pending_.clear();
      input_open_ = false;
    }
  }

  Result<bool> read_socket() {
    const ssize_t got = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (got < 0 && errno != ECONNRESET) return Error::from_errno(errno, "recv", "connection to the daemon");
    if (got <= 0) return false;
    if (!frames_.add({buffer_.data(), static_cast<size_t>(got)})) return not_frames();
    return !frames_.is_over();
  }

  Interaction& it_;
  int socket_;
  bool input_open_;
  FrameReader frames_;
  std::optional<RawTerminal> terminal_;
  std::string pending_;
  std::array<char, kBufferSize> buffer_;
};

}  // namespace

Result<std::optional<int>> interact(Interaction interaction) {
  auto pump = std::make_unique<Pump>(interaction);
  return pump->run();
}

}  // namespace gantry::cli
