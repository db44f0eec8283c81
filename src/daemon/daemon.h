// The daemon: one event loop that owns engine and controller, and the API on its sockets.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/roots.h"
#include "base/tls.h"
#include "engine/image/registry_settings.h"

namespace gantry::daemon {

struct DaemonOptions {
  Roots roots;
  std::string socket_path;                 // of the API
  std::vector<std::string> address_pools;  // "BASE/PREFIX:SIZE"
  std::vector<std::string> tcp_addresses;  // "HOST:PORT", served with TLS only
  TlsFiles tls;                            // for those
  engine::RegistrySettings registries;
  std::optional<uint64_t> build_cache_bytes = {};  // what is kept of the build cache; none: a tenth of the file system
  int ready_fd = -1;                       // told "ready" or "error: WHY", then closed; -1: nobody asks
};

// Runs until SIGTERM or SIGINT, on the calling thread, which becomes the loop's. The socket accepts connections only
// when everything is ready, and is gone before the engine stops. Containers live on under their shims.
// Errors: why it could not start. Code::conflict: another daemon runs on this data root.
Result<> run_daemon(const DaemonOptions& options);

}  // namespace gantry::daemon
