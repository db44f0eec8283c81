#include "client/api_client.h"

#include <unistd.h>

#include <mutex>
#include <vector>

#include "base/http.h"
#include "base/roots.h"
#include "base/strings.h"
#include "client/connection.h"
#include "client/contexts.h"
#include "client/daemon_start.h"
#include "client/error_answer.h"

namespace gantry::client {
namespace {

constexpr size_t kMaxBody = size_t{256} << 20;  // of an answer that is kept whole
constexpr size_t kMaxLine = size_t{64} << 20;
constexpr size_t kPiece = 64 * 1024;

std::string variable(const std::map<std::string, std::string>& environment, const std::string& name) {
  const auto at = environment.find(name);
  return at == environment.end() ? std::string() : at->second;
}

// As Docker's client: certificates lie in DOCKER_CERT_PATH, else ~/.docker; one that is not there is not used.
TlsWish tls_of(const std::map<std::string, std::string>& environment, const Endpoint::Flags& flags) {
  std::string verify = variable(environment, "GANTRY_TLS_VERIFY");
  if (verify.empty()) verify = variable(environment, "DOCKER_TLS_VERIFY");
  const bool asked = !verify.empty() && verify != "0" && verify != "false";
  TlsWish wish{.on = flags.tls || flags.tls_verify || asked, .verify = flags.tls_verify || asked || !flags.tls, .files = {}};
  if (!wish.on) return wish;
  std::string directory = variable(environment, "GANTRY_CERT_PATH");
  if (directory.empty()) directory = variable(environment, "DOCKER_CERT_PATH");
  if (directory.empty()) directory = variable(environment, "HOME") + "/.docker";
  const auto file = [&](const std::string& flag, const char* name) -> std::string {
    if (!flag.empty()) return flag;
    const std::string path = directory + "/" + name;
    return ::access(path.c_str(), F_OK) == 0 ? path : "";
  };
  wish.files = {.ca = wish.verify ? file(flags.tls_ca, "ca.pem") : "", .cert = file(flags.tls_cert, "cert.pem"), .key = file(flags.tls_key, "key.pem")};
  return wish;
}

Result<Fd> open_connection(const Endpoint& endpoint, bool start) {
  const Address address = TRY(Address::parse(endpoint.host));
  Result<Fd> socket = dial(address, endpoint.tls);
  if (socket.ok() || !start || socket.error().code() != Code::unavailable || !endpoint.may_start_daemon()) {
    return socket;
  }
  return start_daemon(
      {.roots = resolve_roots(endpoint.data_root, endpoint.run_root), .address = address});
}

// Cuts a stream of bytes into lines; what has no end yet is kept.
class LineCutter {
 public:
  explicit LineCutter(const std::function<bool(std::string_view)>& on_line) : on_line_(on_line) {}

  // False: the receiver has had enough.
  bool add(std::string_view bytes) {
    for (;;) {
      const size_t end = bytes.find('\n');
      if (end == std::string_view::npos) break;
      std::string_view line = bytes.substr(0, end);
      if (!rest_.empty()) {
        rest_ += line;
        line = rest_;
      }
      const bool more = hand_over(line);
      rest_.clear();
      if (!more) return false;
      bytes.remove_prefix(end + 1);
    }
    rest_ += bytes;
    return rest_.size() <= kMaxLine;
  }
  void finish() {
    if (!rest_.empty()) hand_over(rest_);
  }

 private:
  bool hand_over(std::string_view line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line.empty() || on_line_(line);
  }

  const std::function<bool(std::string_view)>& on_line_;
  std::string rest_;
};

std::map<std::string, std::string> in_lower_case(const http::Headers& headers) {
  std::map<std::string, std::string> map;
  for (const auto& [name, value] : headers.fields()) map[to_lower(name)] = value;
  return map;
}

class HttpClient final : public ApiClient {
 public:
  HttpClient(Endpoint endpoint, bool start, Fd socket) : endpoint_(std::move(endpoint)), start_(start) {
    connection_ = std::make_unique<Connection>(std::move(socket));
  }

  Result<Response> request(const std::string& method, const std::string& path, const std::string& body,
                           const std::string& content_type) override {
    TRY(make_ready());
    const http::ResponseHead head =
        TRY(exchange({.method = method, .path = path, .content_type = content_type, .body = body}));
    std::string content = TRY(own(connection_->read_body(kMaxBody)));
    return Response{.status = head.status, .body = std::move(content), .headers = in_lower_case(head.headers)};
  }

  Result<> stream_lines(const std::string& method, const std::string& path, const std::string& body,
                        const std::function<bool(std::string_view)>& on_line,
                        const std::function<void()>& on_pause) override {
    LineCutter cutter(on_line);
    TRY(stream({.method = method, .path = path, .content_type = "application/json", .body = body},
               [&](std::string_view bytes) {
                 const bool more = cutter.add(bytes);
                 if (on_pause) on_pause();
                 return more;
               },
               on_pause));
    cutter.finish();
    if (on_pause) on_pause();
    return {};
  }

  Result<> stream_bytes(const std::string& method, const std::string& path, const std::string& body,
                        const std::function<bool(std::string_view)>& on_bytes) override {
    return stream({.method = method, .path = path, .content_type = "application/json", .body = body}, on_bytes);
  }

  Result<> upload(const std::string& method, const std::string& path, const std::string& content_type,
                  const std::function<Result<std::string>()>& next,
                  const std::function<bool(std::string_view)>& on_line) override {
    LineCutter cutter(on_line);
    TRY(stream({.method = method, .path = path, .content_type = content_type, .body = {}, .body_source = &next},
               [&](std::string_view bytes) { return cutter.add(bytes); }));
    cutter.finish();
    return {};
  }

  Result<Upgraded> upgrade(const std::string& method, const std::string& path, const std::string& body,
                           Upon upon) override {
    const std::unique_ptr<Connection> connection =
        TRY(upon == Upon::this_connection ? take_connection() : make_connection());
    const http::ResponseHead head = TRY(connection->exchange({.method = method,
                                                              .path = path,
                                                              .content_type = "application/json",
                                                              .body = body,
                                                              .upgrade = true,
                                                              .extra_head = extra_head_}));
    if (head.status != 101) {
      const std::string text = TRY(connection->read_body(kMaxBody));
      if (head.status < 400) return internal_error("the daemon did not hand over the connection: " + text);
      return error_of_answer(head.status, text);
    }
    Connection::Released released = connection->release();
    return Upgraded{
        .socket = std::move(released.socket), .read_ahead = std::move(released.read_ahead), .headers = in_lower_case(head.headers)};
  }

  void set_header(const std::string& name, const std::string& value) override {
    headers_.erase(name);
    if (!value.empty()) headers_[name] = value;
    extra_head_.clear();
    for (const auto& [header, text] : headers_) extra_head_ += header + ": " + text + "\r\n";
  }

  Result<std::unique_ptr<ApiClient>> another() override { return ApiClient::connect(endpoint_, start_); }

  void interrupt() override {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
    if (connection_) connection_->interrupt();
  }

 private:
  Result<> make_ready() {
    const bool usable = connection_ && connection_->reusable() && !connection_->is_stale();
    std::unique_ptr<Connection> fresh;
    if (!usable && !is_interrupted()) fresh = TRY(make_connection());
    const std::lock_guard lock(mutex_);
    if (interrupted_) return cancelled();
    if (fresh) connection_ = std::move(fresh);
    return {};
  }

  Result<std::unique_ptr<Connection>> make_connection() {
    return std::make_unique<Connection>(TRY(open_connection(endpoint_, start_)));
  }

  Result<std::unique_ptr<Connection>> take_connection() {
    TRY(make_ready());
    const std::lock_guard lock(mutex_);
    if (!connection_) return cancelled();
    return std::move(connection_);
  }

  bool is_interrupted() {
    const std::lock_guard lock(mutex_);
    return interrupted_;
  }

  Result<http::ResponseHead> exchange(Connection::Request request) {
    request.extra_head = extra_head_;
    return own(connection_->exchange(request));
  }

  Result<> stream(const Connection::Request& request, const std::function<bool(std::string_view)>& on_bytes,
                  const std::function<void()>& on_head = {}) {
    TRY(make_ready());
    const http::ResponseHead head = TRY(exchange(request));
    if (head.status >= 400) {
      const std::string text = TRY(own(connection_->read_body(kMaxBody)));
      return error_of_answer(head.status, text);
    }
    if (on_head) on_head();
    const auto piece = std::make_unique_for_overwrite<char[]>(kPiece);  // pages that are not needed stay untouched
    for (;;) {
      const size_t size = TRY(own(connection_->read_body({piece.get(), kPiece})));
      if (size == 0) return {};
      if (!on_bytes({piece.get(), size})) {
        hang_up();
        return {};
      }
    }
  }

  void hang_up() {
    const std::lock_guard lock(mutex_);
    connection_.reset();
  }

  // A failed connection is of no use any more; one that `interrupt` broke failed because of that.
  template <class T>
  Result<T> own(Result<T> result) {
    if (result.ok()) return result;
    hang_up();
    if (is_interrupted()) return cancelled();
    return result;
  }

  static Error cancelled() { return {Code::cancelled, "interrupted"}; }

  Endpoint endpoint_;
  bool start_;
  std::map<std::string, std::string> headers_;
  std::string extra_head_;
  std::mutex mutex_;  // held while `connection_` changes, and by interrupt()
  std::unique_ptr<Connection> connection_;
  bool interrupted_ = false;  // guarded by mutex_
};

}  // namespace

Result<Endpoint> Endpoint::from_environment(const std::map<std::string, std::string>& environment,
                                            const std::string& host_flag, const std::string& data_root_flag,
                                            const std::string& run_root_flag, const Flags& flags) {
  Endpoint endpoint;
  endpoint.data_root = data_root_flag.empty() ? variable(environment, "GANTRY_DATA_ROOT") : data_root_flag;
  endpoint.run_root = run_root_flag.empty() ? variable(environment, "GANTRY_RUN_ROOT") : run_root_flag;
  endpoint.host = host_flag;
  std::string context = host_flag.empty() ? flags.context : "";
  if (endpoint.host.empty() && context.empty()) endpoint.host = variable(environment, "GANTRY_HOST");
  // DOCKER_HOST and contexts name some engine of the user's; roots given for Gantry are nearer to what was meant.
  const bool has_roots = !endpoint.data_root.empty() || !endpoint.run_root.empty();
  if (endpoint.host.empty() && context.empty() && !has_roots) endpoint.host = variable(environment, "DOCKER_HOST");
  if (endpoint.host.empty() && context.empty() && !has_roots) context = TRY(Contexts(environment).current());
  if (!context.empty() && context != "default") {
    const Context chosen = TRY(Contexts(environment).find(context));
    endpoint.host = chosen.host;
    endpoint.tls = {.on = !chosen.tls.ca.empty() || !chosen.tls.cert.empty() || chosen.skip_verify,
                    .verify = !chosen.skip_verify,
                    .files = chosen.tls};
  }
  endpoint.explicitly_given = !endpoint.host.empty();
  if (endpoint.host.empty()) {
    endpoint.host = "unix://" + resolve_roots(endpoint.data_root, endpoint.run_root).socket().native();
  }
  TRY(Address::parse(endpoint.host));
  if (context.empty() || context == "default") endpoint.tls = tls_of(environment, flags);
  return endpoint;
}

bool Endpoint::may_start_daemon() const {
  const Result<Address> address = Address::parse(host);
  if (!address.ok() || address->kind != Address::Kind::unix_socket) return false;
  const bool has_roots = !data_root.empty() || !run_root.empty();
  return has_roots || address->path == resolve_roots({}, {}).socket();
}

Result<std::string> Response::ok_body() && {
  if (status < 400) return std::move(body);
  return error_of_answer(status, body);
}

Result<std::unique_ptr<ApiClient>> ApiClient::connect(const Endpoint& endpoint, bool start_daemon) {
  Fd socket = TRY(open_connection(endpoint, start_daemon));
  return std::unique_ptr<ApiClient>(std::make_unique<HttpClient>(endpoint, start_daemon, std::move(socket)));
}

std::string url_encode(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~';
    if (plain) {
      encoded += c;
    } else {
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return encoded;
}

}  // namespace gantry::client
