#include "client/connection.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace gantry::client {
namespace {

constexpr size_t kMaxHead = 1 << 20;  // as Go's client

Error not_there(const std::string& where, int errno_value) {
  return {Code::unavailable, "cannot connect to the Gantry daemon at " + where + ": " + std::strerror(errno_value)};
}

Result<Fd> dial_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return invalid("the socket path " + gantry::quoted(path) +
                   " is too long: " + std::to_string(sizeof address.sun_path - 1) +
                   " characters are the kernel's limit; choose a shorter --run-root or --host");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return Error::from_errno(errno, "socket");
  while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int failure = errno;
    if (failure == EINTR) continue;
    if (failure == EACCES || failure == EPERM) {
      return Error(Code::forbidden, "permission denied on the daemon's socket unix://" + path +
                                        ": run as root or as a member of the group that owns it");
    }
    return not_there("unix://" + path, failure);
  }
  return socket;
}

Result<Fd> dial_tcp(const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string where = "tcp://" + address.host + ":" + address.port;
  const int failure = ::getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found);
  if (failure != 0) return Error(Code::unavailable, "cannot resolve " + where + ": " + ::gai_strerror(failure));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> guard(found, &::freeaddrinfo);
  int last = ECONNREFUSED;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    Fd socket(::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol));
    if (socket && ::connect(socket.get(), at->ai_addr, at->ai_addrlen) == 0) {
      const int on = 1;
      ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return socket;
    }
    last = errno;
  }
  return not_there(where, last);
}

}  // namespace

Result<Address> Address::parse(std::string_view text) {
  const size_t end = text.find("://");
  const std::string_view scheme = end == std::string_view::npos ? "" : text.substr(0, end);
  const std::string_view rest = end == std::string_view::npos ? text : text.substr(end + 3);
  if (scheme == "unix" || (scheme.empty() && rest.starts_with('/'))) {
    if (!rest.starts_with('/'))
      return invalid("host " + gantry::quoted(text) + ": a unix socket needs an absolute path");
    return Address{.kind = Kind::unix_socket, .path = std::string(rest), .host = {}, .port = {}};
  }
  if (scheme == "tcp" || scheme == "http") {
    const size_t colon = rest.rfind(':');
    const bool has_port = colon != std::string_view::npos && rest.find(']', colon) == std::string_view::npos;
    std::string_view host = rest.substr(0, has_port ? colon : rest.size());
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (host.empty()) return invalid("host " + gantry::quoted(text) + ": no host name");
    return Address{.kind = Kind::tcp,
                   .path = {},
                   .host = std::string(host),
                   .port = has_port ? std::string(rest.substr(colon + 1)) : "2375"};
  }
  if (scheme == "ssh" || scheme == "https" || scheme == "npipe" || scheme == "fd") {
    return unsupported("host " + gantry::quoted(text) + ": " + std::string(scheme) +
                       ":// is not supported; use unix:// or tcp://");
  }
  return invalid("host " + gantry::quoted(text) + " is no address: expected unix:///path or tcp://host:port");
}

Result<Fd> dial(const Address& address) {
  return address.kind == Address::Kind::unix_socket ? dial_unix(address.path) : dial_tcp(address);
}

Connection::Connection(Fd socket) : socket_(std::move(socket)), source_(socket_.get()) {}

Result<> Connection::send_request(const Request& request) {
  std::string head = request.method + " " + request.path + " HTTP/1.1\r\nHost: gantry\r\nUser-Agent: gantry\r\n";
  if (request.upgrade) head += "Connection: Upgrade\r\nUpgrade: tcp\r\n";
  if (request.body_source != nullptr) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    head += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  if ((request.body_source != nullptr || !request.body.empty()) && !request.content_type.empty()) {
    head += "Content-Type: " + request.content_type + "\r\n";
  }
  head += request.extra_head;
  head += "\r\n";
  head += request.body;
  TRY(http::send_all(socket_.get(), head));
  if (request.body_source == nullptr) return {};
  for (;;) {
    const std::string piece = TRY((*request.body_source)());
    if (piece.empty()) break;
    TRY(http::send_chunk(socket_.get(), piece));
  }
  return http::send_all(socket_.get(), http::kLastChunk);
}

Result<http::ResponseHead> Connection::exchange(const Request& request) {
  body_.reset();
  const Result<> sent = send_request(request);
  // The daemon may have refused a long body half way: then its answer says why, not our EPIPE.
  if (!sent.ok() && sent.error().code() != Code::unavailable) return sent.error();
  if (!sent.ok()) keep_alive_ = false;
  for (;;) {
    std::optional<std::string> text = TRY(source_.read_head(kMaxHead));
    if (!text) {
      return sent.ok() ? Error(Code::unavailable, "the daemon closed the connection without an answer") : sent.error();
    }
    http::ResponseHead head = TRY(http::parse_response_head(*text));
    if (head.status >= 100 && head.status < 200 && head.status != 101) continue;  // 100 Continue and the like
    const http::BodyLength length = TRY(http::response_body_length(head, request.method));
    if (head.minor == 0 || head.status == 101 || length.kind == http::BodyLength::Kind::until_close ||
        head.headers.has_token("connection", "close")) {
      keep_alive_ = false;
    }
    body_.emplace(source_, length);
    return head;
  }
}

Result<size_t> Connection::read_body(std::span<char> into) { return body_->read(into); }
Result<std::string> Connection::read_body(size_t limit) { return body_->read_all(limit); }

bool Connection::reusable() const { return keep_alive_ && (!body_ || body_->at_end()) && !source_.has_buffered(); }

bool Connection::is_stale() const {
  pollfd state{.fd = socket_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&state, 1, 0) != 0;  // an idle connection has nothing to say but its end
}

Connection::Released Connection::release() {
  return {.socket = std::move(socket_), .read_ahead = source_.take_buffered()};
}

void Connection::interrupt() const { ::shutdown(socket_.get(), SHUT_RDWR); }

}  // namespace gantry::client
