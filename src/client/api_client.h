// The daemon's API as the client's functions. One connection per object, kept alive; one thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "client/connection.h"

namespace gantry::client {

// Options in front of a command that say how to reach the daemon, besides --host and the roots.
struct EndpointFlags {
  std::string context;
  bool tls = false;
  bool tls_verify = false;
  std::string tls_ca;
  std::string tls_cert;
  std::string tls_key;
};

// Where the daemon is: from --host, GANTRY_HOST, DOCKER_HOST, or the socket in the run root.
struct Endpoint {
  std::string host;               // "unix:///run/gantry/gantry.sock", "tcp://host:port"
  std::string data_root;          // for a daemon that has to be started; "" = default
  std::string run_root;           // likewise
  bool explicitly_given = false;  // by flag, environment or context: the default daemon is not started in its place
  TlsWish tls;
  using Flags = EndpointFlags;
  // Flags win over the environment: --host, --context, GANTRY_HOST, DOCKER_HOST, GANTRY_CONTEXT, DOCKER_CONTEXT, and the
  // context in use. A data root of its own has a daemon of its own, whatever context is in use.
  // TLS: by flags, by DOCKER_TLS_VERIFY and DOCKER_CERT_PATH (or GANTRY_), or by the context's certificates.
  // Errors: Code::invalid for a text that is no address, Code::not_found for a context.
  static Result<Endpoint> from_environment(const std::map<std::string, std::string>& environment,
                                           const std::string& host_flag, const std::string& data_root_flag = {},
                                           const std::string& run_root_flag = {}, const Flags& flags = {});
  // Whether a missing daemon may be started: a local socket which is the default one, or whose roots were given.
  bool may_start_daemon() const;
};

struct Response {
  int status = 0;
  std::string body;
  std::map<std::string, std::string> headers = {};  // names in lower case
  // 2xx and 304 → the body; else an Error with the daemon's message and the code of the status.
  Result<std::string> ok_body() &&;
};

class ApiClient {
 public:
  // Starts the daemon when the endpoint is the local default and nobody listens (client/daemon_start.h, race-free).
  static Result<std::unique_ptr<ApiClient>> connect(const Endpoint& endpoint, bool start_daemon = true);
  virtual ~ApiClient() = default;

  virtual Result<Response> request(const std::string& method, const std::string& path, const std::string& body = {},
                                   const std::string& content_type = "application/json") = 0;
  // Hands over each line of the answer as it comes. `on_line` returns false to hang up. A status of 400 and
  // above is an error with the daemon's message. `on_pause`: what was at hand has been handed over; for the first time when
  // the answer has begun.
  virtual Result<> stream_lines(const std::string& method, const std::string& path, const std::string& body,
                                const std::function<bool(std::string_view)>& on_line,
                                const std::function<void()>& on_pause = {}) = 0;
  // As above in raw pieces.
  virtual Result<> stream_bytes(const std::string& method, const std::string& path, const std::string& body,
                                const std::function<bool(std::string_view)>& on_bytes) = 0;
  // Sends a body of unknown length, asked from `next` (empty = end), lines of the answer to `on_line`.
  virtual Result<> upload(const std::string& method, const std::string& path, const std::string& content_type,
                          const std::function<Result<std::string>()>& next,
                          const std::function<bool(std::string_view)>& on_line) = 0;
  // `Connection: Upgrade`: the raw socket after 101, with what was read ahead.
  struct Upgraded {
    Fd socket;
    std::string read_ahead;
    std::map<std::string, std::string> headers = {};  // names in lower case
  };
  // Which connection becomes the stream: one of its own, so that this object's can carry further requests even when the daemon
  // takes no more; or this object's, which is there already (the next request makes another).
  enum class Upon { another_connection, this_connection };
  virtual Result<Upgraded> upgrade(const std::string& method, const std::string& path, const std::string& body,
                                   Upon upon = Upon::another_connection) = 0;
  // Sent with every later request of this object (X-Registry-Auth); an empty value takes it back.
  virtual void set_header(const std::string& /*name*/, const std::string& /*value*/) {}
  // A second connection to the same daemon, for another thread.
  virtual Result<std::unique_ptr<ApiClient>> another() = 0;
  // From any thread (not from a signal handler): the call that is under way (if any) ends with Code::cancelled, and so
  // does every later one on this object.
  virtual void interrupt() {}
};

// "a b" → "a%20b": for path parts and query values.
std::string url_encode(std::string_view text);

}  // namespace gantry::client
