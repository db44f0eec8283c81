#include "cli/keyboard.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace gantry::cli {

Keyboard::Keyboard(int terminal, std::function<void(char)> typed) : terminal_(terminal), typed_(std::move(typed)) {
  auto pipe = make_pipe(O_CLOEXEC);
  if (!pipe.ok() || ::tcgetattr(terminal_, &saved_) != 0) return;
  stop_ = *std::move(pipe);
  termios keys = saved_;
  keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  keys.c_cc[VMIN] = 1;
  keys.c_cc[VTIME] = 0;
  changed_ = ::tcsetattr(terminal_, TCSADRAIN, &keys) == 0;
  if (changed_) thread_ = std::thread([this] { read_keys(); });
}

Keyboard::~Keyboard() {
  stop_.write = Fd();
  if (thread_.joinable()) thread_.join();
  if (changed_) ::tcsetattr(terminal_, TCSADRAIN, &saved_);
}

void Keyboard::read_keys() {
  for (;;) {
    std::array<pollfd, 2> watched{{{terminal_, POLLIN, 0}, {stop_.read.get(), POLLIN, 0}}};
    if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) return;
    if (watched[1].revents != 0) return;
    if (watched[0].revents == 0) continue;
    char key = 0;
    const ssize_t got = ::read(terminal_, &key, 1);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return;
    typed_(key);
  }
}

}  // namespace gantry::cli
