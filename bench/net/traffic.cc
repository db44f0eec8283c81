// Load for bench/net/net.py: one process that takes whatever comes, and one that sends as fast as it can.
//
//   traffic serve PORT                     until killed; says "ready" when it listens
//   traffic stream ADDRESS PORT SECONDS    one connection, all to the server: prints bytes a second
//   traffic fetch ADDRESS PORT SECONDS     one connection, all from the server: prints bytes a second
//   traffic connect ADDRESS PORT SECONDS   connection after connection, a byte there and back: prints connections a second
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kPiece = 128 << 10;
constexpr size_t kPage = 4096;
constexpr char kStream = 's';
constexpr char kFetch = 'f';
constexpr char kConnect = 'c';

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

// At the start of a page, as programs that move much have it: some processors copy to odd addresses at a third of the speed.
struct alignas(kPage) Piece {
  char bytes[kPiece];
};

void turn_on(int fd, int level, int name) {
  int on = 1;
  ::setsockopt(fd, level, name, &on, sizeof on);
}

void serve_one(int fd) {
  char first = 0;
  if (::recv(fd, &first, 1, 0) == 1) {
    if (first == kStream) {
      Piece sink;
      while (::recv(fd, sink.bytes, sizeof sink.bytes, 0) > 0) {
      }
    } else if (first == kFetch) {
      Piece piece;
      std::fill(std::begin(piece.bytes), std::end(piece.bytes), kFetch);
      while (::send(fd, piece.bytes, sizeof piece.bytes, MSG_NOSIGNAL) > 0) {
      }
    } else {
      (void)::send(fd, &first, 1, MSG_NOSIGNAL);
    }
  }
  ::close(fd);
}

int serve(uint16_t port) {
  int listening = ::socket(AF_INET6, SOCK_STREAM, 0);
  turn_on(listening, SOL_SOCKET, SO_REUSEADDR);
  sockaddr_in6 any{.sin6_family = AF_INET6, .sin6_port = htons(port)};
  if (::bind(listening, reinterpret_cast<sockaddr*>(&any), sizeof any) != 0) fail("bind");
  if (::listen(listening, 1024) != 0) fail("listen");
  std::puts("ready");
  std::fflush(stdout);
  for (;;) {
    int fd = ::accept(listening, nullptr, nullptr);
    if (fd < 0) continue;
    char first = 0;
    // Short ones here, so that no thread's start is measured; a long one gets its own.
    if (::recv(fd, &first, 1, MSG_PEEK) == 1 && first != kConnect) {
      std::thread(serve_one, fd).detach();
    } else {
      serve_one(fd);
    }
  }
}

int connect_to(const char* address, uint16_t port) {
  sockaddr_in v4{.sin_family = AF_INET, .sin_port = htons(port)};
  sockaddr_in6 v6{.sin6_family = AF_INET6, .sin6_port = htons(port)};
  const bool is_v4 = ::inet_pton(AF_INET, address, &v4.sin_addr) == 1;
  if (!is_v4 && ::inet_pton(AF_INET6, address, &v6.sin6_addr) != 1) fail(address);
  int fd = ::socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);
  turn_on(fd, IPPROTO_TCP, TCP_NODELAY);
  const auto* to = is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  if (::connect(fd, to, is_v4 ? sizeof v4 : sizeof v6) != 0) fail("connect");
  return fd;
}

double stream(const char* address, uint16_t port, double seconds) {
  int fd = connect_to(address, port);
  Piece piece;
  std::fill(std::begin(piece.bytes), std::end(piece.bytes), kStream);
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration<double>(seconds);
  double sent = 0;
  while (Clock::now() < end) {
    ssize_t now = ::send(fd, piece.bytes, sizeof piece.bytes, MSG_NOSIGNAL);
    if (now < 0) fail("send");
    sent += static_cast<double>(now);
  }
  // What is still in buffers has been sent, but not taken: the other end's last word ends the measurement.
  ::shutdown(fd, SHUT_WR);
  char nothing;
  (void)!::recv(fd, &nothing, 1, 0);
  return sent / std::chrono::duration<double>(Clock::now() - begin).count();
}

double fetch(const char* address, uint16_t port, double seconds) {
  int fd = connect_to(address, port);
  if (::send(fd, &kFetch, 1, MSG_NOSIGNAL) != 1) fail("send");
  Piece sink;
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration<double>(seconds);
  double got = 0;
  while (Clock::now() < end) {
    ssize_t now = ::recv(fd, sink.bytes, sizeof sink.bytes, 0);
    if (now <= 0) fail("recv");
    got += static_cast<double>(now);
  }
  const double passed = std::chrono::duration<double>(Clock::now() - begin).count();
  ::close(fd);
  return got / passed;
}

double connections(const char* address, uint16_t port, double seconds) {
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration<double>(seconds);
  double made = 0;
  while (Clock::now() < end) {
    int fd = connect_to(address, port);
    char byte = kConnect;
    if (::send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || ::recv(fd, &byte, 1, 0) != 1) fail("exchange");
    // No TIME_WAIT: thousands of them would fill the ports.
    linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ::close(fd);
    ++made;
  }
  return made / std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "serve" && argc == 3) return serve(static_cast<uint16_t>(std::atoi(argv[2])));
  const auto measure = what == "stream" ? stream : what == "fetch" ? fetch : what == "connect" ? connections : nullptr;
  if (measure != nullptr && argc == 5) {
    std::printf("%.0f\n", measure(argv[2], static_cast<uint16_t>(std::atoi(argv[3])), std::atof(argv[4])));
    return 0;
  }
  std::fprintf(stderr, "usage: traffic serve PORT | traffic stream|fetch|connect ADDRESS PORT SECONDS\n");
  return 2;
}
