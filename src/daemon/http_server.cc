#include "daemon/http_server.h"

#include <grp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "daemon/websocket.h"

namespace gantry::daemon {
namespace {

// Go's server takes heads of 1 MiB; clients that copy every option into the query need it.
constexpr size_t kMaxHead = 1 << 20;
// How much of a body that nobody wanted is read, so that the connection can go on; beyond it is closed.
constexpr size_t kMaxDrain = 4 << 20;
constexpr size_t kBodyPiece = 16 << 10;  // of a body, read at once

http::Headers& common_headers() {
  static http::Headers headers;
  return headers;
}

const char* reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 409:
      return "Conflict";
    case 413:
      return "Payload Too Large";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    default:
      return status < 400 ? "OK" : "Internal Server Error";
  }
}

bool has_no_body(int status) { return status < 200 || status == 204 || status == 304; }

}  // namespace

void set_common_headers(http::Headers headers) { common_headers() = std::move(headers); }

Exchange::Exchange(int socket, http::Source& source, http::RequestHead head, http::BodyLength length)
    : socket_(socket),
      source_(source),
      head_(std::move(head)),
      length_(length),
      body_(source, length),
      expects_continue_(head_.headers.has_token("expect", "100-continue")),
      keep_alive_(head_.minor >= 1 && !head_.headers.has_token("connection", "close")) {}

Result<size_t> Exchange::read(std::span<char> into) {
  if (expects_continue_ && has_body()) TRY(http::send_all(socket_, "HTTP/1.1 100 Continue\r\n\r\n"));
  expects_continue_ = false;
  return body_.read(into);
}

Result<std::string> Exchange::read_body(size_t limit) {
  std::string body;
  const auto piece = std::make_unique_for_overwrite<char[]>(kBodyPiece);
  for (;;) {
    const size_t got = TRY(read({piece.get(), kBodyPiece}));
    if (got == 0) return body;
    if (body.size() + got > limit) return Error(Code::exhausted, "the request's body is too long");
    body.append(piece.get(), got);
  }
}

std::string Exchange::head_of(int status, std::string_view content_type) const {
  std::string head = "HTTP/1.1 " + std::to_string(status) + " " + reason_of(status) + "\r\n";
  const auto add = [&head](std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
  };
  for (const auto& [name, value] : common_headers().fields()) add(name, value);
  head += extra_lines();
  if (!content_type.empty()) add("Content-Type", content_type);
  return head;
}

Result<> Exchange::send(int status, std::string_view body, std::string_view content_type) {
  CHECK(state_ == State::open);
  state_ = State::complete;
  const bool bare = has_no_body(status);
  std::string answer = head_of(status, bare ? "" : content_type);
  // A body that was announced but not asked for would be taken for the next request.
  if (expects_continue_ && has_body()) keep_alive_ = false;
  if (!bare) answer += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  if (!keep_alive_) answer += "Connection: close\r\n";
  answer += "\r\n";
  if (!bare && head_.method != "HEAD") answer += body;
  return http::send_all(socket_, answer);
}

Result<> Exchange::begin(int status, std::string_view content_type) {
  CHECK(state_ == State::open);
  state_ = State::streaming;
  chunked_ = head_.minor >= 1;
  std::string head = head_of(status, content_type);
  if (chunked_) head += "Transfer-Encoding: chunked\r\n";
  if (!chunked_ || (expects_continue_ && has_body())) keep_alive_ = false;
  if (!keep_alive_) head += "Connection: close\r\n";
  return http::send_all(socket_, head + "\r\n");
}

Result<> Exchange::write(std::string_view data) {
  CHECK(state_ == State::streaming);
  if (head_.method == "HEAD") return {};
  return chunked_ ? http::send_chunk(socket_, data) : http::send_all(socket_, data);
}

Result<> Exchange::end() {
  CHECK(state_ == State::streaming);
  state_ = State::complete;
  if (!chunked_ || head_.method == "HEAD") return {};
  return http::send_all(socket_, http::kLastChunk);
}

std::string Exchange::extra_lines() const {
  std::string lines;
  for (const auto& [name, value] : extra_.fields()) lines.append(name).append(": ").append(value).append("\r\n");
  return lines;
}

Result<Exchange::Hijacked> Exchange::hijack(std::string_view content_type) {
  CHECK(state_ == State::open);
  state_ = State::hijacked;
  keep_alive_ = false;
  std::string head;
  if (Result<std::string> websocket = websocket_answer(head_); websocket.ok()) {
    head = std::move(*websocket);
  } else if (head_.headers.has_token("connection", "upgrade") && head_.headers.find("upgrade") != nullptr) {
    head = "HTTP/1.1 101 UPGRADED\r\nContent-Type: " + std::string(content_type) +
           "\r\nConnection: Upgrade\r\nUpgrade: " + head_.headers.get("upgrade") + "\r\n" + extra_lines() + "\r\n";
  } else {
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n" + extra_lines() + "\r\n";
  }
  TRY(http::send_apart(socket_, head));
  return Hijacked{.socket = socket_, .read_ahead = source_.take_buffered()};
}

Result<> Exchange::send_raw_error(std::string_view status_line, std::string_view text) {
  CHECK(state_ == State::open);
  state_ = State::hijacked;
  keep_alive_ = false;
  std::string answer = "HTTP/1.1 ";
  answer.append(status_line).append("\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n").append(text);
  return http::send_all(socket_, answer + "\r\n");
}

bool Exchange::finish() {
  if (state_ == State::streaming) return false;  // broken off: only the connection's end can say so
  if (state_ != State::complete || !keep_alive_) return false;
  if (body_.at_end()) return true;
  const auto piece = std::make_unique_for_overwrite<char[]>(kBodyPiece);
  for (size_t drained = 0; !body_.at_end();) {
    const Result<size_t> got = body_.read({piece.get(), kBodyPiece});
    if (!got.ok()) return false;
    drained += *got;
    if (drained > kMaxDrain) return false;
  }
  return true;
}

namespace {

struct Listener {
  Fd socket;
  unsigned accepting = 0;  // threads that accept from it or are on their way to; guarded by State::mutex
};

}  // namespace

struct HttpServer::State {
  Handler handler;

  mutable std::mutex mutex;
  std::condition_variable changed;
  std::set<int> sockets;  // of living connections; guarded by mutex
  unsigned busy = 0;      // threads, and connections that are not over; guarded by mutex
  bool stopped = false;   // guarded by mutex
  std::vector<std::shared_ptr<Listener>> listeners;  // guarded by mutex

  // False: the server is stopping.
  bool enter(int socket) {
    const std::lock_guard lock(mutex);
    if (stopped) return false;
    ++busy;
    if (socket >= 0) sockets.insert(socket);
    return true;
  }
  void leave(int socket) {
    const std::lock_guard lock(mutex);
    --busy;
    sockets.erase(socket);
    changed.notify_all();
  }

  // The thread that accepts a connection carries it. Mostly another one waits beside it already and accepts from then on, so
  // that nobody is woken between a client's call and its request: the kernel wakes one of them for each connection.
  void work(const std::shared_ptr<Listener>& listener);
  Fd accept_next(int listening);
  bool attend(const std::shared_ptr<Listener>& listener);
  bool come_back(Listener& listener);
  void talk(int socket);
};

namespace {

constexpr int kLingerMilliseconds = 5000;
// Threads that wait at one socket for a connection. Each holds some 20 KB of stack; commands that follow each other need two or
// three: the last one's thread may still see its client off.
constexpr unsigned kMostWaiting = 3;

// The end of a connection that was taken over: the client is told that nothing follows, and closes when it has read all. A
// hang-up may not come before: libuv (Node's clients) takes one after a short read for the end, and the read that takes the
// head alone is short, whatever is behind it. Nor while something of the client's is unread: that breaks off what it reads.
void linger(int socket, size_t most) {
  ::shutdown(socket, SHUT_WR);
  const auto ignored = std::make_unique_for_overwrite<char[]>(kBodyPiece);
  pollfd client{.fd = socket, .events = POLLIN, .revents = 0};
  for (size_t drained = 0; drained < most && ::poll(&client, 1, kLingerMilliseconds) > 0;) {
    const ssize_t got = ::recv(socket, ignored.get(), kBodyPiece, MSG_DONTWAIT);
    if (got <= 0) return;
    drained += static_cast<size_t>(got);
  }
}

}  // namespace

HttpServer::HttpServer(Handler handler) : state_(std::make_unique<State>()) { state_->handler = std::move(handler); }

HttpServer::~HttpServer() { stop(); }

unsigned HttpServer::connections() const {
  const std::lock_guard lock(state_->mutex);
  return static_cast<unsigned>(state_->sockets.size());
}

Result<> HttpServer::serve(Fd listening) {
  auto listener = std::make_shared<Listener>(Listener{.socket = std::move(listening), .accepting = 1});
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->stopped) return Error(Code::unavailable, "the server is stopping");
    state_->listeners.push_back(listener);
    ++state_->busy;
  }
  std::thread([state = state_.get(), listener] { state->work(listener); }).detach();
  return {};
}

void HttpServer::stop() {
  std::unique_lock lock(state_->mutex);
  state_->stopped = true;
  for (const auto& listener : state_->listeners) ::shutdown(listener->socket.get(), SHUT_RDWR);
  for (const int socket : state_->sockets) ::shutdown(socket, SHUT_RDWR);
  state_->changed.notify_all();
  state_->changed.wait(lock, [this] { return state_->busy == 0; });
  state_->listeners.clear();
}

// A thread's life.
void HttpServer::State::work(const std::shared_ptr<Listener>& listener) {
  for (bool goes_on = true; goes_on;) {
    const Fd socket = accept_next(listener->socket.get());
    if (!socket || !enter(socket.get())) break;
    if (attend(listener)) {
      talk(socket.get());
      goes_on = come_back(*listener);
    }
    leave(socket.get());  // before close: the number may be given to a new connection at once
  }
  leave(-1);
}

// None: the server is stopping.
Fd HttpServer::State::accept_next(int listening) {
  for (;;) {
    Fd socket(::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC));
    if (socket) return socket;
    const int failure = errno;
    if (failure == EINVAL) return {};  // shut down by stop()
    if (failure != EMFILE && failure != ENFILE && failure != ENOMEM && failure != ENOBUFS) continue;  // that client's trouble
    // The waiting connection stays in the queue: wait until one of ours ends.
    log_warning("cannot accept a connection: " + std::string(std::strerror(failure)));
    std::unique_lock lock(mutex);
    if (!stopped) changed.wait_for(lock, std::chrono::seconds(1));
  }
}

// The caller accepts no more for now. False: there is no other thread that could, so that it has to.
bool HttpServer::State::attend(const std::shared_ptr<Listener>& listener) {
  {
    const std::lock_guard lock(mutex);
    if (--listener->accepting > 0) return true;
    ++listener->accepting;
    ++busy;
  }
  try {
    std::thread([this, listener] { work(listener); }).detach();
    return true;
  } catch (const std::system_error& failure) {
    log_warning(std::string("no thread for a connection: ") + failure.what());
    leave(-1);
    return false;
  }
}

// False: there are threads enough that wait.
bool HttpServer::State::come_back(Listener& listener) {
  const std::lock_guard lock(mutex);
  if (listener.accepting >= kMostWaiting) return false;
  ++listener.accepting;
  return true;
}

void HttpServer::State::talk(int socket) {
  http::Source source(socket);
  for (bool more = true; more;) {
    Result<std::optional<std::string>> text = source.read_head(kMaxHead);
    if (text.ok() && !*text) return;  // the client hung up between requests
    Result<http::RequestHead> head = text.ok() ? http::parse_request_head(**text) : text.error();
    Result<http::BodyLength> length =
        head.ok() ? http::request_body_length(*head) : Result<http::BodyLength>(head.error());
    if (!length.ok()) {
      if (length.error().code() == Code::unavailable) return;
      const int status = length.error().code() == Code::exhausted ? 431 : 400;
      Exchange broken(socket, source, {.method = "GET", .target = "/", .minor = 0, .headers = {}}, {});
      (void)broken.send(status, length.error().message() + "\n", "text/plain; charset=utf-8").ok();
      linger(socket, kMaxDrain);
      return;
    }
    Exchange exchange(socket, source, std::move(*head), *length);
    handler(exchange);
    more = exchange.finish();
    if (exchange.hijacked()) linger(socket, SIZE_MAX);
  }
}

Result<Fd> listen_unix(const std::string& path, const std::string& group) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return invalid("socket path " + gantry::quoted(path) + " is longer than the kernel's limit of " +
                   std::to_string(sizeof address.sun_path - 1) + " characters: choose a shorter --run-root or --host");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return Error::from_errno(errno, "socket");
  struct stat found {};
  if (::lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode)) return conflict(gantry::quoted(path) + " exists and is not a socket");
    if (::unlink(path.c_str()) != 0) return Error::from_errno(errno, "unlink", path);
  }
  // Created without any rights and opened up afterwards, so that nobody slips in between.
  const mode_t old_mask = ::umask(0777);
  const int bound = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int failure = errno;
  ::umask(old_mask);
  if (bound != 0) return Error::from_errno(failure, "bind", path);
  if (const struct group* entry = ::getgrnam(group.c_str()); entry != nullptr && ::geteuid() == 0) {
    if (::chown(path.c_str(), 0, entry->gr_gid) != 0) return Error::from_errno(errno, "chown", path);
  }
  if (::chmod(path.c_str(), 0660) != 0) return Error::from_errno(errno, "chmod", path);
  if (::listen(socket.get(), SOMAXCONN) != 0) return Error::from_errno(errno, "listen", path);
  return socket;
}

}  // namespace gantry::daemon
