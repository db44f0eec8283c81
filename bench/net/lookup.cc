// Questions of bench/net/net.py to the name service, and what their floor is: a datagram there and back.
//
//   lookup echo PORT                   sends every datagram back, until killed; says "ready"
//   lookup ask ADDRESS PORT NAME COUNT  asks for the IPv4 address of NAME, one question after the other's answer: prints the median and
//                                      the 99th of a hundred, in microseconds
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int echo(uint16_t port) {
  int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in any{.sin_family = AF_INET, .sin_port = htons(port)};
  if (::bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof any) != 0) fail("bind");
  std::puts("ready");
  std::fflush(stdout);
  for (;;) {
    char buffer[512];
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t got = ::recvfrom(fd, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got > 0) (void)::sendto(fd, buffer, static_cast<size_t>(got), 0, reinterpret_cast<sockaddr*>(&from), size);
  }
}

// RFC 1035: a header with one question, recursion desired; name, type A, class IN.
std::string question(const std::string& name) {
  std::string message("\0\1\1\0\0\1\0\0\0\0\0\0", 12);
  message += static_cast<char>(name.size());
  return message + name + std::string("\0\0\1\0\1", 5);
}

// Something that the size of the question alone would not bring back: an answer has RCODE 0 and is longer; an echo is the same.
bool is_answer(const std::string& asked, const char* got, size_t size) {
  if (size < asked.size()) return false;
  const bool is_echo = asked == std::string(got, size);
  return is_echo || ((got[3] & 0x0f) == 0 && size > asked.size());
}

int ask(const char* address, uint16_t port, const std::string& name, int count) {
  int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(port)};
  if (::inet_pton(AF_INET, address, &to.sin_addr) != 1) fail(address);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) fail("connect");
  const std::string message = question(name);
  std::vector<double> passed;
  for (int i = 0; i < count; ++i) {
    char answer[512];
    const auto begin = Clock::now();
    if (::send(fd, message.data(), message.size(), 0) < 0) fail("send");
    const ssize_t got = ::recv(fd, answer, sizeof answer, 0);
    passed.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    if (got < 0 || !is_answer(message, answer, static_cast<size_t>(got))) {
      std::fprintf(stderr, "no answer for %s\n", name.c_str());
      return 1;
    }
  }
  std::sort(passed.begin(), passed.end());
  std::printf("%.1f %.1f\n", passed[passed.size() / 2], passed[passed.size() * 99 / 100]);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "echo" && argc == 3) return echo(static_cast<uint16_t>(std::atoi(argv[2])));
  if (what == "ask" && argc == 6) {
    return ask(argv[2], static_cast<uint16_t>(std::atoi(argv[3])), argv[4], std::max(1, std::atoi(argv[5])));
  }
  std::fprintf(stderr, "usage: lookup echo PORT | lookup ask ADDRESS PORT NAME COUNT\n");
  return 2;
}
