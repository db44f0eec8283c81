// The API on TCP: only with certificates on both sides. Each connection that has shown one is carried to the daemon's
// unix socket; the HTTP server knows nothing of it.
#pragma once

#include <memory>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "base/tls.h"

namespace gantry::daemon {

class TlsFront {
 public:
  // Listens on "HOST:PORT" at once (port 0: a free one) and serves from serve() on. Errors: the address cannot be had,
  // or the certificates cannot be read.
  static Result<std::unique_ptr<TlsFront>> open(const std::string& address, const TlsFiles& files,
                                                std::string socket_path);
  virtual ~TlsFront() = default;  // as stop()
  virtual void serve() = 0;
  // No new connections; those that exist are cut. Waits for their threads.
  virtual void stop() = 0;
  virtual std::string address() const = 0;  // "tcp://127.0.0.1:2376"
};

}  // namespace gantry::daemon
