#include "engine/container/network_probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "base/strings.h"

namespace gantry::engine {
namespace {

constexpr size_t kMostHeader = 16384;  // of an answer, before the end of its head

struct SocketName {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

Result<SocketName> name_of(const NetworkTarget& target) {
  SocketName name;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&name.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&name.storage);
  if (::inet_pton(AF_INET, target.address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(target.port);
    name.size = sizeof *v4;
    return name;
  }
  if (::inet_pton(AF_INET6, target.address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(target.port);
    name.size = sizeof *v6;
    return name;
  }
  return invalid(gantry::quoted(target.address) + " is no IP address: probes are made inside the container, where " +
                 "127.0.0.1 is its own");
}

// A socket stays in the namespace where it was made; the thread that goes there ends there.
Result<Fd> socket_in(const Fd& netns, int family) {
  Fd made;
  int problem = 0;
  std::thread([&] {
    if (::setns(netns.get(), CLONE_NEWNET) == 0) {
      made = Fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    }
    if (!made) problem = errno;
  }).join();
  if (!made) return Error::from_errno(problem, "socket", "in the container's network");
  return made;
}

Result<> split_address(std::string_view text, NetworkTarget& target) {
  const size_t colon = text.rfind(':');
  const std::string_view port = colon == std::string_view::npos ? text : text.substr(colon + 1);
  std::string_view host = colon == std::string_view::npos ? "" : text.substr(0, colon);
  const auto number = parse_unsigned(port);
  if (!number || *number == 0 || *number > 65535) {
    return invalid(gantry::quoted(text) + " has no port: give ADDRESS:PORT or PORT");
  }
  target.host = std::string(text);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  target.address = host.empty() || host == "localhost" ? "127.0.0.1" : std::string(host);
  target.port = static_cast<uint16_t>(*number);
  TRY(name_of(target));
  return {};
}

Result<> read_range(const std::string& text, NetworkTarget& target) {
  const size_t dash = text.find('-');
  const auto least = parse_unsigned(text.substr(0, dash));
  const auto most = dash == std::string::npos ? least : parse_unsigned(text.substr(dash + 1));
  if (!least || !most || *least < 100 || *most > 599 || *least > *most) {
    return invalid(gantry::quoted(text) + " is no range of status codes: give one as 200 or 200-399");
  }
  target.least_status = static_cast<int>(*least);
  target.most_status = static_cast<int>(*most);
  return {};
}

}  // namespace

bool is_own_probe(const std::vector<std::string>& test) {
  return !test.empty() && (test[0] == "HTTP" || test[0] == "TCP" || test[0] == "LOG");
}

Result<NetworkTarget> parse_network_target(const std::vector<std::string>& test) {
  NetworkTarget target{.http = test.at(0) == "HTTP"};
  if (test.size() < 2) return invalid("a health check of type " + test[0] + " needs an address");
  if (!target.http) {
    TRY(split_address(test[1], target));
    return target;
  }
  std::string_view url = test[1];
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return invalid(gantry::quoted(url) + " is no address of the form http://HOST:PORT/PATH");
  url.remove_prefix(kScheme.size());
  const size_t slash = std::min(url.find('/'), url.size());
  target.path = slash == url.size() ? "/" : std::string(url.substr(slash));
  if (target.path.find_first_of(" \r\n") != std::string::npos) return invalid("the path of an HTTP probe has no blanks");
  std::string address(url.substr(0, slash));
  if (address.find(':') == std::string::npos || address.ends_with(']')) address += ":80";
  TRY(split_address(address, target));
  if (test.size() > 2) TRY(read_range(test[2], target));
  return target;
}

Result<std::unique_ptr<NetworkProbe>> NetworkProbe::start(EventLoop& loop, const Fd& netns, NetworkTarget target,
                                                          Done done) {
  const SocketName to = TRY(name_of(target));
  Fd socket = TRY(socket_in(netns, to.storage.ss_family));
  const auto* address = reinterpret_cast<const sockaddr*>(&to.storage);
  // A refusal comes at once on a loopback; the watcher finds it as the socket's error.
  if (::connect(socket.get(), address, to.size) != 0 && errno != EINPROGRESS && errno != ECONNREFUSED) {
    return Error::from_errno(errno, "connect", target.address + ":" + std::to_string(target.port));
  }
  return std::unique_ptr<NetworkProbe>(new NetworkProbe(loop, std::move(socket), std::move(target), std::move(done)));
}

NetworkProbe::NetworkProbe(EventLoop& loop, Fd socket, NetworkTarget target, Done done)
    : target_(std::move(target)), done_(std::move(done)), socket_(std::move(socket)) {
  watcher_ = std::make_unique<FdWatcher>(loop, socket_.get(), FdWatcher::writable, [this](int) { ready(); });
}

void NetworkProbe::ready() {
  if (!connected_) return connected();
  if (!request_.empty()) {
    const ssize_t sent = ::send(socket_.get(), request_.data(), request_.size(), MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (sent < 0) return finish(1, std::string("sending the request: ") + std::strerror(errno));
    request_.erase(0, static_cast<size_t>(sent));
    if (request_.empty()) watcher_->set_interest(FdWatcher::readable);
    return;
  }
  read_answer();
}

void NetworkProbe::connected() {
  const std::string where = target_.address + ":" + std::to_string(target_.port);
  int problem = 0;
  socklen_t size = sizeof problem;
  ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &problem, &size);
  sockaddr_storage peer{};
  socklen_t peer_size = sizeof peer;
  if (problem == 0 && ::getpeername(socket_.get(), reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) {
    problem = ECONNREFUSED;
  }
  if (problem != 0) return finish(1, "cannot connect to " + where + ": " + std::strerror(problem));
  if (!target_.http) return finish(0, "connected to " + where);
  connected_ = true;
  request_ = "GET " + target_.path + " HTTP/1.0\r\nHost: " + target_.host +
             "\r\nUser-Agent: gantry-health\r\nAccept: */*\r\nConnection: close\r\n\r\n";
}

void NetworkProbe::read_answer() {
  char buffer[4096];
  const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0) return finish(1, std::string("reading the answer: ") + std::strerror(errno));
  answer_.append(buffer, static_cast<size_t>(got));
  const bool has_head = answer_.find("\r\n\r\n") != std::string::npos;
  if (got == 0 || has_head || answer_.size() > kMostHeader) judge_status();
}

void NetworkProbe::judge_status() {
  const std::string line = answer_.substr(0, answer_.find_first_of("\r\n"));
  const auto status = line.starts_with("HTTP/1.") && line.size() >= 12 ? parse_unsigned(line.substr(9, 3)) : std::nullopt;
  if (!status) return finish(1, "no HTTP answer: " + gantry::quoted(line.substr(0, 100)));
  const int code = static_cast<int>(*status);
  const bool good = code >= target_.least_status && code <= target_.most_status;
  finish(good ? 0 : 1, "GET " + target_.path + ": " + line.substr(9));
}

void NetworkProbe::finish(int exit_code, std::string text) {
  watcher_.reset();
  Done done = std::exchange(done_, nullptr);
  done(exit_code, std::move(text));  // may destroy this
}

}  // namespace gantry::engine
