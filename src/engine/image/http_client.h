// HTTP(S) as registries need it: connections kept open per host, redirects followed without carrying credentials to
// another host, bodies streamed or bounded, certificates of a registry's own, proxies of the environment.
// Blocking; one thread at a time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::engine {

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // unless it went to the sink
  std::string url;                             // that answered, after redirects
  std::string header(const std::string& name) const;
};

// What stands for a host besides the system's certificate authorities.
struct TlsFiles {
  std::vector<std::string> authorities;  // PEM files, trusted for this host as well
  std::string certificate;               // of the client; "" = none
  std::string key;
  friend bool operator==(const TlsFiles&, const TlsFiles&) = default;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::map<std::string, std::string> headers;
  std::string body;
  std::string content_type;
  // Instead of `body`: `size` bytes that are asked for by offset, so that they can be sent again.
  struct Upload {
    uint64_t size = 0;
    std::function<Result<size_t>(uint64_t offset, std::span<char> into)> read;
  };
  const Upload* upload = nullptr;
  bool verifies_tls = true;
  TlsFiles tls;
  size_t largest_body = size_t{4} << 20;
  // Gets the body of a 200 or 206 answer in pieces; `status` tells which. An error ends the transfer.
  std::function<Result<>(std::string_view piece, int status)> sink;
  std::function<bool()> cancelled;
};

class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  // Errors: Code::unavailable if the other side cannot be reached or goes away ("dial tcp: lookup h: no such host"),
  // Code::cancelled, Code::exhausted for a body over the limit, and the sink's and the upload's.
  Result<HttpAnswer> send(const HttpRequest& request);
  // Of the last send() that failed: nobody was there to talk to, or not in TLS. Trying again at once is no use.
  bool was_unreachable() const { return was_unreachable_; }

 private:
  struct Connections;
  std::unique_ptr<Connections> connections_;
  bool was_unreachable_ = false;
};

std::string url_encoded(std::string_view value);
// Where `location`, absolute or relative, leads from the page at `url`. Errors: it is no URL.
Result<std::string> resolve_location(const std::string& url, const std::string& location);

}  // namespace gantry::engine
