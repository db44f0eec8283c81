#include "daemon/relay.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/strings.h"

namespace gantry::daemon {
namespace {

constexpr size_t kPiece = 64 * 1024;

void make_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags >= 0) ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

bool would_block(int errno_value) {
  return errno_value == EAGAIN || errno_value == EWOULDBLOCK || errno_value == EINTR;
}

// Bytes that wait to be written to a descriptor.
class Backlog {
 public:
  bool empty() const { return at_ == text_.size(); }
  void add(std::string text) {
    if (empty()) {
      text_ = std::move(text);
      at_ = 0;
    } else {
      text_ += text;
    }
  }
  void clear() {
    text_.clear();
    at_ = 0;
  }
  // False: the descriptor takes no more, ever.
  bool flush(int fd, bool is_socket) {
    while (!empty()) {
      const ssize_t sent = is_socket ? ::send(fd, text_.data() + at_, text_.size() - at_, MSG_NOSIGNAL | MSG_DONTWAIT)
                                     : ::write(fd, text_.data() + at_, text_.size() - at_);
      if (sent < 0) return would_block(errno);
      at_ += static_cast<size_t>(sent);
    }
    return true;
  }

 private:
  std::string text_;
  size_t at_ = 0;
};

// One run of a relay: the state between two polls.
class Session {
 public:
  explicit Session(Relay& relay) : relay_(relay), piece_(kPiece) {
    for (const Relay::Output& output : relay.outputs) make_nonblocking(output.fd);
    if (relay.input >= 0) make_nonblocking(relay.input);
    client_ended_ = !received(relay.read_ahead);
  }

  Relay::End run() {
    for (;;) {
      if (detached_) return Relay::End::detached;
      if (to_client_.empty() && relay_.outputs.empty()) return Relay::End::output_ended;
      if (!wait()) return Relay::End::client_gone;
    }
  }

 private:
  // False: the client has gone.
  bool wait() {
    std::vector<pollfd> waits;
    short client_events = 0;
    if (!client_ended_ && to_input_.empty()) client_events |= POLLIN;
    if (!to_client_.empty()) client_events |= POLLOUT;
    waits.push_back({.fd = relay_.client, .events = client_events, .revents = 0});
    const bool feeding = relay_.input >= 0 && !to_input_.empty();
    waits.push_back({.fd = feeding ? relay_.input : -1, .events = POLLOUT, .revents = 0});
    for (const Relay::Output& output : relay_.outputs) {
      waits.push_back({.fd = to_client_.empty() ? output.fd : -1, .events = POLLIN, .revents = 0});
    }
    if (::poll(waits.data(), waits.size(), -1) < 0) return errno == EINTR;

    // Output first: what the program has said reaches a client that closes its side at once.
    if (!read_outputs(std::span(waits).subspan(2))) return false;
    if ((waits[0].revents & POLLOUT) != 0 && !to_client_.flush(relay_.client, true)) return false;
    if ((waits[0].revents & POLLIN) != 0 && !read_client()) return false;
    if ((waits[0].revents & (POLLERR | POLLHUP)) != 0 && (waits[0].revents & POLLIN) == 0) return false;
    if (waits[1].revents != 0) flush_input();
    return true;
  }

  bool read_outputs(std::span<const pollfd> waits) {
    std::vector<int> ended;
    for (size_t i = 0; i < waits.size(); ++i) {
      if (waits[i].fd < 0 || waits[i].revents == 0) continue;
      Relay::Output& output = relay_.outputs[i];
      const ssize_t got = ::read(output.fd, piece_.data(), piece_.size());
      if (got < 0 && would_block(errno)) continue;
      if (got <= 0) {  // a pty whose last user has gone reads as EIO
        ended.push_back(output.fd);
        continue;
      }
      const std::string_view bytes(piece_.data(), static_cast<size_t>(got));
      to_client_.add(output.transform ? output.transform(bytes) : std::string(bytes));
    }
    for (const int fd : ended)
      std::erase_if(relay_.outputs, [fd](const Relay::Output& output) { return output.fd == fd; });
    return to_client_.flush(relay_.client, true);
  }

  bool read_client() {
    const ssize_t got = ::recv(relay_.client, piece_.data(), piece_.size(), MSG_DONTWAIT);
    if (got < 0) return would_block(errno);
    if (got == 0) {
      client_ended_ = true;
      if (relay_.end_with_input) return false;
      finish_input();
      return true;
    }
    return received({piece_.data(), static_cast<size_t>(got)});
  }

  // False: the client has taken its leave.
  bool received(std::string_view bytes) {
    if (relay_.websocket == nullptr) {
      typed(bytes);
      return true;
    }
    WebsocketReader::Read read = relay_.websocket->feed(bytes);
    typed(read.payload);
    to_client_.add(std::move(read.replies));
    return to_client_.flush(relay_.client, true) && !read.ended;
  }

  void typed(std::string_view bytes) {
    if (bytes.empty()) return;
    std::string text = relay_.detach_keys != nullptr ? relay_.detach_keys->pass(bytes, detached_) : std::string(bytes);
    if (relay_.input < 0) return;
    to_input_.add(std::move(text));
    flush_input();
  }

  void flush_input() {
    if (relay_.input < 0) return;
    if (!to_input_.flush(relay_.input, false)) {
      to_input_.clear();
      relay_.input = -1;  // the program does not read any more; what follows is dropped
    }
    finish_input();
  }

  // Everything that was typed must have arrived before the end does.
  void finish_input() {
    if (!client_ended_ || !to_input_.empty() || !relay_.end_input) return;
    std::exchange(relay_.end_input, nullptr)();
    relay_.input = -1;
  }

  Relay& relay_;
  std::vector<char> piece_;
  Backlog to_client_;
  Backlog to_input_;
  bool client_ended_ = false;
  bool detached_ = false;
};

}  // namespace

FrameHead frame_head(Stream stream, size_t size) {
  const auto byte = [size](int shift) { return static_cast<char>(size >> shift & 0xff); };
  return {static_cast<char>(stream), 0, 0, 0, byte(24), byte(16), byte(8), byte(0)};
}

std::string frame(Stream stream, std::string_view payload) {
  const FrameHead head = frame_head(stream, payload.size());
  return std::string(head.begin(), head.end()).append(payload);
}

std::string FrameFilter::pass(std::string_view bytes) {
  std::string passed;
  while (!bytes.empty()) {
    if (left_ == 0) {
      const size_t missing = std::min(bytes.size(), 8 - head_.size());
      head_ += bytes.substr(0, missing);
      bytes.remove_prefix(missing);
      if (head_.size() < 8) break;
      for (int i = 4; i < 8; ++i) left_ = left_ << 8 | static_cast<unsigned char>(head_[i]);
      wanted_ = head_[0] == 2 ? err_ : out_;
      if (wanted_ && heads_ == Heads::kept) passed += head_;
      head_.clear();
      continue;
    }
    const size_t size = std::min(bytes.size(), left_);
    if (wanted_) passed += bytes.substr(0, size);
    bytes.remove_prefix(size);
    left_ -= size;
  }
  return passed;
}

Result<DetachKeys> DetachKeys::parse(const std::string& text) {
  DetachKeys parsed;
  for (const std::string& key : split(text.empty() ? "ctrl-p,ctrl-q" : text, ',')) {
    if (key.size() == 1) {
      parsed.keys_ += key;
      continue;
    }
    constexpr std::string_view kControl = "@abcdefghijklmnopqrstuvwxyz[\\]^_";
    const size_t at = key.starts_with("ctrl-") && key.size() == 6 ? kControl.find(key[5]) : std::string_view::npos;
    if (at == std::string_view::npos) return invalid("Invalid detach keys (" + text + ") provided");
    parsed.keys_ += static_cast<char>(at);
  }
  return parsed;
}

std::string DetachKeys::pass(std::string_view typed, bool& detached) {
  std::string passed;
  for (const char c : typed) {
    if (c == keys_[matched_]) {
      if (++matched_ == keys_.size()) {
        detached = true;
        return passed;
      }
      continue;
    }
    passed.append(keys_, 0, matched_);
    matched_ = c == keys_[0] ? 1 : 0;
    if (matched_ == 0) passed += c;
  }
  return passed;
}

Relay::End Relay::run() { return Session(*this).run(); }

}  // namespace gantry::daemon
