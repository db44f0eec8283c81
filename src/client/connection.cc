#include "client/connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <spawn.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "base/short_heap.h"
#include "client/tcp.h"
#include "client/tls_program.h"

namespace gantry::client {
namespace {

constexpr size_t kMaxHead = 1 << 20;  // as Go's client
constexpr uint64_t kLongAnswer = 64 << 10;

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
    return nobody_there("unix://" + path, failure);
  }
  return socket;
}

// An address in digits needs nobody else; what a name means is found out elsewhere.
Result<Fd> dial_tcp(const Address& address, const TlsWish& tls) {
  if (tls.on) return connect_with_tls(address, tls);
  const auto numeric = numeric_address(address.host, address.port);
  if (!numeric) return connect_by_name(address);
  return connect_tcp({&*numeric, 1}, "tcp://" + address.host + ":" + address.port);
}

// The system's ssh, with the user's keys and configuration; its messages go where ours go.
Result<Fd> dial_ssh(const Address& address) {
  auto [ours, theirs] = TRY(make_socket_pair(SOCK_STREAM));
  std::vector<std::string> words = {"ssh", "-o", "ConnectTimeout=30", "-T"};
  if (!address.user.empty()) words.insert(words.end(), {"-l", address.user});
  if (!address.port.empty()) words.insert(words.end(), {"-p", address.port});
  words.insert(words.end(), {"--", address.host, "gantry"});
  if (!address.path.empty()) words.insert(words.end(), {"--host", "unix://" + address.path});
  words.insert(words.end(), {"system", "dial-stdio"});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), 0);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), 1);
  ::posix_spawnattr_init(&attributes);
  // A ^C of the user's is for us to handle; ssh ends when its connection does.
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, "ssh", &actions, &attributes, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error == ENOENT) return unsupported("ssh://" + address.host + " needs the program ssh, which is not there");
  if (error != 0) return Error::from_errno(error, "start", "ssh");
  std::thread([pid] {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }).detach();
  return std::move(ours);
}

}  // namespace

Result<Address> Address::parse(std::string_view text) {
  const size_t end = text.find("://");
  const std::string_view scheme = end == std::string_view::npos ? "" : text.substr(0, end);
  const std::string_view rest = end == std::string_view::npos ? text : text.substr(end + 3);
  if (scheme == "unix" || (scheme.empty() && rest.starts_with('/'))) {
    if (!rest.starts_with('/'))
      return invalid("host " + gantry::quoted(text) + ": a unix socket needs an absolute path");
    return Address{.kind = Kind::unix_socket, .path = std::string(rest), .user = {}, .host = {}, .port = {}};
  }
  if (scheme == "tcp" || scheme == "http" || scheme == "ssh") {
    std::string_view place = rest;
    Address address{.kind = scheme == "ssh" ? Kind::ssh : Kind::tcp, .path = {}, .user = {}, .host = {}, .port = {}};
    if (const size_t slash = place.find('/'); slash != std::string_view::npos) {
      if (scheme == "ssh" && slash + 1 < place.size()) address.path = place.substr(slash);
      place = place.substr(0, slash);
    }
    if (const size_t at = place.rfind('@'); scheme == "ssh" && at != std::string_view::npos) {
      address.user = place.substr(0, at);
      place = place.substr(at + 1);
    }
    const size_t colon = place.rfind(':');
    const bool has_port = colon != std::string_view::npos && place.find(']', colon) == std::string_view::npos;
    std::string_view host = place.substr(0, has_port ? colon : place.size());
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (host.empty()) return invalid("host " + gantry::quoted(text) + ": no host name");
    // A name that looks like an option would be one to ssh.
    if (host.starts_with('-') || address.user.starts_with('-')) return invalid("host " + gantry::quoted(text) + ": no host name");
    address.host = host;
    address.port = has_port ? std::string(place.substr(colon + 1)) : address.kind == Kind::ssh ? "" : "2375";
    return address;
  }
  if (scheme == "https" || scheme == "npipe" || scheme == "fd") {
    return unsupported("host " + gantry::quoted(text) + ": " + std::string(scheme) +
                       ":// is not supported; use unix://, tcp:// or ssh://");
  }
  return invalid("host " + gantry::quoted(text) + " is no address: expected unix:///path, tcp://host:port or ssh://user@host");
}

Result<Fd> dial(const Address& address, const TlsWish& tls) {
  if (address.kind == Address::Kind::unix_socket) return dial_unix(address.path);
  if (address.kind == Address::Kind::ssh) return dial_ssh(address);
  return dial_tcp(address, tls);
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
  TRY(http::send_message(socket_.get(), head, request.body));
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
    // A list, which takes several times its length to work on.
    if (length.kind == http::BodyLength::Kind::bytes && length.bytes > kLongAnswer) expect_large_heap();
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
