// TLS for the two ends of the API: who may talk to whom is decided by certificates on both sides. A connection is carried
// by a thread between the network's socket and one end of a socket pair, so that all other code sees bare sockets.
#pragma once

#include <memory>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace gantry {

struct TlsFiles {
  std::string ca;    // who signs the other side's certificate; PEM
  std::string cert;  // ours
  std::string key;
  friend bool operator==(const TlsFiles&, const TlsFiles&) = default;
};

class TlsContext {
 public:
  // Serves only clients with a certificate of `files.ca`. TLS 1.2 and later. Errors: a file that is missing or wrong.
  static Result<std::shared_ptr<TlsContext>> server(const TlsFiles& files);
  // `verify`: the server's certificate must be signed by `files.ca` (none: the machine's authorities) and name the host.
  // Certificate and key may be empty.
  static Result<std::shared_ptr<TlsContext>> client(const TlsFiles& files, bool verify);
  virtual ~TlsContext() = default;

  // Blocking: the handshake on a connected socket. `host`: whom a client wants to reach. Errors: unauthorized, with
  // OpenSSL's reason.
  class Session {
   public:
    virtual ~Session() = default;
    // Carries bytes between the network and `plain` until both directions have ended; blocks. An end of one side's
    // output is passed on as such: close_notify ⇄ shutdown(SHUT_WR). A client's session ends, too, when nobody holds the
    // other end of `plain` any more.
    virtual void pump(int plain) = 0;
    // From another thread: ends pump().
    virtual void interrupt() = 0;
  };
  virtual Result<std::unique_ptr<Session>> handshake(Fd socket, const std::string& host) = 0;
};

}  // namespace gantry
