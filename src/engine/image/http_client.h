// HTTP(S) GET as registries need it: connections kept open per host, redirects followed without carrying credentials to
// another host, bodies streamed or bounded. Blocking; one thread at a time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"

namespace gantry::engine {

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // unless it went to the sink
  std::string header(const std::string& name) const;
};

struct HttpRequest {
  std::string url;
  std::map<std::string, std::string> headers;
  bool verifies_tls = true;
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
  // Code::cancelled, Code::exhausted for a body over the limit, and the sink's.
  Result<HttpAnswer> get(const HttpRequest& request);

 private:
  struct Connections;
  std::unique_ptr<Connections> connections_;
};

}  // namespace gantry::engine
