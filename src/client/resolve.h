// Names of machines. The C library answers with modules that it loads when asked, which a static program cannot do:
// this is for gantry-tls alone.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "client/tcp.h"

namespace gantry::client {

// At least one. Blocks. `where` is for the message. Errors: unavailable, the resolver's reason.
Result<std::vector<SocketAddress>> resolve(const std::string& host, const std::string& port, const std::string& where);

}  // namespace gantry::client
