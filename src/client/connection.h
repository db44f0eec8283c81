// One connection to a daemon: dialling, and one HTTP/1.1 exchange at a time on it. Written by hand on a blocking
// socket: a command's start must cost microseconds, and upgrades and uploads need the bare socket anyway.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/http.h"
#include "base/result.h"
#include "base/tls.h"

namespace gantry::client {

// "unix:///run/x.sock", "tcp://host:port" or "ssh://user@host:port/socket", taken apart.
struct Address {
  enum class Kind { unix_socket, tcp, ssh };
  Kind kind = Kind::unix_socket;
  std::string path;  // of the socket; ssh: of the one at the other end, "" = its default
  std::string user;  // ssh; "" = ssh's choice
  std::string host;
  std::string port;
  // Code::unsupported for https:// and npipe://, Code::invalid for anything else that is no address.
  static Result<Address> parse(std::string_view text);
};

struct TlsWish {
  bool on = false;      // tcp:// only
  bool verify = true;   // the server's certificate
  TlsFiles files;
  friend bool operator==(const TlsWish&, const TlsWish&) = default;
};

// Code::unavailable if nobody listens there, or the socket does not exist; unauthorized if the certificates do not fit.
// TLS and names of machines are gantry-tls's business (client/tls_program.h), whose errors these are then.
// ssh:// runs `ssh HOST gantry system dial-stdio`, which ends with the connection.
Result<Fd> dial(const Address& address, const TlsWish& tls = {});

// Owns the socket. One thread; `interrupt` from any.
class Connection {
 public:
  explicit Connection(Fd socket);

  // Asked for pieces of the body; an empty one ends it.
  using BodySource = std::function<Result<std::string>()>;
  struct Request {
    std::string method;
    std::string path;
    std::string content_type;
    std::string_view body;
    const BodySource* body_source = nullptr;  // instead of `body`; sent in chunks
    bool upgrade = false;                     // asks for `Upgrade: tcp`
    std::string_view extra_head = {};         // more header lines, each with its "\r\n"
  };
  // Sends the request and reads the head of the answer. After a failure the connection is of no use any more.
  // When the daemon answers before it has read the whole body (an error), that answer is returned.
  Result<http::ResponseHead> exchange(const Request& request);
  // The answer's body: at least one byte, 0 at its end.
  Result<size_t> read_body(std::span<char> into);
  Result<std::string> read_body(size_t limit);

  // Whether another request can be sent: the last answer was read to its end, and the daemon keeps the connection.
  bool reusable() const;
  // The daemon has closed it, or sent something unasked.
  bool is_stale() const;
  struct Released {
    Fd socket;
    std::string read_ahead;
  };
  Released release();
  // Ends whatever blocks in another thread.
  void interrupt() const;

 private:
  Result<> send_request(const Request& request);

  Fd socket_;
  http::Source source_;
  std::optional<http::BodyReader> body_;
  bool keep_alive_ = true;
};

}  // namespace gantry::client
