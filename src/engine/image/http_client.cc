#include "engine/image/http_client.h"

#include <httplib.h>
#include <netdb.h>

#include "base/scope_exit.h"
#include "base/strings.h"

namespace gantry::engine {
namespace {

constexpr int kMostRedirects = 10;
constexpr auto kConnectTimeout = std::chrono::seconds(30);
constexpr auto kReadTimeout = std::chrono::seconds(60);

struct Url {
  std::string scheme;
  std::string host;       // as in the URL, an IPv6 address in brackets
  std::string host_port;  // "host:port"
  std::string path;       // with the query
  std::string origin() const { return scheme + "://" + host_port; }
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
  url.path = path_start == std::string::npos ? "/" : text.substr(path_start);
  if (url.path.front() != '/') url.path.insert(0, "/");
  if (url.host_port.empty() || url.host_port.find('@') != std::string::npos) {
    return invalid("invalid URL " + gantry::quoted(text));
  }
  const size_t bracket = url.host_port.find(']');
  const size_t colon = url.host_port.find(':', bracket == std::string::npos ? 0 : bracket);
  url.host = url.host_port.substr(0, colon);
  return url;
}

// What went wrong with the connection, in the words that Docker's clients know.
std::string describe(httplib::Error error, const Url& url) {
  if (error == httplib::Error::Connection) {
    addrinfo* found = nullptr;
    const std::string host = url.host.starts_with('[') ? url.host.substr(1, url.host.size() - 2) : url.host;
    const int code = getaddrinfo(host.c_str(), nullptr, nullptr, &found);
    if (found != nullptr) freeaddrinfo(found);
    if (code != 0) return "dial tcp: lookup " + host + ": no such host";
    return "dial tcp " + url.host_port + ": connect: connection refused";
  }
  if (error == httplib::Error::ConnectionTimeout) return "dial tcp " + url.host_port + ": i/o timeout";
  if (error == httplib::Error::SSLServerVerification) return "tls: failed to verify certificate";
  if (error == httplib::Error::SSLConnection) return "tls: handshake failed";
  if (error == httplib::Error::Read) return "unexpected EOF";
  return httplib::to_string(error);
}

// Where a redirect leads: absolute, or relative to where we are.
std::string redirect_target(const Url& from, const std::string& location) {
  if (location.find("://") != std::string::npos) return location;
  if (location.starts_with("//")) return from.scheme + ":" + location;
  if (location.starts_with('/')) return from.origin() + location;
  return from.origin() + from.path.substr(0, from.path.rfind('/', from.path.find('?')) + 1) + location;
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

std::string HttpAnswer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

struct HttpClient::Connections {
  std::map<std::string, std::unique_ptr<httplib::Client>> by_origin;

  httplib::Client& to(const Url& url, bool verifies_tls) {
    std::unique_ptr<httplib::Client>& client = by_origin[url.origin() + (verifies_tls ? "" : " unverified")];
    if (!client) {
      client = std::make_unique<httplib::Client>(url.origin());
      client->set_keep_alive(true);
      client->set_connection_timeout(kConnectTimeout);
      client->set_read_timeout(kReadTimeout);
      client->set_follow_location(false);
      client->set_decompress(false);
      client->set_url_encode(false);  // paths come encoded, and signed URLs must not change
      client->enable_server_certificate_verification(verifies_tls);
    }
    return *client;
  }
};

HttpClient::HttpClient() : connections_(std::make_unique<Connections>()) {}
HttpClient::~HttpClient() = default;

Result<HttpAnswer> HttpClient::get(const HttpRequest& request) {
  Url url = TRY(parse_url(request.url));
  const std::string first_origin = url.origin();
  for (int redirects = 0; redirects <= kMostRedirects; ++redirects) {
    httplib::Headers headers;
    for (const auto& [name, value] : request.headers) {
      if (to_lower(name) == "authorization" && url.origin() != first_origin) continue;
      headers.emplace(name, value);
    }
    HttpAnswer answer;
    std::optional<Error> failure;
    const auto on_head = [&](const httplib::Response& response) {
      answer.status = response.status;
      for (const auto& [name, value] : response.headers) answer.headers.emplace(to_lower(name), value);
      return true;
    };
    const auto on_body = [&](const char* data, size_t size) {
      if (request.cancelled && request.cancelled()) failure = Error(Code::cancelled, "cancelled");
      if (!failure.has_value() && request.sink && (answer.status == 200 || answer.status == 206)) {
        Result<> taken = request.sink({data, size}, answer.status);
        if (!taken.ok()) failure = std::move(taken).error();
      } else if (!failure.has_value()) {
        answer.body.append(data, size);
        if (answer.body.size() > request.largest_body) failure = Error(Code::exhausted, "answer is too long");
      }
      return !failure.has_value();
    };
    const httplib::Result result = connections_->to(url, request.verifies_tls).Get(url.path, headers, on_head, on_body);
    if (failure.has_value()) return *failure;
    if (!result) {
      return Error(Code::unavailable,
                   "Get " + gantry::quoted(url.origin() + url.path) + ": " + describe(result.error(), url));
    }
    if (!is_redirect(answer.status) || answer.header("location").empty()) return answer;
    const bool was_https = url.scheme == "https";
    url = TRY(parse_url(redirect_target(url, answer.header("location"))));
    if (was_https && url.scheme == "http" && request.verifies_tls) {
      return Error(Code::unavailable, "redirect from https to http refused: " + url.origin());
    }
  }
  return Error(Code::unavailable, "Get " + gantry::quoted(request.url) + ": stopped after 10 redirects");
}

}  // namespace gantry::engine
