#include "engine/image/http_client.h"

#include <httplib.h>
#include <netdb.h>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "engine/image/http_proxy.h"

namespace gantry::engine {
namespace {

constexpr int kMostRedirects = 10;
constexpr auto kConnectTimeout = std::chrono::seconds(30);
constexpr auto kReadTimeout = std::chrono::seconds(60);
constexpr size_t kUploadPiece = size_t{128} << 10;

struct Url {
  std::string scheme;
  std::string host;       // an IPv6 address without brackets
  std::string host_port;  // as in the URL
  int port = 0;
  std::string path;  // with the query
  std::string origin() const { return scheme + "://" + host_port; }
  std::string text() const { return origin() + path; }
};

Result<Url> parse_url(const std::string& text) {
  const size_t scheme_end = text.find("://");
  if (scheme_end == std::string::npos) return invalid("invalid URL " + gantry::quoted(text));
  Url url{.scheme = to_lower(text.substr(0, scheme_end))};
  if (url.scheme != "http" && url.scheme != "https")
    return invalid("unsupported protocol scheme " + gantry::quoted(url.scheme));
  const size_t host_start = scheme_end + 3;
  const size_t path_start = text.find_first_of("/?#", host_start);
  url.host_port = text.substr(host_start, path_start == std::string::npos ? path_start : path_start - host_start);
  url.path = path_start == std::string::npos ? "/" : text.substr(path_start, text.find('#', path_start) - path_start);
  if (url.path.empty() || url.path.front() != '/') url.path.insert(0, "/");
  const bool has_control = std::any_of(text.begin(), text.end(), [](unsigned char c) { return c <= ' ' || c == 127; });
  if (has_control || url.host_port.empty() || url.host_port.find('@') != std::string::npos) {
    return invalid("invalid URL " + gantry::quoted(text));
  }
  const size_t bracket = url.host_port.find(']');
  const size_t colon = url.host_port.find(':', bracket == std::string::npos ? 0 : bracket);
  url.host = url.host_port.substr(0, colon);
  if (url.host.starts_with('[')) url.host = url.host.substr(1, url.host.size() - 2);
  url.port = url.scheme == "https" ? 443 : 80;
  if (colon != std::string::npos) {
    const std::optional<uint64_t> port = parse_unsigned(std::string_view(url.host_port).substr(colon + 1));
    if (!port.has_value() || *port == 0 || *port > 65535) return invalid("invalid URL " + gantry::quoted(text));
    url.port = static_cast<int>(*port);
  }
  return url;
}

// What went wrong with the connection, in the words that Docker's clients know.
std::string describe(httplib::Error error, const Url& url) {
  if (error == httplib::Error::Connection) {
    addrinfo* found = nullptr;
    const int code = getaddrinfo(url.host.c_str(), nullptr, nullptr, &found);
    if (found != nullptr) freeaddrinfo(found);
    if (code != 0) return "dial tcp: lookup " + url.host + ": no such host";
    return "dial tcp " + url.host_port + ": connect: connection refused";
  }
  if (error == httplib::Error::ConnectionTimeout) return "dial tcp " + url.host_port + ": i/o timeout";
  if (error == httplib::Error::SSLServerVerification) {
    return "tls: failed to verify certificate: x509: certificate signed by unknown authority, or not for " + url.host +
           " (put its CA into /etc/gantry/certs.d/" + url.host_port + "/ca.crt)";
  }
  if (error == httplib::Error::SSLConnection) return "tls: handshake failed: the server does not speak TLS";
  if (error == httplib::Error::Read) return "unexpected EOF";
  if (error == httplib::Error::Write) return "connection reset by peer";
  return httplib::to_string(error);
}

bool is_unreachable(httplib::Error error) {
  return error == httplib::Error::Connection || error == httplib::Error::SSLServerVerification ||
         error == httplib::Error::SSLConnection || error == httplib::Error::SSLLoadingCerts;
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string environment(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

Result<std::string> resolve_location(const std::string& url, const std::string& location) {
  const Url from = TRY(parse_url(url));
  std::string target = location;
  if (location.find("://") == std::string::npos) {
    if (location.starts_with("//")) {
      target = from.scheme + ":" + location;
    } else if (location.starts_with('/')) {
      target = from.origin() + location;
    } else {
      target = from.origin() + from.path.substr(0, from.path.rfind('/', from.path.find('?')) + 1) + location;
    }
  }
  TRY(parse_url(target));
  return target;
}

std::string url_encoded(std::string_view value) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (char c : value) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~';
    if (plain) {
      encoded += c;
    } else {
      encoded += '%';
      encoded += kDigits[static_cast<unsigned char>(c) >> 4];
      encoded += kDigits[static_cast<unsigned char>(c) & 15];
    }
  }
  return encoded;
}

std::string HttpAnswer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

struct HttpClient::Connections {
  std::map<std::string, std::unique_ptr<httplib::Client>> by_origin;

  static Result<> set_tls(httplib::Client& client, const TlsFiles& tls) {
    SSL_CTX* context = client.ssl_context();
    for (const std::string& file : tls.authorities) {
      if (SSL_CTX_load_verify_locations(context, file.c_str(), nullptr) != 1) {
        return invalid(file + " holds no certificate in PEM form");
      }
    }
    if (tls.certificate.empty()) return {};
    if (SSL_CTX_use_certificate_chain_file(context, tls.certificate.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, tls.key.c_str(), SSL_FILETYPE_PEM) != 1) {
      return invalid("client certificate " + tls.certificate + " or its key " + tls.key + " cannot be used");
    }
    return {};
  }

  Result<httplib::Client*> to(const Url& url, const HttpRequest& request) {
    std::string key = url.origin() + (request.verifies_tls ? "" : " unverified") + " " + request.tls.certificate;
    for (const std::string& file : request.tls.authorities) key += " " + file;
    std::unique_ptr<httplib::Client>& client = by_origin[key];
    if (client) return client.get();
    auto made = std::make_unique<httplib::Client>(url.origin());
    made->set_keep_alive(true);
    made->set_tcp_nodelay(true);
    made->set_connection_timeout(kConnectTimeout);
    made->set_read_timeout(kReadTimeout);
    made->set_write_timeout(kReadTimeout);
    made->set_follow_location(false);
    made->set_decompress(false);
    made->set_url_encode(false);  // paths come encoded, and signed URLs must not change
    made->enable_server_certificate_verification(request.verifies_tls);
    if (url.scheme == "https") TRY(set_tls(*made, request.tls));
    const std::optional<Proxy> proxy = TRY(choose_proxy(url.scheme, url.host, url.port, environment));
    if (proxy.has_value()) {
      made->set_proxy(proxy->host, proxy->port);
      if (!proxy->user.empty()) made->set_proxy_basic_auth(proxy->user, proxy->password);
    }
    client = std::move(made);
    return client.get();
  }
};

HttpClient::HttpClient() : connections_(std::make_unique<Connections>()) {}
HttpClient::~HttpClient() = default;

namespace {

// One request to one place, without redirects.
class Sending {
 public:
  Sending(const HttpRequest& request, const Url& url, bool with_credentials) : request_(request), url_(url) {
    message_.method = request.method;
    message_.path = url.path;
    for (const auto& [name, value] : request.headers) {
      if (to_lower(name) == "authorization" && !with_credentials) continue;
      message_.headers.emplace(name, value);
    }
    if (!request.content_type.empty()) message_.headers.emplace("Content-Type", request.content_type);
    message_.response_handler = [this](const httplib::Response& response) {
      take_head(response);
      return true;
    };
    message_.content_receiver = [this](const char* data, size_t size, uint64_t, uint64_t) {
      return take({data, size});
    };
    if (request.upload != nullptr) {
      message_.content_length_ = request.upload->size;
      message_.content_provider_ = [this](size_t offset, size_t length, httplib::DataSink& sink) {
        return give(offset, length, sink);
      };
      message_.is_chunked_content_provider_ = false;
    } else {
      message_.body = request.body;
    }
  }

  Result<HttpAnswer> run(httplib::Client& client, bool& was_unreachable) {
    httplib::Response response;
    httplib::Error error = httplib::Error::Success;
    const bool ok = client.send(message_, response, error);
    if (failure_.has_value()) return *std::move(failure_);
    if (!ok) {
      was_unreachable = is_unreachable(error);
      std::string method = request_.method;
      for (size_t i = 1; i < method.size(); ++i) method[i] = static_cast<char>(tolower(method[i]));
      return Error(Code::unavailable, method + " " + gantry::quoted(url_.text()) + ": " + describe(error, url_));
    }
    if (answer_.status == 0) take_head(response);  // the handler is not asked about answers without a body
    answer_.url = url_.text();
    return std::move(answer_);
  }

 private:
  void take_head(const httplib::Response& response) {
    answer_.status = response.status;
    for (const auto& [name, value] : response.headers) answer_.headers.emplace(to_lower(name), value);
  }

  bool is_cancelled() {
    if (!request_.cancelled || !request_.cancelled()) return false;
    failure_ = Error(Code::cancelled, "cancelled");
    return true;
  }

  bool take(std::string_view piece) {
    if (is_cancelled()) return false;
    if (request_.sink && (answer_.status == 200 || answer_.status == 206)) {
      Result<> taken = request_.sink(piece, answer_.status);
      if (!taken.ok()) failure_ = std::move(taken).error();
    } else {
      answer_.body.append(piece);
      if (answer_.body.size() > request_.largest_body) failure_ = Error(Code::exhausted, "answer is too long");
    }
    return !failure_.has_value();
  }

  bool give(size_t offset, size_t length, httplib::DataSink& sink) {
    if (is_cancelled()) return false;
    buffer_.resize(kUploadPiece);
    Result<size_t> got = request_.upload->read(offset, std::span(buffer_).first(std::min(length, buffer_.size())));
    if (!got.ok()) {
      failure_ = std::move(got).error();
    } else if (*got == 0) {
      failure_ = internal_error("what is sent ended too early");
    } else {
      return sink.write(buffer_.data(), *got);
    }
    return false;
  }

  const HttpRequest& request_;
  const Url& url_;
  httplib::Request message_;
  HttpAnswer answer_;
  std::optional<Error> failure_;
  std::string buffer_;
};

}  // namespace

Result<HttpAnswer> HttpClient::send(const HttpRequest& request) {
  was_unreachable_ = false;
  Url url = TRY(parse_url(request.url));
  const std::string first_origin = url.origin();
  for (int redirects = 0; redirects <= kMostRedirects; ++redirects) {
    httplib::Client* client = TRY(connections_->to(url, request));
    Sending sending(request, url, url.origin() == first_origin);
    HttpAnswer answer = TRY(sending.run(*client, was_unreachable_));
    if (!is_redirect(answer.status) || answer.header("location").empty()) return answer;
    // A body goes on only where the status says so; the others would turn it into a GET.
    const bool is_read = request.method == "GET" || request.method == "HEAD";
    if (!is_read && answer.status != 307 && answer.status != 308) return answer;
    const bool was_https = url.scheme == "https";
    url = TRY(parse_url(TRY(resolve_location(url.text(), answer.header("location")))));
    if (was_https && url.scheme == "http" && request.verifies_tls) {
      return Error(Code::unavailable, "redirect from https to http refused: " + url.origin());
    }
  }
  return Error(Code::unavailable, "Get " + gantry::quoted(request.url) + ": stopped after 10 redirects");
}

}  // namespace gantry::engine
